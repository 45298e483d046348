import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type EventContext, HexkitError, isHexkitError, type Translator } from "../../../core/index.ts";
import { deferred } from "../../../core/promise.ts";
import { at, busy, FakeSubscriberDriver, type LogLine, openSubscriber, record, turns, until } from "./bench.ts";
import { Handlers, logged, stage } from "./stage.ts";

describe("failure under the policy stop", () => {
  it("begins nothing more, lets what runs end, acknowledges what is settled, leaves and rejects with the cause", async () => {
    await using all = await stage({ commitEvery: 100 });
    all.deliver(0, "a0 b1 b2 c3 a4");
    await turns();
    await all.handlers.end("a0");
    const cause = new TypeError("no such order");
    await all.handlers.fail("b1", cause);
    assert.equal(all.subscription.state, "stopping");
    all.deliver(0, [["d", 5]]);
    await turns();
    assert.deepEqual(all.handlers.running, ["c3", "a4"]);
    assert.deepEqual(all.member.calls, ["pause orders/0"]);
    await all.handlers.end("c3", "a4");
    await assert.rejects(all.subscription.done, (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_EVENT_FAILED"));
      assert.match(
        error.message,
        /^eventSubscriber \(provider "broker", plugin fake\): event [0-9a-f-]{36} of type "made" at topic "orders", partition 0, offset 1 failed: no such order$/,
      );
      assert.equal(error.cause, cause);
      return true;
    });
    assert.equal(all.subscription.state, "failed");
    assert.deepEqual(all.member.calls, ["pause orders/0", "acknowledge", "leave"]);
    assert.deepEqual(all.member.acknowledged, ["orders/0@0", "orders/0@3", "orders/0@4"]);
    assert.deepEqual(all.handlers.begun, ["a0", "b1", "c3", "a4"]);
    const { handled, failed, skipped, inFlight } = all.subscription.stats();
    assert.deepEqual({ handled, failed, skipped, inFlight }, { handled: 3, failed: 1, skipped: 0, inFlight: 0 });
  });

  it("keeps the first failure; what fails after it is logged and delivered again", async () => {
    await using all = await stage();
    all.deliver(0, "a0 b1");
    await turns();
    await all.handlers.fail("a0", new Error("first"));
    await all.handlers.fail("b1", new Error("second"));
    await assert.rejects(all.subscription.done, /first/);
    assert.deepEqual(logged(all.lines, "error"), ["subscription failed"]);
    assert.deepEqual(logged(all.lines, "warn"), ["an event failed while its partition was given up; it will be delivered again"]);
    assert.deepEqual(all.member.acknowledged, []);
  });

  it("fails with whatever was thrown", async () => {
    for (const [thrown, fact] of [
      [undefined, "undefined"],
      ["words", "words"],
      [Object.create(null), "a thrown object"],
      [new Error(""), "Error"],
    ] as const) {
      await using all = await stage();
      all.deliver(0, [["a", 0]]);
      await turns();
      await all.handlers.fail("a0", thrown);
      await assert.rejects(
        all.subscription.done,
        (error) => isHexkitError(error, "ERR_HEXKIT_EVENT_FAILED") && error.message.endsWith(`failed: ${fact}`),
      );
    }
  });

  it("fails when a handler throws before its first await", async () => {
    const handlers = new Handlers();
    handlers.consume = () => {
      throw new Error("at once");
    };
    await using all = await stage({}, { handlers });
    all.deliver(0, [["a", 0]]);
    await assert.rejects(all.subscription.done, /at once/);
  });

  it("gives the drain time to those that run, then tells them by their signal, and does not count them", async () => {
    await using all = await stage({ drainTimeoutMs: 300 });
    all.deliver(0, "a0 b1");
    await turns();
    await all.handlers.fail("a0", new Error("first"));
    assert.equal(all.handlers.contexts[1]?.signal.aborted, false);
    await assert.rejects(all.subscription.done, /first/);
    assert.equal(all.handlers.contexts[1]?.signal.aborted, true);
    await all.handlers.end("b1");
    assert.deepEqual(all.member.acknowledged, []);
  });

  it("stands a record that its driver broke, and fails instead of hanging", async () => {
    await using all = await stage();
    all.member.sink.records(at("orders"), [{ ...record(0), headers: undefined as never }]);
    await assert.rejects(
      all.subscription.done,
      (error) => isHexkitError(error, "ERR_HEXKIT_PROVIDER_FAILED") && /offset 0 could not be handled/.test(error.message),
    );
  });

  it("lets its group be subscribed again, not before it has ended", async () => {
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver);
    const handlers = new Handlers();
    const subscription = service.api.subscribe(handlers);
    const exists = (error: unknown): boolean =>
      isHexkitError(error, "ERR_HEXKIT_SUBSCRIPTION_EXISTS") && /group "shop" is already subscribed/.test(error.message);
    assert.throws(() => service.api.subscribe(handlers), exists);
    const member = await driver.member();
    member.sink.assigned([at("orders")]);
    member.sink.records(at("orders"), [record(0, { key: "a" }), record(1, { key: "b" })]);
    await turns();
    await handlers.fail("a0", new Error("once"));
    assert.throws(() => service.api.subscribe(handlers), exists);
    await handlers.end("b1");
    await assert.rejects(subscription.done);
    const again = service.api.subscribe(handlers);
    const second = await driver.member(1);
    second.sink.assigned([at("orders")]);
    second.sink.records(at("orders"), [record(0, { key: "a" })]);
    await turns();
    assert.deepEqual(handlers.running, ["a0"]);
    await handlers.end("a0");
    await again.stop();
    service.api.subscribe(handlers, { group: "shop" });
    await driver.member(2);
  });

  it("ends serve with the cause", async () => {
    const driver = new FakeSubscriberDriver();
    const service = await openSubscriber(driver);
    const subscription = service.api.subscribe(new Handlers());
    const serving = service.registry.serve({ signals: [] });
    (await driver.member()).sink.failed(new Error("gone"));
    await assert.rejects(serving, /gone/);
    assert.equal(subscription.state, "failed");
  });
});

describe("failure under the policy skip", () => {
  it("logs, counts, acknowledges and goes on, in order within the key", async () => {
    await using all = await stage({ onFailure: "skip" });
    all.deliver(0, "a0 a1");
    await turns();
    const cause = new Error("odd");
    await all.handlers.fail("a0", cause);
    assert.deepEqual(all.handlers.running, ["a1"]);
    await all.handlers.end("a1");
    assert.deepEqual(all.member.acknowledged, ["orders/0@0", "orders/0@1"]);
    assert.equal(all.subscription.state, "running");
    const { handled, failed, skipped } = all.subscription.stats();
    assert.deepEqual({ handled, failed, skipped }, { handled: 1, failed: 1, skipped: 1 });
    const line = all.lines.find(({ level }) => level === "error") as LogLine;
    assert.equal(line.message, "an event failed and was skipped");
    assert.deepEqual(line.fields.details, { topic: "orders", partition: 0, offset: 0 });
  });

  it("neither skips nor counts what was cancelled", async () => {
    await using all = await stage({ onFailure: "skip", drainTimeoutMs: 5 });
    all.deliver(0, [["a", 0]]);
    await turns();
    const { signal } = all.handlers.contexts[0] as EventContext;
    signal.addEventListener("abort", () => void all.handlers.fail("a0", signal.reason));
    await all.subscription.stop();
    await turns();
    assert.equal(all.subscription.state, "stopped");
    assert.deepEqual(all.member.acknowledged, []);
    const { failed, skipped } = all.subscription.stats();
    assert.deepEqual({ failed, skipped }, { failed: 0, skipped: 0 });
    assert.match((signal.reason as Error).message, /the subscription has ended/);
  });
});

describe("stopping", () => {
  it("lets what runs end and handles what lies before it, begins nothing more, acknowledges and leaves, once", async () => {
    await using all = await stage({ commitEvery: 100 });
    all.deliver(0, "a0 a1 b2 a3 b4");
    await turns();
    const [first, second] = [all.subscription.stop(), all.subscription.stop()];
    assert.equal(all.subscription.state, "stopping");
    await all.handlers.end("b2");
    assert.deepEqual(all.member.calls, ["pause orders/0"]);
    await all.handlers.end("a0");
    assert.deepEqual(all.handlers.running, ["a1"], "without it, a log would deliver b2 again");
    await all.handlers.end("a1");
    await Promise.all([first, second, all.subscription.done, all.subscription.stop()]);
    assert.equal(all.subscription.state, "stopped");
    assert.deepEqual(all.member.calls, ["pause orders/0", "acknowledge", "leave"]);
    assert.deepEqual(all.member.acknowledged, ["orders/0@2", "orders/0@0", "orders/0@1"]);
    assert.deepEqual(all.handlers.begun, ["a0", "b2", "a1"]);
  });

  it("begins nothing behind an event that will be delivered again", async () => {
    await using all = await stage({ commitEvery: 100, maxRetries: 1 });
    all.deliver(0, "a0 b1 a2 b3 c4");
    await turns();
    const stopped = all.subscription.stop();
    await all.handlers.fail("a0", new Error("while it ends"));
    await all.handlers.end("b1", "c4");
    await stopped;
    assert.deepEqual(all.handlers.begun, ["a0", "b1", "c4"]);
    assert.deepEqual(all.member.acknowledged, ["orders/0@1", "orders/0@4"]);
  });

  it("begins nothing behind an event that waits for its next attempt", async () => {
    await using all = await stage({ commitEvery: 100, maxRetries: 1, retryDelayMs: 60_000, maxRetryDelayMs: 60_000 });
    all.deliver(0, "a0 b1 a2 b3 c4");
    await turns();
    await all.handlers.fail("a0", new Error("for now"));
    const stopped = all.subscription.stop();
    await all.handlers.end("b1", "c4");
    await stopped;
    assert.deepEqual(all.handlers.begun, ["a0", "b1", "c4"]);
  });

  it("begins nothing at all without time to drain, or when that is over", async () => {
    for (const drainTimeoutMs of [0, 20]) {
      await using all = await stage({ commitEvery: 100, drainTimeoutMs });
      all.deliver(0, "a0 a1 b2");
      await turns();
      await all.subscription.stop();
      await all.handlers.end("a0", "b2");
      assert.deepEqual(all.handlers.begun, ["a0", "b2"]);
    }
  });

  it("never counts as success what ends after its signal", async () => {
    await using all = await stage();
    all.deliver(0, [["a", 0]]);
    await turns();
    await all.subscription.stop({ drainTimeoutMs: 0 });
    assert.ok(all.handlers.contexts[0]?.signal.aborted);
    await all.handlers.end("a0");
    assert.deepEqual(all.member.acknowledged, []);
    assert.deepEqual(all.member.calls, ["pause orders/0", "leave"]);
  });

  it("acknowledges what was settled before, also without any time to drain", async () => {
    await using all = await stage({ commitEvery: 100 });
    all.deliver(0, "a0 b1");
    await turns();
    await all.handlers.end("a0");
    await all.subscription.stop({ drainTimeoutMs: 0 });
    assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
  });

  it("waits for an acknowledgement under way before the last one", async () => {
    await using all = await stage();
    const first = deferred<void>();
    all.member.onAcknowledge = () => first.promise;
    all.deliver(0, "a0 b1");
    await turns();
    await all.handlers.end("a0", "b1");
    const stopping = all.subscription.stop();
    await turns();
    assert.deepEqual(all.member.acknowledgements, [["orders/0@0"]]);
    first.resolve();
    await stopping;
    assert.deepEqual(all.member.acknowledgements, [["orders/0@0"], ["orders/0@1"]]);
  });

  it("tries the last acknowledgement again when it fails for now", async () => {
    await using all = await stage({ commitEvery: 100 });
    let failures = 2;
    all.member.onAcknowledge = () => {
      if (failures-- > 0) throw busy();
    };
    all.deliver(0, [["a", 0]]);
    await turns();
    await all.handlers.end("a0");
    await all.subscription.stop();
    assert.deepEqual(all.member.acknowledgements, [["orders/0@0"], ["orders/0@0"], ["orders/0@0"]]);
    assert.deepEqual(all.member.calls.slice(-2), ["acknowledge", "leave"]);
  });

  it("stops although acknowledging goes on failing", async () => {
    await using all = await stage({ commitEvery: 100 });
    all.member.onAcknowledge = () => {
      throw busy();
    };
    all.deliver(0, [["a", 0]]);
    await turns();
    await all.handlers.end("a0");
    await all.subscription.stop();
    assert.equal(all.subscription.state, "stopped");
    assert.equal(all.member.count("leave"), 1);
  });

  it("can be hurried: a second stop may shorten the time to drain", async () => {
    await using all = await stage({ drainTimeoutMs: 60_000 });
    all.deliver(0, [["a", 0]]);
    await turns();
    const patient = all.subscription.stop();
    await turns();
    assert.equal(all.handlers.contexts[0]?.signal.aborted, false);
    await all.subscription.stop({ drainTimeoutMs: 1 });
    await patient;
    assert.equal(all.handlers.contexts[0]?.signal.aborted, true);
  });

  it("takes no limit at all for the time to drain", async () => {
    await using all = await stage();
    all.deliver(0, [["a", 0]]);
    await turns();
    const stopping = all.subscription.stop({ drainTimeoutMs: Number.POSITIVE_INFINITY });
    await turns(20);
    await all.handlers.end("a0");
    await stopping;
    assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
  });

  it("keeps to the budget of closing, also when it is stopping already", async () => {
    const driver = new FakeSubscriberDriver();
    const service = await openSubscriber(driver);
    const handlers = new Handlers();
    const subscription = service.api.subscribe(handlers, { drainTimeoutMs: 60_000 });
    const member = await driver.member();
    member.sink.assigned([at("orders")]);
    member.sink.records(at("orders"), [record(0, { key: "a" })]);
    await turns();
    const patient = subscription.stop();
    await assert.rejects(service.registry.close({ timeoutMs: 20 }), (error) => isHexkitError(error, "ERR_HEXKIT_CLOSE_FAILED"));
    await patient;
    assert.equal(handlers.contexts[0]?.signal.aborted, true);
    assert.equal(member.count("leave"), 1);
  });

  it("stops with its registry, and refuses to subscribe from then on", async () => {
    const driver = new FakeSubscriberDriver();
    const service = await openSubscriber(driver);
    const subscription = service.api.subscribe(new Handlers());
    const member = await driver.member();
    const closing = service.registry.close();
    assert.throws(
      () => service.api.subscribe(new Handlers(), { group: "late" }),
      (error) => isHexkitError(error, "ERR_HEXKIT_CLOSED"),
    );
    await closing;
    assert.equal(subscription.state, "stopped");
    assert.equal(member.count("leave"), 1);
  });

  it("leaves a group that it has joined only after it was stopped", async () => {
    const driver = new FakeSubscriberDriver();
    const joining = deferred<void>();
    driver.onJoin = () => joining.promise;
    await using service = await openSubscriber(driver);
    const handlers = new Handlers();
    const subscription = service.api.subscribe(handlers);
    const member = await driver.member();
    let stopped = false;
    const stopping = subscription.stop().then(() => {
      stopped = true;
    });
    member.sink.assigned([at("orders")]);
    member.sink.records(at("orders"), [record(0)]);
    await turns();
    assert.ok(!stopped);
    joining.resolve();
    await stopping;
    assert.deepEqual(member.calls, ["leave"]);
    assert.deepEqual(handlers.begun, []);
    assert.equal(subscription.state, "stopped");
  });

  it("stops when joining fails meanwhile", async () => {
    const driver = new FakeSubscriberDriver();
    const joining = deferred<void>();
    driver.onJoin = () => joining.promise;
    await using service = await openSubscriber(driver);
    const subscription = service.api.subscribe(new Handlers());
    await driver.member();
    const stopping = subscription.stop();
    joining.reject(new Error("refused"));
    await stopping;
    await subscription.done;
    assert.equal(subscription.state, "stopped");
  });

  it("does not join when it was stopped while a translator prepares", async () => {
    const driver = new FakeSubscriberDriver();
    const preparing = deferred<void>();
    await using service = await openSubscriber(driver);
    const translator: Translator = { topics: ["orders"], types: ["made"], prepare: () => preparing.promise, consume: () => {} };
    const subscription = service.api.subscribe(translator);
    await subscription.stop();
    preparing.resolve();
    await turns();
    assert.equal(driver.members.length, 0);
    assert.equal(subscription.state, "stopped");
  });

  it("stops although leaving fails, and says so", async () => {
    await using all = await stage();
    all.member.onLeave = () => {
      throw new Error("broker away");
    };
    await all.subscription.stop();
    assert.equal(all.subscription.state, "stopped");
    assert.deepEqual(logged(all.lines), ["leaving the group was not clean"]);
  });

  it("ends a revocation that is under way", async () => {
    await using all = await stage({ commitEvery: 100 }, { partitions: 2 });
    all.deliver(0, [["a", 0]]);
    all.deliver(1, [["z", 0]]);
    await turns();
    const revoked = all.member.sink.revoked([at("orders", 0)], { lost: false });
    const stopping = all.subscription.stop();
    await all.handlers.end("z0");
    assert.equal(all.subscription.state, "stopping");
    await all.handlers.end("a0");
    await Promise.all([revoked, stopping]);
    assert.deepEqual(all.member.acknowledged.sort(), ["orders/0@0", "orders/1@0"]);
    assert.equal(all.member.count("leave"), 1);
  });
});

describe("a source that gives up", () => {
  it("fails the subscription with its error, settles what runs and leaves once", async () => {
    await using all = await stage({ commitEvery: 100 });
    all.deliver(0, [["a", 0]]);
    await turns();
    all.member.sink.failed(new Error("fenced off"));
    all.member.sink.failed(new Error("again"));
    await all.handlers.end("a0");
    await assert.rejects(all.subscription.done, (error) => {
      assert.ok(error instanceof HexkitError);
      assert.equal(error.message, 'eventSubscriber (provider "broker", plugin fake): consume as group "shop" failed: fenced off');
      return true;
    });
    assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
    assert.equal(all.member.count("leave"), 1);
  });

  it("may do so before joining has resolved", async () => {
    const driver = new FakeSubscriberDriver();
    driver.onJoin = (member) => {
      member.sink.failed(new Error("at once"));
      return turns();
    };
    await using service = await openSubscriber(driver);
    await assert.rejects(service.api.subscribe(new Handlers()).done, /at once/);
    assert.deepEqual(driver.members[0]?.calls, ["leave"]);
  });

  it("leaves no rejection unhandled when nobody looks at done", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on("unhandledRejection", note);
    await using all = await stage();
    all.member.sink.failed(new Error("gone"));
    await until("the end", () => all.subscription.state === "failed");
    await turns();
    process.off("unhandledRejection", note);
    assert.deepEqual(unhandled, []);
  });
});

describe("filling gaps while draining", () => {
  const many = { commitEvery: 100, concurrency: 2 };

  it("handles what lies before the last that has begun, also of keys of which nothing runs", async () => {
    await using all = await stage(many);
    all.deliver(0, "a0 b1 c2 a3 d4");
    await turns();
    await all.handlers.end("b1");
    await all.handlers.end("c2");
    await all.handlers.end("d4");
    const stopped = all.subscription.stop();
    await all.handlers.end("a0");
    assert.deepEqual(all.handlers.running, ["a3"]);
    await all.handlers.end("a3");
    await stopped;
    assert.equal(all.member.acknowledged.length, 5);
  });

  it("begins nothing behind an event that ended the subscription", async () => {
    await using all = await stage({ ...many, concurrency: 3 });
    all.deliver(0, "a0 b1 a2 b3 c4");
    await turns();
    await all.handlers.fail("a0", new Error("odd"));
    await all.handlers.end("b1", "c4");
    await assert.rejects(all.subscription.done, /odd/);
    assert.deepEqual(all.handlers.begun, ["a0", "b1", "c4"]);
  });

  it("is not kept waiting by what waits behind a failure", async () => {
    await using all = await stage({ ...many, concurrency: 3 });
    all.deliver(0, "a0 b1 b2 a3 c4");
    await turns();
    const stopped = all.subscription.stop();
    await all.handlers.end("c4");
    await all.handlers.fail("b1", new Error("while it ends"));
    await all.handlers.end("a0");
    await stopped;
    assert.deepEqual(all.handlers.begun, ["a0", "b1", "c4"]);
    assert.deepEqual(all.member.acknowledged.sort(), ["orders/0@0", "orders/0@4"]);
  });

  it("forgets what it kept when another drain, or a loss, comes in between", async () => {
    for (const lost of [false, true]) {
      await using all = await stage({ ...many, drainTimeoutMs: 60_000 });
      all.deliver(0, "a0 a1 b2");
      await turns();
      const revoked = all.member.sink.revoked([at("orders")], { lost: false });
      await turns();
      if (lost) await all.member.sink.revoked([at("orders")], { lost: true });
      const stopped = all.subscription.stop();
      await all.handlers.end("b2");
      await all.handlers.end("a0");
      if (!lost) await all.handlers.end("a1");
      await Promise.all([revoked, stopped]);
      assert.deepEqual(all.handlers.begun, lost ? ["a0", "b2"] : ["a0", "b2", "a1"]);
      assert.deepEqual(all.handlers.running, []);
    }
  });

  it("waits no longer for what a loss took away", async () => {
    await using all = await stage({ ...many, concurrency: 1, drainTimeoutMs: 60_000 }, { partitions: 2 });
    all.deliver(0, "a0 a1 b2");
    all.deliver(1, [["z", 0]]);
    await turns();
    await all.handlers.end("a0");
    await all.handlers.end("b2");
    assert.deepEqual(all.handlers.running, ["z0"], "a1 waits for its turn");
    const revoked = all.member.sink.revoked([at("orders", 0)], { lost: false });
    await turns();
    let given = false;
    void revoked.then(() => {
      given = true;
    });
    await all.member.sink.revoked([at("orders", 0)], { lost: true });
    await turns();
    assert.ok(given);
    await all.handlers.end("z0");
    assert.deepEqual(all.handlers.running, []);
  });

  it("begins nothing more once its time is over, even while it acknowledges", async () => {
    await using all = await stage({ ...many, drainTimeoutMs: 20 });
    const acknowledging = deferred<void>();
    all.member.onAcknowledge = () => acknowledging.promise;
    all.deliver(0, "a0 a1 b2");
    await turns();
    await all.handlers.end("b2");
    const stopped = all.subscription.stop();
    await until("the acknowledgement", () => all.member.acknowledgements.length === 1);
    await all.handlers.end("a0");
    acknowledging.resolve();
    await stopped;
    assert.deepEqual(all.handlers.begun, ["a0", "b2"]);
  });

  it("still takes a record that cannot be decoded the way of failures", async () => {
    await using all = await stage({ ...many, onFailure: "skip" });
    all.deliver(0, [
      ["a", 0],
      ["a", 1, { value: null }],
      ["b", 2],
    ]);
    await turns();
    const stopped = all.subscription.stop();
    await all.handlers.end("b2");
    await all.handlers.end("a0");
    await stopped;
    assert.equal(all.member.acknowledged.length, 3);
    assert.equal(all.subscription.stats().skipped, 1);
  });
});
