import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HexkitError, type OutgoingRecord } from "../../../core/index.ts";
import { deferred } from "../../../core/promise.ts";
import { turns } from "./clock.ts";
import { header, Stage, stateOf } from "./stage.ts";

const health = async (registry: { health(): Promise<{ bindings: object }> }) =>
  (
    (await registry.health()).bindings as {
      outbox: { outboxes: Record<string, { state: string; backlog: number; setAside: number; inFlight: number }> };
    }
  ).outbox.outboxes.things as { state: string; backlog: number; setAside: number; inFlight: number };

describe("the relay of an outbox", () => {
  it("publishes right after a write, without any time going by", async () => {
    await using stage = new Stage();
    const { sent, open } = await stage.instance();
    const box = await open();
    await turns();
    await box.insert({ id: "a", n: 1 });
    await turns();
    assert.deepEqual(sent.map(stateOf), [{ id: "a", n: 1 }]);
  });

  it("leaves publishing to one of several instances, and learns of the others' writes by their changes", async () => {
    await using stage = new Stage();
    const one = await stage.instance();
    const [first] = [await one.open(), await turns()];
    const two = await stage.instance();
    const second = await two.open();
    await turns();
    await first.insert({ id: "a", n: 1 });
    await second.insert({ id: "b", n: 1 });
    await turns();
    assert.deepEqual([one.sent.length, two.sent.length], [2, 0]);
    assert.deepEqual([(await health(one.registry)).state, (await health(two.registry)).state], ["leading", "standby"]);
  });

  it("looks by itself every relayIntervalMs where changes are not reported", async () => {
    await using stage = new Stage();
    const dao = () => ({ capabilities: { transactions: true, watch: false, leases: true } });
    const one = await stage.instance({ dao });
    await one.open();
    await turns();
    const two = await stage.instance({ dao });
    const second = await two.open();
    await second.insert({ id: "b", n: 1 });
    await stage.clock.pass(900);
    assert.equal(one.sent.length, 0);
    await stage.clock.pass(200);
    assert.equal(one.sent.length, 1);
  });

  it("is woken by the commit of a transaction, and by nothing that was taken back", async () => {
    await using stage = new Stage();
    const { registry, sent, open } = await stage.instance({
      dao: () => ({ capabilities: { transactions: true, watch: false, leases: true } }),
    });
    const box = await open();
    await turns();
    await registry.get("dao").transaction(async (tx) => {
      await box.in(tx).insert({ id: "a", n: 1 });
      await turns();
      assert.equal(sent.length, 0);
    });
    await turns();
    assert.deepEqual(sent.map(stateOf), [{ id: "a", n: 1 }]);
    const taken = registry.get("dao").transaction(async (tx) => {
      await box.in(tx).insert({ id: "b", n: 1 });
      throw new Error("taken back");
    });
    await assert.rejects(taken, /taken back/);
    await stage.clock.pass(5_000);
    assert.equal(sent.length, 1);
  });

  it("refuses a database without leases before anything is asked of it", async () => {
    await using stage = new Stage();
    const asked: string[] = [];
    const instance = await stage.instance({
      dao: (driver) => ({
        capabilities: { transactions: true, watch: true, leases: false },
        prepare: async (...call) => {
          asked.push("prepare");
          await driver.prepare(...call);
        },
      }),
    });
    await assert.rejects(instance.open(), { code: "ERR_HEXKIT_UNSUPPORTED" });
    assert.deepEqual(asked, []);
  });

  it("takes over when the lease of one that fell silent is over, not before", async () => {
    await using stage = new Stage();
    const dead = await stage.instance({ dao: () => ({ renewLease: () => new Promise(() => {}), releaseLease: async () => {} }) });
    await dead.open();
    await turns();
    const two = await stage.instance();
    const second = await two.open();
    await stage.clock.pass(8_000);
    assert.equal((await health(two.registry)).state, "standby");
    await second.insert({ id: "a", n: 1 });
    await stage.clock.pass(4_000);
    assert.equal((await health(two.registry)).state, "leading");
    assert.equal(stage.topic.filter(({ key }) => key === "a").length, 1);
  });

  it("sends nothing once its lease is over, however late it comes to it, and numbers lower than whoever took over", async () => {
    await using stage = new Stage();
    const gate = deferred<void>();
    let isStalled = false;
    const stalled = await stage.instance({
      dao: (driver) => ({
        renewLease: () => new Promise(() => {}),
        // The process stands still between reading and sending.
        find: async function* (...call) {
          for await (const batch of driver.find(...call)) {
            if (isStalled) await gate.promise;
            yield batch;
          }
        },
      }),
    });
    const first = await stalled.open();
    await turns();
    await first.insert({ id: "a", n: 1 });
    await turns();
    isStalled = true;
    await first.update({ id: "a", n: 2 });
    await turns();
    const two = await stage.instance();
    const second = await two.open();
    await stage.clock.pass(12_000);
    await second.update({ id: "a", n: 3 });
    await turns();
    isStalled = false;
    gate.resolve();
    await turns();
    assert.deepEqual(
      stage.topic.map(stateOf).map(({ n }) => n),
      [1, ...(two.sent.length === 2 ? [2] : []), 3],
    );
    assert.deepEqual(
      stalled.sent.map(stateOf).map(({ n }) => n),
      [1],
    );
    const fence = (record: OutgoingRecord | undefined): number => Number(header(record, "sequence")?.split(".")[0]);
    assert.ok(fence(two.sent.at(-1)) > fence(stalled.sent[0]), "the sequence does not grow with the lease");
  });

  it("asks for its lease right before each send, also of what waits behind a batch that the broker was slow to take", async () => {
    await using stage = new Stage();
    const gate = deferred<void>();
    const one = await stage.instance({
      dao: () => ({ renewLease: () => new Promise(() => {}) }),
      send: async (records, pass) => {
        if (stateOf(records[0]).n === 1) await gate.promise;
        return pass(records);
      },
    });
    const box = await one.open();
    await turns();
    await box.insert({ id: "a", n: 1 });
    await turns();
    for (let n = 0; n < 12; n += 1) await box.insert({ id: `b${n}`, n: 2 });
    await turns();
    const before = one.sent.length;
    assert.ok(before < 12, "nothing waits behind the first");
    const two = await stage.instance();
    await two.open();
    await stage.clock.pass(12_000);
    assert.equal((await health(two.registry)).state, "leading");
    gate.resolve();
    await turns();
    assert.deepEqual(
      one.sent.slice(before).map(({ key }) => key),
      ["a"],
    );
    assert.equal(new Set(stage.topic.map(({ key }) => key)).size, 13);
  });

  it("has one state of a document under way at a time", async () => {
    await using stage = new Stage();
    const gates = [deferred<void>(), deferred<void>()];
    let sends = 0;
    const { open } = await stage.instance({
      send: async (records, pass) => {
        sends += 1;
        await gates[sends - 1]?.promise;
        return pass(records);
      },
    });
    const box = await open();
    await turns();
    await box.insert({ id: "a", n: 1 });
    await turns();
    for (let n = 2; n < 10; n += 1) await box.update({ id: "a", n });
    await turns();
    assert.equal(sends, 1);
    gates[0]?.resolve();
    await turns();
    assert.equal(sends, 2);
    gates[1]?.resolve();
    await turns();
    // What was written faster than it was published may be left out; the last never is.
    assert.deepEqual(
      stage.topic.map(stateOf).map(({ n }) => n),
      [1, 9],
    );
  });

  it("never overwrites a write that came while it published", async () => {
    await using stage = new Stage();
    const gate = deferred<void>();
    const { open, registry } = await stage.instance({
      send: async (records, pass) => {
        if (stateOf(records[0]).n === 1) await gate.promise;
        return pass(records);
      },
    });
    const box = await open();
    await turns();
    await box.insert({ id: "a", n: 1 });
    await turns();
    await box.update({ id: "a", n: 2 });
    gate.resolve();
    await turns();
    assert.equal((await box.getById("a")).n, 2);
    assert.deepEqual(
      stage.topic.map(stateOf).map(({ n }) => n),
      [1, 2],
    );
    assert.equal((await health(registry)).inFlight, 0);
  });

  it("keeps a request waiting for a newer state of what is under way", async () => {
    await using stage = new Stage();
    const gate = deferred<void>();
    const { open } = await stage.instance({
      send: async (records, pass) => {
        if (stateOf(records[0]).n === 1) await gate.promise;
        return pass(records);
      },
    });
    const box = await open();
    await turns();
    await box.insert({ id: "a", n: 1 });
    await turns();
    await box.update({ id: "a", n: 2 });
    const seen = box.publishPending().then(() => stage.topic.map(stateOf).map(({ n }) => n));
    await turns();
    gate.resolve();
    assert.deepEqual(await seen, [1, 2]);
  });

  it("does not bring back what was deleted while it published", async () => {
    await using stage = new Stage();
    const gate = deferred<void>();
    const { open } = await stage.instance({
      send: async (records, pass) => {
        if (records[0]?.value !== "{}") await gate.promise;
        return pass(records);
      },
    });
    const box = await open();
    await turns();
    await box.insert({ id: "a", n: 1 });
    await turns();
    await box.delete("a");
    gate.resolve();
    await turns();
    await assert.rejects(box.getById("a"), { code: "ERR_HEXKIT_DOCUMENT_NOT_FOUND" });
    assert.deepEqual(
      stage.topic.map((record) => header(record, "type")),
      ["upserted", "deleted"],
    );
  });

  it("begins no more than maxInFlight at once", async () => {
    await using stage = new Stage();
    const gate = deferred<void>();
    let most = 0;
    const { open, registry } = await stage.instance(
      {
        send: async (records, pass) => {
          await gate.promise;
          return pass(records);
        },
      },
      { maxInFlight: 20, relayBatchSize: 10 },
    );
    const box = await open({ autoPublish: false });
    await box.insertMany(Array.from({ length: 200 }, (_, n) => ({ id: `i${n}`, n })));
    const done = box.publishPending();
    for (let look = 0; look < 20; look += 1) {
      await turns(3);
      most = Math.max(most, (await health(registry)).inFlight);
    }
    assert.ok(most > 0 && most <= 20, `${most} at once`);
    gate.resolve();
    await done;
    assert.equal(stage.topic.length, 200);
  });

  it("tries what cannot be published again and again, ever more seldom, and at once when it is written anew", async () => {
    await using stage = new Stage();
    let tries = 0;
    const { open, registry } = await stage.instance();
    const box = await open({
      toEvent: ({ n }: { n: number }) => {
        if (n === 666) {
          tries += 1;
          throw new Error("never");
        }
        return { n };
      },
    });
    await turns();
    await box.insert({ id: "bad", n: 666 });
    await stage.clock.pass(15_000);
    const early = tries;
    assert.ok(early >= 3 && early <= 6, `${early} tries in 15 s`);
    await stage.clock.pass(15 * 60_000);
    assert.ok(tries - early <= 20, `${tries - early} tries in 15 min`);
    assert.equal((await health(registry)).setAside, 1);
    await box.update({ id: "bad", n: 1 });
    await turns();
    assert.equal(stage.topic.length, 1);
    assert.equal((await health(registry)).setAside, 0);
  });

  it("pauses between attempts while the broker is away, and goes on when it is back", async () => {
    await using stage = new Stage();
    let [isAway, tries] = [true, 0];
    const { open, registry, lines } = await stage.instance({
      send: async (records, pass) => {
        if (!isAway) return pass(records);
        tries += 1;
        return records.map(() => ({ error: new HexkitError("ERR_HEXKIT_EVENT_ORDER", "away") }));
      },
    });
    const box = await open();
    await turns();
    await box.insert({ id: "a", n: 1 });
    await stage.clock.pass(60_000);
    assert.equal((await registry.health()).ok, false);
    assert.ok(tries < 200, `${tries} tries in a minute`);
    isAway = false;
    await stage.clock.pass(10_000);
    assert.deepEqual(stage.topic.map(stateOf), [{ id: "a", n: 1 }]);
    assert.ok(
      lines.every(({ level }) => level !== "error"),
      "errors were logged",
    );
  });

  it("goes on after the database was away", async () => {
    await using stage = new Stage();
    let isAway = false;
    const refuse = (): void => {
      if (isAway) throw new HexkitError("ERR_HEXKIT_UNAVAILABLE", "the database is away");
    };
    const { open, registry, sent } = await stage.instance({
      dao: (driver) => ({
        find: (...call) => {
          refuse();
          return driver.find(...call);
        },
        acquireLease: async (...call) => {
          refuse();
          return driver.acquireLease(...call);
        },
        patchMany: async (...call) => {
          refuse();
          return driver.patchMany(...call);
        },
      }),
    });
    const box = await open();
    await turns();
    isAway = true;
    await box.insert({ id: "a", n: 1 });
    await stage.clock.pass(20_000);
    assert.equal((await registry.health()).ok, false);
    assert.equal(sent.length, 0);
    isAway = false;
    await stage.clock.pass(20_000);
    assert.equal(sent.length, 1);
    assert.equal((await registry.health()).ok, true);
  });

  it("gives the lease back when the registry closes, so that another goes on at once", async () => {
    await using stage = new Stage();
    const one = await stage.instance();
    await one.open();
    await turns();
    const two = await stage.instance();
    const second = await two.open();
    await turns();
    await one.registry.close();
    await stage.clock.pass(1_000);
    assert.equal((await health(two.registry)).state, "leading");
    await second.insert({ id: "a", n: 1 });
    await turns();
    assert.equal(two.sent.length, 1);
  });

  it("closes in time although the broker is away, and leaves the rest pending", async () => {
    await using stage = new Stage();
    const { open, registry } = await stage.instance({ send: () => new Promise(() => {}) });
    const box = await open();
    await turns();
    await box.insert({ id: "a", n: 1 });
    await turns();
    const begin = performance.now();
    await registry.close({ timeoutMs: 1_000 }).catch(() => undefined);
    assert.ok(performance.now() - begin < 3_000, "closing took too long");
    const after = await stage.instance();
    await after.open();
    await stage.clock.pass(12_000);
    assert.deepEqual(after.sent.map(stateOf), [{ id: "a", n: 1 }]);
  });

  it("resolves a write once its event is published, by whichever instance, and warns when that takes longer than publishWaitMs", async () => {
    await using stage = new Stage();
    const one = await stage.instance();
    await one.open();
    await turns();
    const two = await stage.instance({}, { publishWaitMs: 5_000 });
    const second = await two.open();
    await turns();
    const written = second.insert({ id: "a", n: 1 });
    await stage.clock.pass(300);
    await written;
    assert.deepEqual(one.sent.map(stateOf), [{ id: "a", n: 1 }]);
    assert.deepEqual(
      two.lines.filter(({ level }) => level === "warn"),
      [],
    );
    const late = await stage.instance(
      { dao: () => ({ acquireLease: async () => ({ granted: false, expiresInMs: 1_000 }) }) },
      { publishWaitMs: 5_000 },
    );
    const third = await late.open({ name: "others", topic: "others" });
    let isDone = false;
    const waiting = third.insert({ id: "b", n: 1 }).then(() => {
      isDone = true;
    });
    await stage.clock.pass(4_900);
    assert.equal(isDone, false);
    await stage.clock.pass(200);
    await waiting;
    assert.equal(late.lines.filter(({ message }) => message.includes("not yet published")).length, 1);
  });

  it("gives up publishPending when another process holds the lease and does nothing for 30 s, or when it is aborted", async () => {
    await using stage = new Stage();
    const { open } = await stage.instance({ dao: () => ({ acquireLease: async () => ({ granted: false, expiresInMs: 1_000 }) }) });
    const box = await open({ autoPublish: false });
    await box.insert({ id: "a", n: 1 });
    const failing = assert.rejects(box.publishPending(), { code: "ERR_HEXKIT_TIMEOUT", message: /another process holds the lease/ });
    const controller = new AbortController();
    const aborted = assert.rejects(box.publishPending({ signal: controller.signal }), { code: "ERR_HEXKIT_ABORTED" });
    await turns();
    controller.abort();
    await aborted;
    await stage.clock.pass(35_000);
    await failing;
  });
});
