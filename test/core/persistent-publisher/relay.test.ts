import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HexkitError, type PersistentPublisher } from "../../../core/index.ts";
import { deferred } from "../../../core/promise.ts";
import { turns } from "../outbox/clock.ts";
import { header, Stage, stateOf } from "../outbox/stage.ts";

const publish = (publisher: PersistentPublisher, key: string, n: number): Promise<void> =>
  publisher.publish({ topic: "things", type: "made", key, payload: { n } });

describe("the relay of a persistent publisher", () => {
  it("asks the database for nothing but what was left pending, until something is published", async () => {
    await using stage = new Stage();
    const asked: string[] = [];
    const { registry } = await stage.instance({
      dao: (driver) => ({
        prepare: async (...call) => {
          asked.push("prepare");
          await driver.prepare(...call);
        },
        acquireLease: async (...call) => {
          asked.push("acquireLease");
          return driver.acquireLease(...call);
        },
      }),
    });
    await stage.clock.pass(60_000);
    assert.deepEqual(asked, []);
    await publish(registry.get("persistentPublisher"), "a", 1);
    await turns();
    assert.deepEqual([...new Set(asked)], ["prepare", "acquireLease"]);
    assert.equal(stage.topic.length, 1);
  });

  it("keeps the order of a key over failures, and lets other keys go on", async () => {
    await using stage = new Stage();
    let isAway = true;
    const { registry } = await stage.instance({
      send: async (records, pass) => {
        const refused = records.filter(({ key }) => isAway && key === "a");
        const sent = await pass(records.filter((record) => !refused.includes(record)));
        const outcomes = [...sent];
        return records.map((record) =>
          refused.includes(record) ? { error: new HexkitError("ERR_HEXKIT_TIMEOUT", "away for this key") } : (outcomes.shift() ?? {}),
        );
      },
    });
    const publisher = registry.get("persistentPublisher");
    for (let n = 0; n < 10; n += 1) for (const key of ["a", "b"]) await publish(publisher, key, n);
    await stage.clock.pass(5_000);
    isAway = false;
    await stage.clock.pass(60_000);
    const numbers = (key: string): number[] => stage.topic.filter((record) => record.key === key).map((record) => stateOf(record).n);
    const all = Array.from({ length: 10 }, (_, n) => n);
    assert.deepEqual([...new Set(numbers("a"))], all);
    assert.deepEqual([...new Set(numbers("b"))], all);
    assert.deepEqual(
      numbers("a"),
      [...numbers("a")].sort((x, y) => x - y),
      "out of order",
    );
  });

  it("stores events of one key one after the other, in the order of the calls", async () => {
    await using stage = new Stage();
    const gates = [deferred<void>(), deferred<void>()];
    const begun: number[] = [];
    const { registry } = await stage.instance({
      dao: (driver) => ({
        upsert: async (collection, document, options) => {
          const { n } = document.payload as { n: number };
          begun.push(n);
          await gates[n]?.promise;
          await driver.upsert(collection, document, options);
        },
      }),
    });
    const publisher = registry.get("persistentPublisher");
    const publishing = [publish(publisher, "a", 0), publish(publisher, "a", 1), publish(publisher, "b", 2)];
    await turns();
    assert.deepEqual(begun, [0, 2]);
    gates[1]?.resolve();
    gates[0]?.resolve();
    await Promise.all(publishing);
    await turns();
    assert.deepEqual(
      stage.topic.filter(({ key }) => key === "a").map((record) => stateOf(record).n),
      [0, 1],
    );
    assert.equal(header(stage.topic[0], "type"), "made");
  });

  it("marks an event of a compacted topic only if no other has taken its place meanwhile", async () => {
    await using stage = new Stage();
    const gate = deferred<void>();
    const { registry } = await stage.instance(
      {
        send: async (records, pass) => {
          if (stateOf(records[0]).n === 1) await gate.promise;
          return pass(records);
        },
      },
      {},
      stage.clock,
      { compactedTopics: ["things"] },
    );
    const publisher = registry.get("persistentPublisher");
    await publish(publisher, "a", 1);
    await turns();
    await publish(publisher, "a", 2);
    gate.resolve();
    await turns();
    assert.deepEqual(
      stage.topic.map((record) => stateOf(record).n),
      [1, 2],
    );
  });

  it("has the events of a key that it found together under way, and those that came later only after them", async () => {
    await using stage = new Stage();
    const gate = deferred<void>();
    const { registry } = await stage.instance({
      send: async (records, pass) => {
        await gate.promise;
        return pass(records);
      },
    });
    const publisher = registry.get("persistentPublisher");
    const inFlight = async (): Promise<number> =>
      ((await registry.health()).bindings.persistentPublisher as unknown as { inFlight: number }).inFlight;
    await publish(publisher, "a", 1);
    await turns();
    for (const n of [2, 3]) await publish(publisher, "a", n);
    await turns();
    assert.equal(await inFlight(), 1);
    gate.resolve();
    await turns();
    assert.deepEqual(
      stage.topic.map((record) => stateOf(record).n),
      [1, 2, 3],
    );
    assert.equal(await inFlight(), 0);
  });
});
