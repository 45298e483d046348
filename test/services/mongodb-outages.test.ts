import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { isHexkitError } from "../../core/index.ts";
import { connect } from "../../plugins/mongodb/client.ts";
import { MongodbDaoDriver } from "../../plugins/mongodb/dao.ts";
import { openOwn, transactionsOverOutages } from "../faults/dao-outages.ts";
import { databaseName, providerContext, withDefaults } from "./mongodb.ts";
import { type ScriptedServer, startServer } from "./server.mjs";

const schema = { type: "object", required: ["id", "n"], properties: { id: { type: "string" }, n: { type: "integer" } } } as const;

it("R22 short: MongoDB is killed during transactions: none is half committed or lost, deadlines hold", { timeout: 200_000 }, async () => {
  const figures = await transactionsOverOutages({ workers: 8, kills: 2, between: 40 });
  console.log(`figures R22 short: ${JSON.stringify(figures)}`);
});

describe("a MongoDB that goes away", () => {
  let server: ScriptedServer;
  before(async () => {
    server = await startServer("mongodb");
  });
  after(() => server?.stop());

  it("and comes back loses nothing that was acknowledged, and no insert meets itself", { timeout: 120_000 }, async () => {
    await using registry = await openOwn(server);
    const dao = await registry.get("dao").open({ name: "things", schema, idField: "id" });
    const [acknowledged, failures] = [new Set<string>(), [] as unknown[]];
    let [next, over] = [0, false];
    const working = Array.from({ length: 8 }, async () => {
      while (!over) {
        const id = `t${next++}`;
        await dao.insert({ id, n: 1 }).then(
          () => acknowledged.add(id),
          (error) => failures.push(error),
        );
      }
    });
    while (acknowledged.size < 50) await new Promise((resolve) => setTimeout(resolve, 10));
    await server.kill();
    await server.restart();
    const goal = acknowledged.size + 50;
    while (acknowledged.size < goal) await new Promise((resolve) => setTimeout(resolve, 10));
    over = true;
    await Promise.all(working);
    // A retry whose second attempt meets the restart as well may fail, but never because of the first attempt.
    for (const error of failures) assert.ok(isHexkitError(error, "ERR_HEXKIT_UNAVAILABLE"), String(error));
    const stored = new Set((await dao.find().toArray()).map(({ id }) => id));
    for (const id of acknowledged) assert.ok(stored.has(id), "an acknowledged insert is lost");
  });

  it("is seen by the health check, ends calls and transactions in time, and is found again", { timeout: 120_000 }, async () => {
    await using registry = await openOwn(server, { timeoutMs: 1_500 });
    const dao = await registry.get("dao").open({ name: "others", schema, idField: "id" });
    await dao.insert({ id: "1", n: 1 });
    await server.kill();
    try {
      const begin = performance.now();
      const took = (): number => performance.now() - begin;
      await Promise.all([
        // The npm driver tries twice; whether the second attempt waits for a server depends on whether it has noticed yet.
        ...[dao.insert({ id: "2", n: 1 }), dao.getById("1"), dao.find().toArray()].map((call) =>
          assert.rejects(call as Promise<unknown>, { code: /^ERR_HEXKIT_(TIMEOUT|UNAVAILABLE)$/ }),
        ),
        assert.rejects(
          registry.get("dao").transaction((tx) => dao.in(tx).insert({ id: "3", n: 1 }), { timeoutMs: 1_500 }),
          { code: "ERR_HEXKIT_TIMEOUT" },
        ),
      ]);
      assert.ok(took() >= 1_400 && took() < 3_000, `${took()} ms`);
      const controller = new AbortController();
      const aborted = dao.insert({ id: "4", n: 1 }, { signal: controller.signal });
      let abortedAt = 0;
      // It waits for a server by now.
      setTimeout(() => {
        abortedAt = performance.now();
        controller.abort();
      }, 200);
      await assert.rejects(aborted, { code: "ERR_HEXKIT_ABORTED", message: /outcome is unknown/ });
      assert.ok(performance.now() - abortedAt < 300, "the abort was waited for");
      assert.equal((await registry.health({ timeoutMs: 1_000 })).ok, false);
    } finally {
      await server.restart();
    }
    await dao.upsert({ id: "5", n: 1 }).catch(() => dao.upsert({ id: "5", n: 1 }));
    assert.equal((await registry.health()).ok, true);
    assert.equal((await dao.getById("1")).n, 1);
  });

  it("is watched again after it came back", { timeout: 120_000 }, async () => {
    const client = await connect(
      withDefaults({ dsn: server.addresses.MONGODB_DSN as string, database: databaseName() }),
      providerContext(),
    );
    try {
      const driver = new MongodbDaoDriver(client);
      let told = (): void => {};
      const watch = await driver.watch(
        "watched",
        () => told(),
        (error) => assert.fail(String(error)),
        {},
      );
      const changed = async (id: number): Promise<void> => {
        const seen = new Promise<void>((resolve) => {
          told = resolve;
        });
        await driver.upsert("watched", { _id: id, n: id }, {});
        await seen;
      };
      await changed(1);
      await server.kill();
      await server.restart();
      await changed(2);
      await watch.close();
    } finally {
      await client.close();
    }
  });

  it("closes a registry within its time while it is away", { timeout: 120_000 }, async () => {
    const registry = await openOwn(server, { timeoutMs: 1_000 });
    const dao = await registry.get("dao").open({ name: "left", schema, idField: "id" });
    await server.kill();
    try {
      const pending = dao.insert({ id: "1", n: 1 }).catch(() => undefined);
      const begin = performance.now();
      await registry.close({ timeoutMs: 5_000 });
      assert.ok(performance.now() - begin < 5_000, "closing took too long");
      await pending;
    } finally {
      await server.restart();
    }
  });
});
