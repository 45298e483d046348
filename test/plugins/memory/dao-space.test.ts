import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { type Clock, type DaoDriver, openRegistry, type Registry } from "../../../core/index.ts";
import { clearMemorySpace, memoryFaults, plugin } from "../../../plugins/memory/index.ts";

const open = (space?: string): Promise<Registry> =>
  openRegistry({
    config: { providers: { data: { plugin: "memory", options: space === undefined ? {} : { space } } }, protocols: { dao: "data" } },
    env: {},
    plugins: [plugin],
  });
const schema = { type: "object", required: ["id"], properties: { id: { type: "string" } } } as const;
const spec = { name: "things", schema, idField: "id" } as const;

describe("memory: documents of a space", () => {
  it("are shared by who names it, and by nobody else", async () => {
    const space = randomUUID();
    await using one = await open(space);
    await using other = await open(space);
    await using stranger = await open();
    await (await one.get("dao").open(spec)).insert({ id: "1" });
    assert.equal(await (await other.get("dao").open(spec)).count(), 1);
    assert.equal(await (await stranger.get("dao").open(spec)).count(), 0);
    clearMemorySpace(space);
  });

  it("outlive the registry, until the space is cleared; providers that are open go on", async () => {
    const space = randomUUID();
    const first = await open(space);
    await (await first.get("dao").open(spec)).insert({ id: "1" });
    await first.close();
    await using second = await open(space);
    const dao = await second.get("dao").open(spec);
    assert.equal(await dao.count(), 1);
    clearMemorySpace(space);
    assert.equal(await dao.count(), 0);
    await dao.insert({ id: "2" });
    assert.equal(await dao.count(), 1);
    clearMemorySpace(space);
  });

  it("are away during an outage, and there again after it", async () => {
    const space = randomUUID();
    await using registry = await open(space);
    const dao = await registry.get("dao").open(spec);
    await dao.insert({ id: "1" });
    memoryFaults(space).outage();
    const away = { code: "ERR_HEXKIT_UNAVAILABLE", retryable: true };
    await assert.rejects(dao.getById("1"), away);
    await assert.rejects(dao.insert({ id: "2" }), away);
    await assert.rejects(dao.find().toArray(), away);
    await assert.rejects(dao.count(), away);
    await assert.rejects(registry.get("dao").open(spec), away);
    const work = registry.get("dao").transaction(async (tx) => dao.in(tx).insert({ id: "3" }));
    memoryFaults(space).restore();
    await work;
    assert.equal(await dao.count(), 2);
    clearMemorySpace(space);
  });

  it("lose a transaction to a cleared space, and end their watchers", async () => {
    const space = randomUUID();
    const { driver, close } = await openDriver(space);
    await driver.insert("c", { _id: 1 }, {});
    const transaction = await driver.begin({});
    await driver.replace("c", { _id: 1, a: 1 }, undefined, { transaction });
    let ended: unknown;
    await driver.watch(
      "c",
      () => {},
      (error) => {
        ended = error;
      },
      {},
    );
    clearMemorySpace(space);
    assert.match(String(ended), /cleared/);
    const lost = await driver.commit(transaction, {}).catch((error: unknown) => error);
    assert.equal(plugin.classify?.(lost), "ERR_HEXKIT_TRANSACTION_CONFLICT");
    await close();
  });

  it("refuse a transaction's write at once if another writer has come first", async () => {
    const space = randomUUID();
    const { driver, close } = await openDriver(space);
    await driver.insert("c", { _id: 1 }, {});
    const transaction = await driver.begin({});
    await driver.replace("c", { _id: 1, a: 1 }, undefined, {});
    const refused = await driver.replace("c", { _id: 1, a: 2 }, undefined, { transaction }).catch((error: unknown) => error);
    assert.equal(plugin.classify?.(refused), "ERR_HEXKIT_TRANSACTION_CONFLICT");
    await driver.abort(transaction);
    assert.deepEqual(await driver.get("c", 1, {}), { _id: 1, a: 1 });
    await close();
    clearMemorySpace(space);
  });

  it("tell a watcher nothing once it is closed, not even of what was written before", async () => {
    const space = randomUUID();
    const { driver, close } = await openDriver(space);
    let told = 0;
    const watch = await driver.watch(
      "c",
      () => (told += 1),
      () => {},
      {},
    );
    await driver.insert("c", { _id: 1 }, {});
    await watch.close();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(told, 0);
    await close();
    clearMemorySpace(space);
  });

  it("grant leases by the provider's clock", async () => {
    const space = randomUUID();
    let now = 1000;
    const { driver, close } = await openDriver(space, { now: () => now, sleep: async () => {} });
    const claim = (owner: string) => driver.acquireLease({ name: "l", owner, ttlMs: 100 }, {});
    assert.deepEqual(await claim("a"), { granted: true, fence: 1 });
    now = 1099;
    assert.deepEqual(await claim("b"), { granted: false, expiresInMs: 1 });
    assert.equal(await driver.renewLease({ name: "l", owner: "a", ttlMs: 100, fence: 1 }, {}), true);
    now = 1198;
    assert.deepEqual(await claim("b"), { granted: false, expiresInMs: 1 });
    now = 1199;
    assert.equal(await driver.renewLease({ name: "l", owner: "a", ttlMs: 100, fence: 1 }, {}), false);
    assert.deepEqual(await claim("b"), { granted: true, fence: 2 });
    await close();
    clearMemorySpace(space);
  });
});

async function openDriver(space: string, clock?: Clock): Promise<{ driver: DaoDriver; close: () => Promise<void> }> {
  const context = {
    provider: "data",
    plugin: "memory",
    service: { name: "t", instance: "1" },
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    clock: clock ?? { now: () => Date.now(), sleep: async () => {} },
    signal: new AbortController().signal,
    scope: {},
  };
  const client = await plugin.open({ space, partitions: 1, maxMessageBytes: 1000, maxDocumentBytes: 1000 }, context);
  const create = plugin.provides.dao as (client: unknown, context: unknown) => DaoDriver;
  return { driver: create(client, context), close: async () => plugin.close?.(client) };
}
