import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import {
  type BatchContext,
  type BatchOutcome,
  type BatchTranslator,
  currentCorrelationId,
  isHexkitError,
  NonRetryable,
  type ReceivedEvent,
  type SubscriberSettings,
  type Translator,
} from "../../../core/index.ts";
import { type Deferred, deferred } from "../../../core/promise.ts";
import { at, FakePublisherDriver, record, turns, until } from "./bench.ts";
import { onStage, stage } from "./stage.ts";

type Result = readonly BatchOutcome[] | undefined;

/** Takes batches that the test ends, one by one. */
class Batches implements BatchTranslator {
  readonly topics = ["orders"];
  readonly types = ["made"];
  readonly begun: string[][] = [];
  readonly contexts: BatchContext[] = [];
  readonly running: Deferred<Result>[] = [];

  consumeBatch(events: readonly ReceivedEvent[], context: BatchContext): Promise<Result> {
    this.begun.push(events.map(({ key, payload }) => `${key}${(payload as { n: number }).n}`));
    this.contexts.push(context);
    const running = deferred<Result>();
    this.running.push(running);
    return running.promise;
  }

  /** Ends the batch that has been running longest. */
  async end(result?: Result): Promise<void> {
    (this.running.shift() as Deferred<Result>).resolve(result);
    await turns();
  }

  async fail(error: unknown): Promise<void> {
    (this.running.shift() as Deferred<Result>).reject(error);
    await turns();
  }
}

const failed: BatchOutcome = { error: new Error("odd") };
const play = (
  settings: Partial<SubscriberSettings>,
  test: (all: Awaited<ReturnType<typeof stage>>, batches: Batches, tick: (ms: number) => Promise<void>) => Promise<void>,
): Promise<void> => {
  const batches = new Batches();
  return onStage(
    { commitEvery: 1, retryDelayMs: 100, maxRetryDelayMs: 100, ...settings },
    { translators: batches, partitions: 2 },
    (all, tick) => test(all, batches, tick),
  );
};
const some = [
  ["a", 0],
  ["b", 1],
  ["a", 2],
  ["c", 3],
] as const;

describe("batches", () => {
  it("hold what was delivered at once, in order per key, and count as one handler", () =>
    play({ concurrency: 1 }, async (all, batches) => {
      all.deliver(0, some);
      all.deliver(1, [["z", 0]]);
      await turns();
      assert.deepEqual(batches.begun, [["a0", "a2", "b1", "c3"]]);
      assert.deepEqual(batches.contexts[0]?.attempts, [1, 1, 1, 1]);
      await batches.end();
      assert.deepEqual(batches.begun[1], ["z0"]);
      assert.equal(all.member.acknowledged.length, 4);
      await batches.end();
    }));

  it("are at most maxBatch", () =>
    play({ maxBatch: 3 }, async (all, batches) => {
      all.deliver(0, some);
      await turns();
      assert.deepEqual(batches.begun, [["a0", "a2", "b1"], ["c3"]]);
      await batches.end();
      await batches.end();
      assert.equal(all.subscription.stats().handled, 4);
    }));

  it("settle each event by its outcome, and redo with a failed one what follows it in its key", () =>
    play({ maxRetries: 1 }, async (all, batches, tick) => {
      mock.method(Math, "random", () => 0);
      all.deliver(0, some);
      await turns();
      await batches.end([failed, undefined, undefined, undefined]);
      assert.deepEqual(all.member.acknowledged.sort(), ["orders/0@1", "orders/0@3"]);
      all.deliver(0, [["b", 4]]);
      await turns();
      assert.deepEqual(batches.begun[1], ["b4"], "the others go on");
      await tick(99);
      assert.equal(batches.begun.length, 2);
      await tick(1);
      assert.deepEqual(batches.begun[2], ["a0", "a2"]);
      assert.deepEqual(batches.contexts[2]?.attempts, [2, 1]);
      await batches.end();
      await batches.end();
      const { handled, retried, failed: lost } = all.subscription.stats();
      assert.deepEqual({ handled, retried, lost }, { handled: 5, retried: 1, lost: 0 });
      mock.restoreAll();
    }));

  it("fail as a whole by a throw, each event for itself", () =>
    play({ maxRetries: 1, onFailure: "skip" }, async (all, batches, tick) => {
      all.deliver(0, "a0 b1");
      await turns();
      await batches.fail(new Error("all"));
      assert.equal(all.subscription.stats().retried, 2);
      await tick(120);
      while (batches.running.length > 0) await batches.fail(new NonRetryable("all"));
      assert.equal(all.subscription.stats().skipped, 2);
      assert.deepEqual(all.member.acknowledged.sort(), ["orders/0@0", "orders/0@1"]);
    }));

  it("fail as a whole by a list of another length, or something else", async () => {
    for (const [result, fact] of [
      [[], "0 outcomes for 2 events"],
      [[undefined], "1 outcomes for 2 events"],
      [[undefined, undefined, undefined], "3 outcomes for 2 events"],
      ["done", "string for 2 events"],
      [null, "object for 2 events"],
    ] as const) {
      await play({}, async (all, batches) => {
        all.deliver(0, "a0 b1");
        await turns();
        await batches.end(result as never);
        await assert.rejects(all.subscription.done, new RegExp(`consumeBatch returned ${fact}`));
        assert.deepEqual(all.member.acknowledged, []);
      });
    }
  });

  it("may fail before the first await, and succeed without a promise", async () => {
    const translator: BatchTranslator = { topics: ["orders"], types: ["made"], consumeBatch: () => assert.fail("at once") };
    await using all = await stage({ onFailure: "skip" }, { translators: translator });
    all.deliver(0, [["a", 0]]);
    await turns();
    assert.equal(all.subscription.stats().skipped, 1);
    await using other = await stage({}, { translators: { ...translator, consumeBatch: (events) => events.map(() => undefined) } });
    other.deliver(0, [["a", 0]]);
    await turns();
    assert.equal(other.subscription.stats().handled, 1);
  });

  it("stop at a failed event with nothing acknowledged behind it in its key; what else finished is acknowledged", () =>
    play({}, async (all, batches) => {
      all.deliver(0, some);
      await turns();
      await batches.end([failed, undefined, undefined, undefined]);
      await assert.rejects(all.subscription.done, /event .* offset 0 failed: odd/);
      assert.deepEqual(all.member.acknowledged.sort(), ["orders/0@1", "orders/0@3"]);
    }));

  it("leave what fails while draining, and what follows it, to the next delivery", () =>
    play({ onFailure: "skip" }, async (all, batches) => {
      all.deliver(0, some);
      await turns();
      const stopped = all.subscription.stop();
      await batches.end([failed, undefined, undefined, undefined]);
      await stopped;
      assert.deepEqual(all.member.acknowledged.sort(), ["orders/0@1", "orders/0@3"]);
      assert.deepEqual([all.subscription.stats().skipped, all.subscription.stats().handled], [0, 2]);
    }));

  it("dead-letter what failed for good, and go on with what follows", async () => {
    const publisher = FakePublisherDriver.obliging();
    const batches = new Batches();
    await using all = await stage({ deadLetter: true }, { translators: batches, publisher });
    all.deliver(0, some);
    await turns();
    await batches.end([failed, undefined, undefined, failed]);
    await until("all", () => all.member.acknowledged.length === 4);
    assert.deepEqual(publisher.sends.flatMap(({ records }) => records.map(({ key }) => key)).sort(), ["a", "c"]);
    const { handled, deadLettered, retried } = all.subscription.stats();
    assert.deepEqual({ handled, deadLettered, retried }, { handled: 2, deadLettered: 2, retried: 0 });
  });

  it("leave out records that are ignored or cannot be decoded", async () => {
    const batches = new Batches();
    await using all = await stage({ onFailure: "skip" }, { translators: batches });
    all.deliver(0, [
      ["a", 0],
      ["a", 1, { value: null }],
      ["a", 2, { headers: { correlation_id: undefined } }],
      ["b", 3, { headers: { type: "foreign" } }],
      ["a", 4],
    ]);
    await turns();
    assert.deepEqual(batches.begun, [["a0", "a4"]]);
    await batches.end();
    assert.equal(all.member.acknowledged.length, 5);
    const { handled, ignored, skipped } = all.subscription.stats();
    assert.deepEqual({ handled, ignored, skipped }, { handled: 2, ignored: 2, skipped: 1 });
    all.deliver(0, [["a", 5, { value: null }]]);
    await turns();
    assert.equal(batches.begun.length, 1, "none is left, none is called");
  });

  it("hold of a batch whose record ends the subscription only what lies before that, and nothing of a partition that went meanwhile", async () => {
    const batches = new Batches();
    await using all = await stage({}, { translators: batches });
    all.deliver(0, [
      ["a", 0],
      ["b", 1, { value: null }],
      ["c", 2],
    ]);
    await turns();
    assert.deepEqual(batches.begun, [["a0"]]);
    await batches.end();
    await assert.rejects(all.subscription.done, (error) => isHexkitError(error, "ERR_HEXKIT_EVENT_UNDECODABLE"));
    assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
    const publisher = new FakePublisherDriver();
    const slow = new Batches();
    await using other = await stage({ deadLetter: true }, { translators: slow, publisher });
    other.deliver(0, [
      ["a", 0],
      ["b", 1, { value: null }],
      ["c", 2],
    ]);
    await publisher.next();
    await other.member.sink.revoked([at("orders")], { lost: true });
    await turns();
    assert.deepEqual(slow.begun, []);
  });

  it("mix with translators that take single events, in order per key", async () => {
    const seen: string[] = [];
    const single: Translator = {
      topics: ["orders"],
      types: ["single"],
      consume: ({ key, payload }) => void seen.push(`${key}${(payload as { n: number }).n}`),
    };
    const batches = new Batches();
    await using all = await stage({}, { translators: [single, batches] });
    const one = { headers: { type: "single" } };
    all.deliver(0, [
      ["a", 0],
      ["a", 1, one],
      ["a", 2],
      ["b", 3, one],
      ["b", 4],
      ["c", 5],
    ]);
    await turns();
    assert.deepEqual(seen, ["b3"]);
    assert.deepEqual(batches.begun, [["a0", "c5"], ["b4"]]);
    await batches.end();
    assert.deepEqual(seen, ["b3", "a1"]);
    await batches.end();
    assert.deepEqual(batches.begun[2], ["a2"]);
    await batches.end();
    assert.equal(all.subscription.stats().handled, 6);
  });

  it("take events of the retry topic by their original topic", async () => {
    const batches = new Batches();
    await using all = await stage({ deadLetter: true }, { translators: batches, publisher: FakePublisherDriver.obliging() });
    all.member.sink.assigned([at("retry-shop")]);
    all.member.sink.records(at("retry-shop"), [
      record(0, { topic: "retry-shop", key: "a", headers: { original_topic: "orders" } }),
      record(1, { topic: "retry-shop", key: "b", headers: { original_topic: "bills" } }),
      record(2, { topic: "retry-shop", key: "c" }),
    ]);
    await turns();
    assert.deepEqual(batches.begun, [["a0"]]);
    assert.equal(all.subscription.stats().ignored, 2);
  });

  it("have one time limit, after which all have failed", () =>
    play({ handlerTimeoutMs: 50, maxRetries: 1 }, async (all, batches, tick) => {
      all.deliver(0, "a0 b1");
      await turns();
      await tick(50);
      assert.ok(isHexkitError(batches.contexts[0]?.signal.reason, "ERR_HEXKIT_TIMEOUT"));
      assert.equal(all.subscription.stats().retried, 2);
      await batches.end();
      assert.equal(all.subscription.stats().handled, 0, "it is too late");
    }));

  it("have a signal that ends with any of their partitions; events of the others are tried again", () =>
    play({ concurrency: 1, maxRetries: 1 }, async (all, batches, tick) => {
      all.deliver(0, [["x", 9]]);
      await turns();
      all.deliver(0, [["a", 10]]);
      all.deliver(1, [["b", 0]]);
      await batches.end();
      assert.deepEqual(batches.begun[1], ["a10", "b0"]);
      const { signal } = batches.contexts[1] as BatchContext;
      await all.member.sink.revoked([at("orders", 0)], { lost: true });
      assert.match((signal.reason as Error).message, /given up/);
      await turns();
      assert.equal(all.subscription.stats().retried, 1);
      await tick(120);
      assert.deepEqual(batches.begun[2], ["b0"]);
      const running = batches.running.splice(0, 1);
      await batches.end();
      running[0]?.resolve(undefined);
      assert.deepEqual(all.member.acknowledged, ["orders/0@9", "orders/1@0"]);
    }));

  it("set no correlation id, since each event has its own", async () => {
    const ids: unknown[] = [];
    const translator: BatchTranslator = { topics: ["orders"], types: ["made"], consumeBatch: () => void ids.push(currentCorrelationId()) };
    await using all = await stage({}, { translators: translator });
    all.deliver(0, [["a", 0]]);
    await turns();
    assert.deepEqual(ids, [undefined]);
  });
});
