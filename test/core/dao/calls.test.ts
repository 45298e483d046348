import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { z } from "zod";
import { type DaoDriver, definePlugin, openRegistry } from "../../../core/index.ts";
import { plugin as memory } from "../../../plugins/memory/index.ts";
import { openDao } from "./open.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const schema = z.object({ id: z.string(), n: z.number().optional() });

describe("dao: calls that hang or fail", () => {
  it("end with a timeout after timeoutMs, whatever the operation", async () => {
    await using service = await openDao({ timeoutMs: 30 });
    const dao = await service.factory.open({ name: service.name(), schema, idField: "id" });
    const timeout = { code: "ERR_HEXKIT_TIMEOUT", message: /30 ms/ };
    const operations = ["get", "insert", "replace", "upsert", "delete", "insertMany", "upsertMany", "find", "count", "prepare"] as const;
    for (const operation of operations) service.plan.hang(`dao.${operation}`);
    await assert.rejects(dao.getById("1"), timeout);
    await assert.rejects(dao.insert({ id: "1" }), timeout);
    await assert.rejects(dao.update({ id: "1" }), timeout);
    await assert.rejects(dao.upsert({ id: "1" }), timeout);
    await assert.rejects(dao.delete("1"), timeout);
    await assert.rejects(dao.insertMany([{ id: "1" }]), timeout);
    await assert.rejects(dao.upsertMany([{ id: "1" }]), timeout);
    await assert.rejects(dao.find().toArray(), timeout);
    await assert.rejects(dao.find().total(), timeout);
    await assert.rejects(dao.count(), timeout);
    await assert.rejects(service.factory.open({ name: service.name(), schema, idField: "id" }), timeout);
  });

  it("end when their signal aborts, and say that the outcome is unknown", async () => {
    await using service = await openDao();
    const dao = await service.factory.open({ name: service.name(), schema, idField: "id" });
    const hanging = service.plan.hang("dao.insert");
    const controller = new AbortController();
    const inserting = dao.insert({ id: "1" }, { signal: controller.signal });
    await hanging.hit();
    controller.abort();
    await assert.rejects(inserting, { code: "ERR_HEXKIT_ABORTED", message: /unknown/ });
  });

  it("say where they come from when the client fails in a way its plugin does not know", async () => {
    await using service = await openDao();
    const dao = await service.factory.open({ name: "people", schema, idField: "id" });
    service.plan.fail("dao.get", { error: new Error("odd") });
    await assert.rejects(dao.getById("1"), { code: "ERR_HEXKIT_PROVIDER_FAILED", message: /getById people.*odd/ });
  });
});

describe("dao: a driver that throws before it gives a promise", () => {
  it("rejects like one that rejects, and leaves no timer", async () => {
    const create = memory.provides.dao as unknown as (...args: readonly unknown[]) => DaoDriver;
    const get = (): never => {
      throw new Error("odd");
    };
    const dao = (...args: readonly unknown[]): DaoDriver =>
      new Proxy(create(...args), {
        get: (driver, name) => (name === "get" ? get : bound(driver, Reflect.get(driver, name))),
      });
    const plugin = definePlugin({ ...memory, provides: { ...memory.provides, dao } } as never);
    await using registry = await openRegistry({ config: { protocols: { dao: "memory" } }, plugins: [plugin], env: {}, logger: silent });
    const people = await registry.get("dao").open({ name: "people", schema, idField: "id" });
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const before = timers();
    await assert.rejects(people.getById("1"), { code: "ERR_HEXKIT_PROVIDER_FAILED", message: /odd/ });
    assert.equal(timers(), before, "a timer goes on");
  });
});

function bound(target: object, value: unknown): unknown {
  return typeof value === "function" ? value.bind(target) : value;
}

describe("dao: transactions on a database that fails", () => {
  it("run again while the database is away, and give up in time", async () => {
    await using service = await openDao();
    const dao = await service.factory.open({ name: service.name(), schema, idField: "id" });
    for (const operation of ["begin", "insert"] as const) service.plan.fail(`dao.${operation}`, { next: 1 });
    let runs = 0;
    await service.factory.transaction(async (tx) => {
      runs += 1;
      await dao.in(tx).insert({ id: "1" });
    });
    assert.equal(runs, 2);
    service.plan.fail("dao.begin");
    await assert.rejects(
      service.factory.transaction(async () => {}, { timeoutMs: 50 }),
      { code: "ERR_HEXKIT_TIMEOUT", message: /nothing of it was stored/ },
    );
  });

  it("do not run again when nobody knows whether they were committed", async () => {
    await using service = await openDao();
    const dao = await service.factory.open({ name: service.name(), schema, idField: "id" });
    let runs = 0;
    const transaction = (options = {}): Promise<void> =>
      service.factory.transaction(async (tx) => {
        runs += 1;
        await dao.in(tx).upsert({ id: "1" });
      }, options);
    service.plan.fail("dao.commit", { next: 1 });
    await assert.rejects(transaction(), { code: "ERR_HEXKIT_UNAVAILABLE" });
    assert.equal(runs, 1);
    service.plan.hang("dao.commit", { next: 1 });
    await assert.rejects(transaction({ timeoutMs: 50 }), { code: "ERR_HEXKIT_TIMEOUT", message: /outcome is unknown/ });
    assert.equal(runs, 2);
  });

  it("are aborted whenever they are not committed, once for each begin", async () => {
    await using service = await openDao();
    const dao = await service.factory.open({ name: service.name(), schema, idField: "id" });
    const counts = { begin: 0, abort: 0, commit: 0 };
    for (const name of ["begin", "abort", "commit"] as const) {
      service.plan.delay(`dao.${name}`, {
        ms: 0,
        when: () => {
          counts[name] += 1;
          return false;
        },
      });
    }
    await service.factory.transaction(async (tx) => dao.in(tx).insert({ id: "1" }));
    await assert.rejects(
      service.factory.transaction(async () => Promise.reject(new Error("own"))),
      /own/,
    );
    await assert.rejects(
      service.factory.transaction(async () => new Promise(() => {}), { timeoutMs: 20 }),
      { code: "ERR_HEXKIT_TIMEOUT" },
    );
    assert.deepEqual({ ...counts, abort: counts.abort >= 2 }, { begin: 3, commit: 1, abort: true });
  });
});

it("dao: a transaction is refused before anything is asked where the provider has none", async () => {
  const { provides } = memory as unknown as { provides: { dao: (client: unknown, context: unknown) => object } };
  const create = (client: unknown, context: unknown): object =>
    Object.assign(Object.create(provides.dao(client, context)), { capabilities: { transactions: false, watch: false, leases: false } });
  const plugin = definePlugin({ ...memory, provides: { dao: create } } as never);
  await using registry = await openRegistry({ config: { protocols: { dao: "memory" } }, env: {}, plugins: [plugin] });
  let ran = false;
  const transaction = registry.get("dao").transaction(async () => {
    ran = true;
  });
  await assert.rejects(transaction, { code: "ERR_HEXKIT_UNSUPPORTED", message: /transactions/ });
  assert.equal(ran, false);
});

it("dao: calls of one transaction reach the driver one after the other", async () => {
  const { provides } = memory as unknown as { provides: { dao: (client: unknown, context: unknown) => DaoDriver } };
  const inFlight = { now: 0, most: 0 };
  const create = (client: unknown, context: unknown): object => {
    const real = provides.dao(client, context);
    const stored = real.insert.bind(real);
    const insert: DaoDriver["insert"] = async (...args) => {
      inFlight.now += 1;
      inFlight.most = Math.max(inFlight.most, inFlight.now);
      await new Promise((resolve) => setImmediate(resolve));
      inFlight.now -= 1;
      return stored(...args);
    };
    return Object.assign(real, { insert });
  };
  const plugin = definePlugin({ ...memory, provides: { dao: create } } as never);
  await using registry = await openRegistry({ config: { protocols: { dao: "memory" } }, env: {}, plugins: [plugin] });
  const dao = await registry.get("dao").open({ name: "people", schema, idField: "id" });
  const insertAll = (into: typeof dao, prefix: string) => Promise.all([1, 2, 3].map((n) => into.insert({ id: `${prefix}${n}` })));
  await registry.get("dao").transaction((tx) => insertAll(dao.in(tx), "in"));
  assert.equal(inFlight.most, 1);
  await insertAll(dao, "out");
  assert.equal(inFlight.most, 3);
});
