import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import {
  currentCorrelationId,
  type ErrorCode,
  type EventPublisher,
  type HexkitError,
  isHexkitError,
  newCorrelationId,
  type OutgoingEvent,
  withCorrelationId,
} from "../../../core/index.ts";
import { deferred } from "../../../core/promise.ts";
import { busy, denied, FakePublisherDriver, openPublisher, type Send, SkippingClock, tooLarge, turns, until } from "./bench.ts";

const event = (n: number, key = "k", topic = "t"): OutgoingEvent => ({ topic, type: "made", key, payload: { n } });
const uuid4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Watches calls without handling their rejections late. */
class Calls {
  readonly outcomes = new Map<string, string>();
  readonly errors = new Map<string, HexkitError>();

  watch(name: string | number, call: Promise<void>): void {
    call.then(
      () => this.outcomes.set(String(name), "stored"),
      (error: HexkitError) => {
        this.outcomes.set(String(name), error.code);
        this.errors.set(String(name), error);
      },
    );
  }

  /** Publishes events by number and key, in the order of the numbers. */
  publish(api: EventPublisher, keys: Readonly<Record<number, string>>): void {
    for (const [n, key] of Object.entries(keys)) this.watch(n, api.publish(event(Number(n), key)));
  }

  async settled(count: number): Promise<Record<string, string>> {
    await until(`${count} calls to settle`, () => this.outcomes.size >= count);
    await turns();
    return Object.fromEntries(this.outcomes);
  }
}

async function rejection(call: Promise<unknown>, code: ErrorCode): Promise<HexkitError> {
  const error = await call.then(
    () => assert.fail("it resolved"),
    (reason: unknown) => reason,
  );
  assert.ok(isHexkitError(error, code), `${(error as Error).name} ${(error as HexkitError).code}: ${(error as Error).message}`);
  return error;
}

const byKey = (driver: FakePublisherDriver): void => {
  driver.onLane = ({ topic, key }) => `${topic}/${key}`;
};

describe("gathering", () => {
  it("sends what is published in one turn of the event loop as one batch per lane, in order", async () => {
    const driver = FakePublisherDriver.obliging();
    byKey(driver);
    await using service = await openPublisher(driver);
    await Promise.all([event(1, "a"), event(2, "b"), event(3, "a"), event(4, "b")].map((each) => service.api.publish(each)));
    assert.deepEqual(Object.fromEntries(driver.sends.map((send) => [send.lane, send.values])), { "t/a": [1, 3], "t/b": [2, 4] });
    assert.deepEqual(driver.prepared, ["t"]);
  });

  it("gathers what comes while a batch is under way into the next one", async () => {
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver);
    const calls = new Calls();
    calls.watch(1, service.api.publish(event(1)));
    const first = await driver.next();
    for (const n of [2, 3, 4]) {
      calls.watch(n, service.api.publish(event(n)));
      await turns();
    }
    assert.equal(driver.sends.length, 1, "one batch per lane at a time");
    first.answer();
    const second = await driver.next();
    assert.deepEqual(second.values, [2, 3, 4]);
    assert.deepEqual(Object.fromEntries(calls.outcomes), { 1: "stored" });
    second.answer();
    assert.deepEqual(await calls.settled(4), { 1: "stored", 2: "stored", 3: "stored", 4: "stored" });
  });

  it("waits for nothing: neither the clock nor a timer is asked", async () => {
    const clock = new SkippingClock();
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver, { clock });
    for (let n = 0; n < 10; n += 1) await service.api.publish(event(n));
    assert.equal(driver.sends.length, 10);
    assert.deepEqual(clock.sleeps, []);
  });

  it("lets others have their turn although the driver answers without any I/O", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    let turned = false;
    setImmediate(() => setImmediate(() => setImmediate(() => (turned = true))));
    const caller = async (): Promise<number> => {
      let calls = 0;
      for (; !turned && calls < 10_000; calls += 1) await service.api.publish(event(calls));
      return calls;
    };
    for (const calls of await Promise.all([caller(), caller()])) assert.ok(calls < 100, `${calls} calls before the event loop turned`);
  });

  it("lets no lane wait for another", async () => {
    const driver = new FakePublisherDriver();
    byKey(driver);
    driver.onSend = (send) => send.lane === "t/quick" && send.answer();
    await using service = await openPublisher(driver);
    const calls = new Calls();
    calls.watch("stuck", service.api.publish(event(1, "stuck")));
    const stuck = await driver.next();
    for (let n = 0; n < 5; n += 1) await service.api.publish(event(n, "quick"));
    assert.equal(calls.outcomes.size, 0);
    stuck.answer();
    assert.deepEqual(await calls.settled(1), { stuck: "stored" });
  });

  it("lets no topic wait for the preparation of another", async () => {
    const driver = FakePublisherDriver.obliging();
    let ready = (): void => {};
    driver.onPrepare = (topic) => (topic === "slow" ? new Promise<void>((resolve) => (ready = resolve)) : undefined);
    await using service = await openPublisher(driver);
    const calls = new Calls();
    for (const n of [1, 2, 3]) calls.watch(n, service.api.publish(event(n, "k", "slow")));
    await service.api.publish(event(4, "k", "fast"));
    assert.equal(calls.outcomes.size, 0);
    ready();
    await calls.settled(3);
    assert.deepEqual(
      driver.sends.map((send) => send.values),
      [[4], [1, 2, 3]],
    );
    assert.deepEqual(driver.prepared, ["slow", "fast"], "events that wait share one preparation");
  });

  it("bounds a batch by the provider's size, headers and overhead counted", async () => {
    const driver = new FakePublisherDriver();
    driver.maxRecordBytes = 10_000;
    await using service = await openPublisher(driver);
    const calls = new Calls();
    const big = (n: number): OutgoingEvent => ({
      ...event(n),
      payload: { n, text: "x".repeat(2_000) },
      headers: { note: "y".repeat(2_000) },
    });
    for (let n = 1; n <= 5; n += 1) calls.watch(n, service.api.publish(big(n)));
    for (const expected of [[1, 2], [3, 4], [5]]) {
      const send = await driver.next();
      assert.deepEqual(send.values, expected);
      send.answer();
    }
    await calls.settled(5);
  });

  it("uses a lane again after it has run empty, and forgets it in between", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    for (let round = 0; round < 3; round += 1) {
      await Promise.all([service.api.publish(event(round)), service.api.publish(event(round))]);
      await turns();
    }
    assert.equal(driver.sends.length, 3);
  });
});

describe("outcomes", () => {
  it("settles each call by its own", async () => {
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver);
    const calls = new Calls();
    calls.publish(service.api, { 1: "a", 2: "b", 3: "c" });
    (await driver.next()).answer(undefined, denied(), undefined);
    assert.deepEqual(await calls.settled(3), { 1: "stored", 2: "ERR_HEXKIT_PERMISSION_DENIED", 3: "stored" });
    const error = calls.errors.get("2") as HexkitError;
    assert.match(error.message, /^eventPublisher \(provider "broker", plugin fake\): publish to topic "t" failed: not you$/);
    assert.ok(error.cause instanceof Error, "the client's own error is the cause");
  });

  it("takes a driver's silence about a record for a failure, not for success", async () => {
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver);
    const calls = new Calls();
    calls.publish(service.api, { 1: "a", 2: "b" });
    (await driver.next()).answerWith([{}]);
    assert.deepEqual(await calls.settled(2), { 1: "stored", 2: "ERR_HEXKIT_PROVIDER_FAILED" });
    assert.match((calls.errors.get("2") as HexkitError).message, /no outcome; it may or may not have been stored/);
  });

  it("fails at once what the plugin does not call retriable, or does not know", async () => {
    const clock = new SkippingClock();
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver, { clock });
    driver.onSend = (send) => send.fail(denied());
    await rejection(service.api.publish(event(1)), "ERR_HEXKIT_PERMISSION_DENIED");
    driver.onSend = (send) => send.fail("words");
    await rejection(service.api.publish(event(2)), "ERR_HEXKIT_PROVIDER_FAILED");
    driver.onPrepare = () => {
      throw denied();
    };
    await rejection(service.api.publish(event(3, "k", "other")), "ERR_HEXKIT_PERMISSION_DENIED");
    assert.deepEqual(clock.sleeps, []);
    assert.equal(driver.sends.length, 2);
  });

  it("fails what its lane cannot be told of, and goes on with the rest", async () => {
    const driver = FakePublisherDriver.obliging();
    driver.onLane = ({ key }) => {
      if (key === "odd") throw new Error("no such partition");
      return "lane";
    };
    await using service = await openPublisher(driver);
    const calls = new Calls();
    calls.watch("odd", service.api.publish(event(1, "odd")));
    calls.watch("even", service.api.publish(event(2, "even")));
    assert.deepEqual(await calls.settled(2), { odd: "ERR_HEXKIT_PROVIDER_FAILED", even: "stored" });
  });
});

describe("retrying", () => {
  it("repeats a retriable outcome with growing pauses, after asking the driver to prepare again", async () => {
    const clock = new SkippingClock();
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver, { clock });
    const calls = new Calls();
    calls.watch(1, service.api.publish(event(1)));
    for (let attempt = 0; attempt < 7; attempt += 1) (await driver.next()).answer(busy());
    (await driver.next()).answer();
    assert.deepEqual(await calls.settled(1), { 1: "stored" });
    assert.equal(driver.prepared.length, 8);
    assert.equal(clock.sleeps.length, 7);
    clock.sleeps.forEach((ms, attempt) => {
      const most = Math.min(100 * 2 ** attempt, 1_000);
      assert.ok(ms >= most / 2 && ms <= most, `pause ${attempt} of ${ms} ms`);
    });
  });

  it("repeats a send that throws, and starts with a short pause after each success", async () => {
    const clock = new SkippingClock();
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver, { clock });
    const calls = new Calls();
    calls.watch(1, service.api.publish(event(1)));
    (await driver.next()).fail(busy());
    (await driver.next()).fail(busy());
    const third = await driver.next();
    calls.watch(2, service.api.publish(event(2)));
    await turns();
    third.answer();
    (await driver.next()).fail(busy());
    (await driver.next()).fail(busy());
    (await driver.next()).answer();
    assert.deepEqual(await calls.settled(2), { 1: "stored", 2: "stored" });
    assert.equal(clock.sleeps.length, 4);
    assert.ok((clock.sleeps[2] as number) <= 100);
  });

  it("sends a record again as the same object, and an event that is published again as another", async () => {
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver, { clock: new SkippingClock() });
    const calls = new Calls();
    calls.watch(1, service.api.publish(event(1)));
    const first = await driver.next();
    first.answer(busy());
    const second = await driver.next();
    assert.equal(second.records[0], first.records[0]);
    second.fail(busy());
    const third = await driver.next();
    assert.equal(third.records[0], first.records[0]);
    third.answer();
    await calls.settled(1);
    calls.watch(2, service.api.publish(event(1)));
    const fourth = await driver.next();
    assert.notEqual(fourth.records[0], first.records[0]);
    fourth.answer();
    assert.deepEqual(await calls.settled(2), { 1: "stored", 2: "stored" });
  });

  it("keeps the order over retries: only what failed goes again, before what came later", async () => {
    const clock = new SkippingClock();
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver, { clock });
    const calls = new Calls();
    calls.publish(service.api, { 1: "a", 2: "b", 3: "b", 4: "c" });
    const first = await driver.next();
    calls.watch(5, service.api.publish(event(5, "b")));
    first.answer(undefined, busy(), busy(), undefined);
    const second = await driver.next();
    assert.deepEqual(second.values, [2, 3, 5]);
    second.answer();
    assert.deepEqual(await calls.settled(5), { 1: "stored", 2: "stored", 3: "stored", 4: "stored", 5: "stored" });
  });

  it("repeats a failing preparation and keeps the order of what waits for it", async () => {
    const clock = new SkippingClock();
    const driver = FakePublisherDriver.obliging();
    let failures = 3;
    driver.onPrepare = () => {
      if (failures-- > 0) throw busy();
    };
    await using service = await openPublisher(driver, { clock });
    await service.api.publishAll([1, 2, 3].map((n) => event(n)));
    assert.equal(clock.sleeps.length, 3);
    assert.deepEqual(
      driver.sends.map((send) => send.values),
      [[1, 2, 3]],
    );
  });

  it("gives up after deliveryTimeoutMs with the last cause", async () => {
    const clock = new SkippingClock();
    const driver = new FakePublisherDriver();
    driver.onSend = (send) => send.answer(busy());
    await using service = await openPublisher(driver, { clock, settings: { deliveryTimeoutMs: 5_000 } });
    const error = await rejection(service.api.publish(event(1)), "ERR_HEXKIT_TIMEOUT");
    assert.match(error.message, /publish to topic "t": not acknowledged within 5000 ms; it may or may not have been stored: .*no leader/);
    assert.ok(isHexkitError(error.cause, "ERR_HEXKIT_UNAVAILABLE"));
    const slept = clock.sleeps.reduce((sum, ms) => sum + ms, 0);
    assert.ok(slept >= 5_000 && slept <= 6_000, `slept ${slept} ms`);
    const { length } = driver.sends;
    await turns(50);
    assert.equal(driver.sends.length, length, "nothing is sent after its time");
  });

  it("gives up after deliveryTimeoutMs while the topic cannot be prepared, and says that nothing was sent", async () => {
    const clock = new SkippingClock();
    const driver = new FakePublisherDriver();
    driver.onPrepare = () => {
      throw busy();
    };
    await using service = await openPublisher(driver, { clock, settings: { deliveryTimeoutMs: 100_000 } });
    const error = await rejection(service.api.publish(event(1)), "ERR_HEXKIT_TIMEOUT");
    assert.match(error.message, /it was not sent: .*no leader/);
    driver.onPrepare = undefined;
    driver.onSend = (send) => send.answer();
    await service.api.publish(event(2));
    assert.deepEqual(
      driver.sends.map((send) => send.values),
      [[2]],
    );
  });

  it("times out when the driver hangs, in sending or in preparing", async () => {
    const clock = new SkippingClock();
    const driver = new FakePublisherDriver();
    const preparing = deferred<void>();
    driver.onPrepare = (topic) => {
      if (topic !== "unready") return;
      preparing.resolve();
      return new Promise(() => {});
    };
    await using service = await openPublisher(driver, { clock, settings: { deliveryTimeoutMs: 20 } });
    const publish = async (sent: OutgoingEvent, stuck: Promise<unknown>): Promise<string> => {
      const rejected = rejection(service.api.publish(sent), "ERR_HEXKIT_TIMEOUT");
      await stuck;
      clock.advance(20);
      return (await rejected).message;
    };
    assert.match(await publish(event(1), driver.next()), /it may or may not have been stored: the broker did not answer/);
    assert.match(await publish(event(2, "k", "unready"), preparing.promise), /it was not sent: the broker did not answer/);
    await publish(event(3), turns());
    assert.equal(driver.sends.length, 1, "the lane is still waiting for its answer");
    driver.onSend = (send) => send.answer();
    driver.sends[0]?.answer();
    await service.api.publish(event(4));
    assert.deepEqual(
      driver.sends.map((send) => send.values),
      [[1], [4]],
    );
  });

  it("goes by the clock, also when a timer is early", async () => {
    const clock = new SkippingClock();
    let looks = 0;
    const now = clock.now.bind(clock);
    clock.now = () => {
      looks += 1;
      return now();
    };
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver, { clock, settings: { deliveryTimeoutMs: 5 } });
    const calls = new Calls();
    calls.watch(1, service.api.publish(event(1)));
    await driver.next();
    const before = looks;
    await until("the timer", () => looks > before);
    await turns();
    assert.equal(calls.outcomes.size, 0);
    clock.advance(5);
    assert.deepEqual(await calls.settled(1), { 1: "ERR_HEXKIT_TIMEOUT" });
  });

  it("takes a deadline farther away than a timer can wait", async () => {
    const warnings: string[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning.name);
    process.on("warning", onWarning);
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver, { settings: { deliveryTimeoutMs: 2 ** 33 } });
    const calls = new Calls();
    calls.watch(1, service.api.publish(event(1)));
    const send = await driver.next();
    await turns(20);
    send.answer();
    assert.deepEqual(await calls.settled(1), { 1: "stored" });
    process.off("warning", onWarning);
    assert.deepEqual(warnings, []);
  });
});

describe("order behind a failure", () => {
  it("takes along what waits behind a failed event of the same topic and key, nothing else", async () => {
    const driver = new FakePublisherDriver();
    driver.onLane = () => "the only lane";
    await using service = await openPublisher(driver);
    const calls = new Calls();
    calls.watch("bad", service.api.publish(event(1, "a")));
    const first = await driver.next();
    calls.watch("behind", service.api.publish(event(2, "a")));
    calls.watch("other key", service.api.publish(event(3, "b")));
    calls.watch("other topic", service.api.publish(event(4, "a", "t2")));
    calls.watch("far behind", service.api.publish(event(5, "a")));
    await turns();
    first.answer(denied());
    const second = await driver.next();
    assert.deepEqual(second.values, [3, 4]);
    second.answer();
    assert.deepEqual(await calls.settled(5), {
      bad: "ERR_HEXKIT_PERMISSION_DENIED",
      behind: "ERR_HEXKIT_EVENT_ORDER",
      "far behind": "ERR_HEXKIT_EVENT_ORDER",
      "other key": "stored",
      "other topic": "stored",
    });
    assert.match(
      (calls.errors.get("behind") as HexkitError).message,
      /: not sent, because an earlier event with the same key failed: .*not you/,
    );
    assert.equal((calls.errors.get("behind") as HexkitError).cause, calls.errors.get("bad"));
    driver.onSend = (send) => send.answer();
    await service.api.publish(event(6, "a"));
  });

  it("does not repeat what failed behind a failed event in the same batch", async () => {
    const clock = new SkippingClock();
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver, { clock });
    const calls = new Calls();
    calls.publish(service.api, { 1: "a", 2: "a", 3: "b" });
    (await driver.next()).answer(denied(), busy(), busy());
    const second = await driver.next();
    assert.deepEqual(second.values, [3]);
    second.answer();
    assert.deepEqual(await calls.settled(3), { 1: "ERR_HEXKIT_PERMISSION_DENIED", 2: "ERR_HEXKIT_EVENT_ORDER", 3: "stored" });
    assert.match((calls.errors.get("2") as HexkitError).message, /not sent again.*it may or may not have been stored/);
  });

  it("repeats what failed before a failed event of its key", async () => {
    const clock = new SkippingClock();
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver, { clock });
    const calls = new Calls();
    for (const n of [1, 2]) calls.watch(n, service.api.publish(event(n)));
    (await driver.next()).answer(busy(), denied());
    (await driver.next()).answer();
    assert.deepEqual(await calls.settled(2), { 1: "stored", 2: "ERR_HEXKIT_PERMISSION_DENIED" });
  });

  it("counts a timeout as a failure", async () => {
    const clock = new SkippingClock();
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver, { clock, settings: { deliveryTimeoutMs: 1_000 } });
    const calls = new Calls();
    calls.watch("late", service.api.publish(event(1, "a")));
    const first = await driver.next();
    clock.advance(999);
    for (const [name, key] of [
      ["behind", "a"],
      ["other", "b"],
    ] as const)
      calls.watch(name, service.api.publish(event(2, key)));
    await turns();
    clock.advance(1);
    first.answer(busy());
    const second = await driver.next();
    assert.deepEqual(
      second.records.map(({ key }) => key),
      ["b"],
    );
    second.answer();
    assert.deepEqual(await calls.settled(3), { late: "ERR_HEXKIT_TIMEOUT", behind: "ERR_HEXKIT_EVENT_ORDER", other: "stored" });
  });

  it("does not repeat an event in flight whose predecessor has timed out meanwhile", async () => {
    const driver = new FakePublisherDriver();
    const clock = new SkippingClock();
    await using service = await openPublisher(driver, { clock, settings: { deliveryTimeoutMs: 1_000 } });
    const calls = new Calls();
    calls.watch(1, service.api.publish(event(1, "a")));
    (await driver.next()).answer(busy());
    await until("the pause", () => clock.sleeps.length === 1);
    clock.advance(500);
    calls.watch(2, service.api.publish(event(2, "a")));
    const both = await driver.next();
    assert.deepEqual(both.values, [1, 2]);
    clock.advance(450);
    // Another lane's turn finds the first one's time over.
    driver.onLane = () => "other";
    calls.watch(3, service.api.publish(event(3, "b")));
    (await driver.next()).answer();
    await calls.settled(2);
    both.answer(busy(), busy());
    assert.deepEqual(await calls.settled(3), { 1: "ERR_HEXKIT_TIMEOUT", 2: "ERR_HEXKIT_EVENT_ORDER", 3: "stored" });
  });
});

describe("size", () => {
  it("splits a batch that is too large together, and fails only what is too large alone", async () => {
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver);
    const calls = new Calls();
    calls.publish(service.api, { 1: "a", 2: "b", 3: "c" });
    (await driver.next()).fail(tooLarge());
    const again: Promise<void>[] = [];
    for (const [n, outcome] of [
      [1, undefined],
      [2, tooLarge()],
      [3, undefined],
    ] as const) {
      const send = await driver.next();
      assert.deepEqual(send.values, [n]);
      if (n === 3) for (const more of [4, 5]) again.push(service.api.publish(event(more)));
      await turns();
      send.answer(outcome);
    }
    assert.deepEqual(await calls.settled(3), { 1: "stored", 2: "ERR_HEXKIT_MESSAGE_TOO_LARGE", 3: "stored" });
    const send = await driver.next();
    assert.deepEqual(send.values, [4, 5], "batches are whole again afterwards");
    send.answer();
    await Promise.all(again);
  });

  it("counts key and payload in bytes, as they are escaped, before anything is sent", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    const payload = { text: "ß".repeat(10) };
    driver.maxRecordBytes = 3 + JSON.stringify({ text: "" }).length + 60;
    await service.api.publish({ topic: "t", type: "made", key: "key", payload });
    driver.maxRecordBytes -= 1;
    const error = await rejection(service.api.publish({ topic: "t", type: "made", key: "key", payload }), "ERR_HEXKIT_MESSAGE_TOO_LARGE");
    assert.match(error.message, /74 bytes of key and payload for topic "t" exceed the provider's limit of 73/);
    assert.equal(driver.sends.length, 1);
  });
});

describe("aborting", () => {
  it("refuses a call whose signal has aborted before", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    const error = await rejection(service.api.publish(event(1), { signal: AbortSignal.abort("enough") }), "ERR_HEXKIT_ABORTED");
    assert.match(error.message, /it was not sent/);
    assert.equal(error.cause, "enough");
    assert.equal(driver.prepared.length, 0);
  });

  it("withdraws what waits, and says that it was not sent; what is in flight may have been stored", async () => {
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver);
    const [flying, waiting, calls] = [new AbortController(), new AbortController(), new Calls()];
    calls.watch("flying", service.api.publish(event(1), { signal: flying.signal }));
    const first = await driver.next();
    calls.watch("waiting", service.api.publish(event(2), { signal: waiting.signal }));
    calls.watch("patient", service.api.publish(event(3)));
    waiting.abort();
    flying.abort();
    await calls.settled(2);
    assert.match((calls.errors.get("waiting") as HexkitError).message, /aborted by its signal; it was not sent/);
    assert.match((calls.errors.get("flying") as HexkitError).message, /aborted by its signal; it may or may not have been stored/);
    first.answer(denied());
    const second = await driver.next();
    assert.deepEqual(second.values, [3], "an abort is no failure: what waits behind it goes on");
    second.answer();
    assert.deepEqual(await calls.settled(3), { flying: "ERR_HEXKIT_ABORTED", waiting: "ERR_HEXKIT_ABORTED", patient: "stored" });
  });

  it("withdraws what waits for its topic", async () => {
    const driver = FakePublisherDriver.obliging();
    let ready = (): void => {};
    driver.onPrepare = () => new Promise<void>((resolve) => (ready = resolve));
    await using service = await openPublisher(driver);
    const [controller, calls] = [new AbortController(), new Calls()];
    calls.watch(1, service.api.publish(event(1), { signal: controller.signal }));
    calls.watch(2, service.api.publish(event(2)));
    controller.abort();
    await calls.settled(1);
    ready();
    assert.deepEqual(await calls.settled(2), { 1: "ERR_HEXKIT_ABORTED", 2: "stored" });
    assert.deepEqual(
      driver.sends.map((send) => send.values),
      [[2]],
    );
  });

  it("does not claim that an event was not sent which waits for its repetition", async () => {
    const clock = new SkippingClock();
    clock.sleep = () => new Promise(() => {});
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver, { clock });
    const [controller, calls] = [new AbortController(), new Calls()];
    calls.watch(1, service.api.publish(event(1), { signal: controller.signal }));
    (await driver.next()).answer(busy());
    await turns();
    controller.abort();
    await calls.settled(1);
    assert.match((calls.errors.get("1") as HexkitError).message, /it may or may not have been stored/);
  });

  it("listens once to a signal that many events share, and no longer than they live", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on("warning", onWarning);
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver);
    const { signal } = new AbortController();
    let listeners = 0;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...given: Parameters<typeof add>) => {
      listeners += 1;
      add(...given);
    };
    signal.removeEventListener = (...given: Parameters<typeof remove>) => {
      listeners -= 1;
      remove(...given);
    };
    const all = service.api.publishAll(
      Array.from({ length: 50 }, (_, n) => event(n)),
      { signal },
    );
    const send = await driver.next();
    assert.equal(listeners, 1);
    send.answer();
    await all;
    assert.equal(listeners, 0);
    process.off("warning", onWarning);
    assert.deepEqual(warnings, []);
  });

  it("lets many lanes be in trouble at once without a warning of Node's", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on("warning", onWarning);
    const driver = new FakePublisherDriver();
    byKey(driver);
    driver.onSend = (send) => send.answer(busy());
    await using service = await openPublisher(driver, { settings: { deliveryTimeoutMs: 20 } });
    const outcomes = await Promise.allSettled(Array.from({ length: 30 }, (_, n) => service.api.publish(event(n, `k${n}`))));
    assert.ok(outcomes.every(({ status }) => status === "rejected"));
    process.off("warning", onWarning);
    assert.deepEqual(warnings, []);
  });
});

describe("publishAll", () => {
  it("refuses all for bad input in one, before anything is sent", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    const error = await rejection(service.api.publishAll([event(1), { ...event(2), type: "ä" }, event(3)]), "ERR_HEXKIT_NOT_ASCII");
    assert.match(error.message, /publishAll, event 1: type "ä" has a character outside ASCII/);
    assert.equal(driver.prepared.length, 0);
  });

  it("rejects with the first failure in the order of the events, once every event is settled", async () => {
    const driver = new FakePublisherDriver();
    byKey(driver);
    await using service = await openPublisher(driver);
    const calls = new Calls();
    calls.watch("all", service.api.publishAll([event(1, "a"), event(2, "b"), event(3, "c")]));
    const sends = [await driver.next(), await driver.next(), await driver.next()];
    const of = (lane: string): Send => sends.find((send) => send.lane === lane) as Send;
    of("t/c").answer(new Error("third"));
    of("t/b").answer(new Error("second"));
    await turns();
    assert.equal(calls.outcomes.size, 0);
    of("t/a").answer();
    await calls.settled(1);
    assert.match((calls.errors.get("all") as HexkitError).message, /second$/);
  });

  it("takes an empty list, and nothing but a list", async () => {
    await using service = await openPublisher(new FakePublisherDriver());
    await service.api.publishAll([]);
    for (const odd of [undefined, event(1), "text"]) {
      const error = await rejection(service.api.publishAll(odd as never), "ERR_HEXKIT_INVALID_ARGUMENT");
      assert.match(error.message, /publishAll: it takes a list of events/);
    }
  });
});

describe("arguments", () => {
  const bad: [what: string, change: object, code: ErrorCode, message: RegExp][] = [
    ["a missing topic", { topic: undefined }, "ERR_HEXKIT_INVALID_ARGUMENT", /topic must be a string, not undefined/],
    ["an empty topic", { topic: "" }, "ERR_HEXKIT_INVALID_ARGUMENT", /topic must not be empty/],
    ["an empty type", { type: "" }, "ERR_HEXKIT_INVALID_ARGUMENT", /type must not be empty/],
    ["a null key", { key: null }, "ERR_HEXKIT_INVALID_ARGUMENT", /key must be a string, not null/],
    ["a numeric key", { key: 5 }, "ERR_HEXKIT_INVALID_ARGUMENT", /key must be a string, not number/],
    ["a topic outside ASCII", { topic: "tü" }, "ERR_HEXKIT_NOT_ASCII", /topic "tü" has a character outside ASCII/],
    ["a key with a lone surrogate", { key: "\ud83d" }, "ERR_HEXKIT_NOT_ASCII", /key .* has a character outside ASCII/],
    ["a header's value outside ASCII", { headers: { note: "ü" } }, "ERR_HEXKIT_NOT_ASCII", /header "note": "ü"/],
    ["a header's name outside ASCII", { headers: { ü: "x" } }, "ERR_HEXKIT_NOT_ASCII", /header "ü"/],
    ["a header that is no text", { headers: { note: 5 } }, "ERR_HEXKIT_INVALID_ARGUMENT", /header "note" must be a string, not number/],
    [
      "headers in a Map, whose entries would be lost",
      { headers: new Map([["a", "b"]]) },
      "ERR_HEXKIT_INVALID_ARGUMENT",
      /headers must be an object of strings/,
    ],
    ["headers in a list", { headers: [] }, "ERR_HEXKIT_INVALID_ARGUMENT", /headers must be an object of strings/],
    ["headers as text", { headers: "a" }, "ERR_HEXKIT_INVALID_ARGUMENT", /headers must be an object of strings/],
    ["an eventId that is no UUID", { eventId: "7" }, "ERR_HEXKIT_INVALID_ARGUMENT", /eventId "7" is not a UUID/],
    ["an empty eventId", { eventId: "" }, "ERR_HEXKIT_INVALID_ARGUMENT", /eventId "" is not a UUID/],
    ["an eventId that is a number", { eventId: 7 }, "ERR_HEXKIT_INVALID_ARGUMENT", /eventId 7 is not a UUID/],
  ];
  for (const [what, change, code, message] of bad) {
    it(`refuses ${what} before anything is sent`, async () => {
      const driver = FakePublisherDriver.obliging();
      await using service = await openPublisher(driver);
      const error = await rejection(service.api.publish({ ...event(1), ...change } as OutgoingEvent), code);
      assert.match(error.message, message);
      assert.match(error.message, /^eventPublisher \(provider "broker", plugin fake\): publish: /);
      assert.equal(driver.prepared.length, 0);
    });
  }

  it("refuses what is no event", async () => {
    await using service = await openPublisher(new FakePublisherDriver());
    for (const odd of [undefined, null, "text"]) await rejection(service.api.publish(odd as never), "ERR_HEXKIT_INVALID_ARGUMENT");
  });

  it("takes an empty key", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    await service.api.publish(event(1, ""));
    assert.equal(driver.sends[0]?.records[0]?.key, "");
  });
});

describe("headers", () => {
  const headersOf = (driver: FakePublisherDriver, index = 0) => driver.sends[index]?.records[0]?.headers ?? [];

  it("puts type, event_id and correlation_id after the caller's, in this order", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    await service.api.publish({ ...event(1), headers: { zebra: "1", ant: "2" } });
    assert.deepEqual(
      headersOf(driver).map(([name]) => name),
      ["zebra", "ant", "type", "event_id", "correlation_id"],
    );
    await service.api.publish(event(2));
    assert.equal(headersOf(driver, 1)[0]?.[0], "type");
  });

  it("replaces reserved ones in place and warns with the old and the new value", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    const [eventId, correlationId] = [randomUUID(), newCorrelationId()];
    await withCorrelationId(correlationId, () =>
      service.api.publish({ ...event(1), eventId, headers: { event_id: "mine", a: "b", correlation_id: "own", type: "other" } }),
    );
    assert.deepEqual(headersOf(driver), [
      ["event_id", eventId],
      ["a", "b"],
      ["correlation_id", correlationId],
      ["type", "made"],
    ]);
    const warned = service.lines.filter(({ level }) => level === "warn").map(({ fields }) => fields.details);
    assert.deepEqual(warned, [
      { header: "type", old: "other", new: "made" },
      { header: "event_id", old: "mine", new: eventId },
      { header: "correlation_id", old: "own", new: correlationId },
    ]);
  });

  it("takes an event id in any spelling of Python's and sends it in canonical form", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    const canonical = "0188d2b4-7c3e-7a01-9f00-0123456789ab";
    const spellings = [
      canonical,
      canonical.toUpperCase(),
      `{${canonical}}`,
      `urn:uuid:${canonical}`,
      canonical.replaceAll("-", ""),
      `uuid:{${canonical.replaceAll("-", "")}}`,
    ];
    for (const eventId of spellings) await service.api.publish({ ...event(1), eventId });
    const ids = driver.sends.map((send) => new Map(send.records[0]?.headers).get("event_id"));
    assert.deepEqual(
      ids,
      spellings.map(() => canonical),
    );
    for (const eventId of [
      `${canonical}0`,
      canonical.slice(1),
      canonical.replace("-", "{"),
      canonical.replace("0", "g"),
      ` ${canonical}`,
    ]) {
      await rejection(service.api.publish({ ...event(1), eventId }), "ERR_HEXKIT_INVALID_ARGUMENT");
    }
  });

  it("gives each event without an id a new one of version 4", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    await service.api.publishAll([event(1), event(2)]);
    const ids = (driver.sends[0]?.records ?? []).map(({ headers }) => new Map(headers).get("event_id") as string);
    assert.ok(ids.every((id) => uuid4.test(id)));
    assert.notEqual(ids[0], ids[1]);
  });

  it("sends the correlation id of the context, else a new one of version 4, which does not leak into the context", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    const correlationId = newCorrelationId();
    await withCorrelationId(correlationId, () => service.api.publish(event(1)));
    await service.api.publish(event(2));
    assert.equal(currentCorrelationId(), undefined);
    const [given, generated] = driver.sends.map((send) => new Map(send.records[0]?.headers).get("correlation_id") as string);
    assert.equal(given, correlationId);
    assert.match(generated as string, uuid4);
  });

  it("refuses to publish outside a context when generateCorrelationId is off", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver, { env: { HEXKIT_EVENT_PUBLISHER_GENERATE_CORRELATION_ID: "false" } });
    const error = await rejection(service.api.publish(event(1)), "ERR_HEXKIT_CORRELATION_ID_MISSING");
    assert.match(error.message, /generateCorrelationId is off; publish inside withCorrelationId/);
    await withCorrelationId(newCorrelationId(), () => service.api.publish(event(2)));
    assert.equal(driver.sends.length, 1);
  });
});

describe("closing", () => {
  it("flushes what waits and what is in flight", async () => {
    const driver = new FakePublisherDriver();
    const service = await openPublisher(driver);
    const calls = new Calls();
    calls.watch(1, service.api.publish(event(1)));
    const first = await driver.next();
    calls.watch(2, service.api.publish(event(2)));
    let closed = false;
    const closing = service.registry.close().then(() => {
      closed = true;
    });
    await turns();
    first.answer();
    const second = await driver.next();
    assert.ok(!closed);
    second.answer();
    await closing;
    assert.deepEqual(await calls.settled(2), { 1: "stored", 2: "stored" });
  });

  it("flushes what a topic's preparation still holds up", async () => {
    const driver = FakePublisherDriver.obliging();
    let ready = (): void => {};
    driver.onPrepare = () => new Promise<void>((resolve) => (ready = resolve));
    const service = await openPublisher(driver);
    const call = service.api.publish(event(1));
    const closing = service.registry.close();
    await turns();
    ready();
    await Promise.all([call, closing]);
  });

  it("refuses what is left when its time is over, and sends nothing more", async () => {
    const driver = new FakePublisherDriver();
    driver.onPrepare = (topic) => (topic === "unready" ? new Promise(() => {}) : undefined);
    const service = await openPublisher(driver);
    const calls = new Calls();
    calls.watch("flying", service.api.publish(event(1)));
    const first = await driver.next();
    calls.watch("waiting", service.api.publish(event(2)));
    calls.watch("unready", service.api.publish(event(3, "k", "unready")));
    await rejection(service.registry.close({ timeoutMs: 20 }), "ERR_HEXKIT_CLOSE_FAILED");
    assert.deepEqual(await calls.settled(3), { flying: "ERR_HEXKIT_CLOSED", waiting: "ERR_HEXKIT_CLOSED", unready: "ERR_HEXKIT_CLOSED" });
    assert.match(
      (calls.errors.get("flying") as HexkitError).message,
      /before the time for closing was over; it may or may not have been stored/,
    );
    assert.match((calls.errors.get("waiting") as HexkitError).message, /it was not sent/);
    assert.ok(first.options.signal?.aborted, "the driver is told");
    first.answer();
    await turns(30);
    assert.equal(driver.sends.length, 1);
  });

  it("refuses what is published afterwards", async () => {
    const driver = FakePublisherDriver.obliging();
    const service = await openPublisher(driver);
    await service.registry.close();
    const error = await rejection(service.api.publish(event(1)), "ERR_HEXKIT_CLOSED");
    assert.match(error.message, /publish after the registry closed/);
    await rejection(service.api.publishAll([event(1)]), "ERR_HEXKIT_CLOSED");
    assert.equal(driver.prepared.length, 0);
  });
});
