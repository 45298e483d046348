import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it, mock } from "node:test";
import { type EventContext, HexkitError, isHexkitError, NonRetryable, type ReceivedEvent } from "../../../core/index.ts";
import { forbidsRetry, retryDelay } from "../../../core/protocols/event-subscriber/retry.ts";
import { at, turns } from "./bench.ts";
import { Handlers, logged, onStage, stage } from "./stage.ts";

/** Without jitter. */
const exact = (test: () => void): void => {
  const random = mock.method(Math, "random", () => 0);
  try {
    test();
  } finally {
    random.mock.restore();
  }
};
const withRandom = <Result>(value: number, work: () => Result): Result => {
  const random = mock.method(Math, "random", () => value);
  try {
    return work();
  } finally {
    random.mock.restore();
  }
};

describe("the pause before a retry", () => {
  it("doubles with each, up to its bound", () => {
    exact(() => {
      const delays = [1, 2, 3, 4, 5, 6].map((retry) => retryDelay(retry, { retryDelayMs: 100, maxRetryDelayMs: 1_000 }));
      assert.deepEqual(delays, [100, 200, 400, 800, 1_000, 1_000]);
    });
  });

  it("has a fifth of jitter, upwards, and downwards at the bound, which is never exceeded", () => {
    const settings = { retryDelayMs: 100, maxRetryDelayMs: 1_000 };
    assert.equal(
      withRandom(0.5, () => retryDelay(1, settings)),
      110,
    );
    assert.ok(Math.abs(withRandom(0.999_999, () => retryDelay(2, settings)) - 240) < 0.01);
    assert.equal(
      withRandom(0.5, () => retryDelay(9, settings)),
      900,
    );
    for (let retry = 1; retry < 20; retry += 1) {
      const delay = retryDelay(retry, settings);
      assert.ok(delay >= 0.8 * Math.min(100 * 2 ** (retry - 1), 1_000) && delay <= 1_000, `${delay} before retry ${retry}`);
    }
  });

  it("stands huge counts, and no pause at all", () => {
    exact(() => {
      assert.equal(retryDelay(1_000_000, { retryDelayMs: 1, maxRetryDelayMs: 2_147_483_647 }), 2_147_483_647);
      assert.equal(retryDelay(32, { retryDelayMs: 1, maxRetryDelayMs: 2_147_483_647 }), 2_147_483_647);
      assert.equal(retryDelay(31, { retryDelayMs: 1, maxRetryDelayMs: 2_147_483_647 }), 2 ** 30);
      assert.equal(retryDelay(1_000, { retryDelayMs: 0, maxRetryDelayMs: 1_000 }), 0);
      assert.equal(retryDelay(5, { retryDelayMs: 500, maxRetryDelayMs: 100 }), 100);
      assert.equal(retryDelay(5, { retryDelayMs: 500, maxRetryDelayMs: 0 }), 0);
    });
  });
});

describe("errors that forbid a retry", () => {
  it("are NonRetryable, also of another copy of this package, and payloads that do not fit", () => {
    const foreign = Object.assign(new Error("odd"), { [Symbol.for("hexkit.NonRetryable")]: true });
    for (const error of [new NonRetryable("no"), foreign, new HexkitError("ERR_HEXKIT_PAYLOAD_INVALID", "no")]) {
      assert.equal(forbidsRetry(error), true);
    }
    const retried = [
      new Error("x"),
      undefined,
      null,
      "x",
      { [Symbol.for("hexkit.NonRetryable")]: 1 },
      new HexkitError("ERR_HEXKIT_TIMEOUT", "x"),
    ];
    for (const error of retried) assert.equal(forbidsRetry(error), false);
  });

  it("carry message, cause and name, and show no brand", () => {
    const cause = new Error("below");
    const error = new NonRetryable("no use", { cause });
    assert.deepEqual([error.message, error.cause, error.name, error instanceof Error], ["no use", cause, "NonRetryable", true]);
    assert.deepEqual(Object.keys(error), ["name"]);
  });
});

const retrying = { maxRetries: 3, retryDelayMs: 100, maxRetryDelayMs: 250 };

describe("retries", () => {
  it("wait for their time, count the attempts and let the key go on afterwards", async () => {
    await onStage(retrying, {}, async (all, tick) => {
      mock.method(Math, "random", () => 0);
      all.deliver(0, "a0 a1 b2");
      await turns();
      for (const ms of [100, 200, 250]) {
        await all.handlers.fail("a0", new Error("not yet"));
        assert.ok(!all.handlers.running.includes("a0"));
        await tick(ms - 1);
        assert.deepEqual(all.handlers.running, ["b2"]);
        await tick(1);
        assert.deepEqual(all.handlers.running, ["b2", "a0"]);
      }
      await all.handlers.end("a0");
      assert.deepEqual(all.handlers.running, ["b2", "a1"]);
      assert.deepEqual(
        all.handlers.contexts.map(({ attempt }) => attempt),
        [1, 1, 2, 3, 4, 1],
      );
      const { retried, handled, failed } = all.subscription.stats();
      assert.deepEqual({ retried, handled, failed }, { retried: 3, handled: 1, failed: 0 });
      const lines = all.lines.filter(({ message }) => message === "an event failed and will be tried again");
      assert.deepEqual(
        lines.map(({ level, fields: { details } }) => [level, details.offset, details.attempt, details.retryInMs, typeof details.eventId]),
        [
          ["warn", 0, 1, 100, "string"],
          ["warn", 0, 2, 200, "string"],
          ["warn", 0, 3, 250, "string"],
        ],
      );
      await all.handlers.end("a1", "b2");
      mock.restoreAll();
    });
  });

  it("end with the failure after maxRetries, whose error tells the last cause and the count", async () => {
    await onStage({ ...retrying, maxRetries: 1 }, {}, async (all, tick) => {
      all.deliver(0, [["a", 0]]);
      await turns();
      await all.handlers.fail("a0", new Error("first"));
      await tick(130);
      await all.handlers.fail("a0", new Error("second"));
      await assert.rejects(
        all.subscription.done,
        (error) => isHexkitError(error, "ERR_HEXKIT_EVENT_FAILED") && /failed 2 times: second$/.test(error.message),
      );
      assert.deepEqual(all.member.acknowledged, []);
    });
  });

  it("give each attempt its own copy of the payload, the same event id, and the correlation id", async () => {
    const events: [ReceivedEvent, EventContext][] = [];
    const handlers = new Handlers();
    handlers.consume = async (event, context) => {
      events.push([event, context]);
      (event.payload as { n: number }).n = 99;
      throw new Error("changed it");
    };
    await onStage({ ...retrying, maxRetries: 1, onFailure: "skip" }, { handlers }, async (all, tick) => {
      all.deliver(0, [["a", 7]]);
      await turns();
      const [first] = events;
      assert.ok(first);
      await tick(130);
      assert.equal(events.length, 2);
      assert.notEqual(events[1]?.[0], first[0]);
      assert.equal(events[1]?.[0].eventId, first[0].eventId);
      assert.equal(events[1]?.[1].correlationId, first[1].correlationId);
    });
  });

  it("warn of a missing event id once, not with every attempt", async () => {
    await onStage(retrying, {}, async (all, tick) => {
      all.deliver(0, [["a", 0, { headers: { event_id: undefined } }]]);
      await turns();
      await all.handlers.fail("a0", new Error("not yet"));
      await tick(130);
      await all.handlers.end("a0");
      assert.equal(logged(all.lines).filter((message) => message.includes("no valid event_id")).length, 1);
    });
  });

  it("are not made by a partition that is given up meanwhile; the next assignment counts from one", async () => {
    for (const lost of [false, true]) {
      await onStage(retrying, {}, async (all, tick) => {
        all.deliver(0, "a0 a1");
        await turns();
        await all.handlers.fail("a0", new Error("not yet"));
        await all.member.sink.revoked([at("orders")], { lost });
        await tick(10_000);
        assert.deepEqual(all.handlers.running, []);
        all.member.sink.assigned([at("orders")]);
        all.deliver(0, [["a", 0]]);
        await turns();
        assert.deepEqual(
          all.handlers.contexts.map(({ attempt }) => attempt),
          [1, 1],
        );
        await all.handlers.end("a0");
        assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
        assert.equal(all.subscription.stats().failed, 0);
      });
    }
  });

  it("leave no timer behind when the subscription ends, whenever it does", async () => {
    for (const when of ["during the pause", "while it fails", "just after it failed"] as const) {
      await using all = await stage({ ...retrying, retryDelayMs: 60_000, maxRetryDelayMs: 60_000 });
      const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
      all.deliver(0, [["a", 0]]);
      await turns();
      let stopped: Promise<void> | undefined;
      if (when === "while it fails") stopped = all.subscription.stop();
      const failing = all.handlers.fail("a0", new Error("not yet"));
      if (when === "just after it failed") stopped = Promise.resolve().then(() => all.subscription.stop());
      await failing;
      await (stopped ?? all.subscription.stop());
      assert.equal(timers(), 0, when);
      assert.deepEqual(all.member.acknowledged, []);
    }
  });

  it("are left out for NonRetryable errors", async () => {
    await using all = await stage({ ...retrying, onFailure: "skip" });
    all.deliver(0, [["a", 0]]);
    await turns();
    await all.handlers.fail("a0", new NonRetryable("no use"));
    const { retried, skipped } = all.subscription.stats();
    assert.deepEqual({ retried, skipped }, { retried: 0, skipped: 1 });
    assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
  });

  it("skip after maxRetries under that policy, and go on with the key", async () => {
    await onStage({ ...retrying, maxRetries: 1, onFailure: "skip" }, {}, async (all, tick) => {
      all.deliver(0, "a0 a1");
      await turns();
      await all.handlers.fail("a0", new Error("one"));
      await tick(130);
      await all.handlers.fail("a0", new Error("two"));
      assert.deepEqual(all.handlers.running, ["a1"]);
      await all.handlers.end("a1");
      assert.deepEqual(all.member.acknowledged, ["orders/0@0", "orders/0@1"]);
      assert.equal(all.subscription.state, "running");
      assert.deepEqual(logged(all.lines, "error"), ["an event failed and was skipped"]);
    });
  });
});

describe("handlerTimeoutMs", () => {
  it("fails the attempt, aborts its signal with the reason, and ignores whatever comes later", async () => {
    for (const late of ["success", "failure"] as const) {
      await onStage({ maxRetries: 1, retryDelayMs: 100, maxRetryDelayMs: 100, handlerTimeoutMs: 50 }, {}, async (all, tick) => {
        all.deliver(0, [["a", 0]]);
        await turns();
        const ending = all.handlers;
        const { signal } = ending.contexts[0] as EventContext;
        await tick(49);
        assert.equal(signal.aborted, false);
        await tick(1);
        assert.ok(isHexkitError(signal.reason, "ERR_HEXKIT_TIMEOUT"));
        assert.match(signal.reason.message, /the handler did not end within 50 ms \(handlerTimeoutMs\)/);
        assert.equal(all.subscription.stats().retried, 1);
        if (late === "success") await ending.end("a0");
        else await ending.fail("a0", new Error("late"));
        const { handled, failed, retried } = all.subscription.stats();
        assert.deepEqual({ handled, failed, retried }, { handled: 0, failed: 0, retried: 1 });
        await tick(100);
        assert.equal(ending.contexts[1]?.signal.aborted, false);
        await ending.end("a0");
        await tick(1_000);
        assert.equal(ending.contexts[1]?.signal.aborted, false, "its timer has been cleared");
        assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
      });
    }
  });

  it("is no limit for what ends in time, and leaves no listener on the partition", async () => {
    await onStage({ handlerTimeoutMs: 50 }, {}, async (all) => {
      const signals: AbortSignal[] = [];
      const listen = mock.method(
        AbortSignal.prototype,
        "addEventListener",
        function (this: AbortSignal, ...given: Parameters<AbortSignal["addEventListener"]>) {
          signals.push(this);
          return EventTarget.prototype.addEventListener.apply(this, given);
        },
      );
      all.deliver(0, "a0 b1");
      await turns();
      assert.ok(signals.length >= 2);
      await all.handlers.end("a0", "b1");
      for (const signal of signals) assert.deepEqual(getEventListeners(signal, "abort"), []);
      listen.mock.restore();
      assert.equal(all.subscription.stats().handled, 2);
    });
  });

  it("still ends a handler's signal when the partition is lost", async () => {
    await onStage({ handlerTimeoutMs: 50_000 }, {}, async (all) => {
      all.deliver(0, [["a", 0]]);
      await turns();
      await all.member.sink.revoked([at("orders")], { lost: true });
      const { signal } = all.handlers.contexts[0] as EventContext;
      assert.match((signal.reason as Error).message, /given up/);
      await all.handlers.end("a0");
      assert.equal(all.subscription.stats().handled, 0);
      assert.equal(all.subscription.state, "running");
    });
  });

  it("lets many handlers listen to one signal without a warning", async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): void => void (warning.name === "MaxListenersExceededWarning" && warnings.push(warning));
    process.on("warning", note);
    const handlers = new Handlers();
    handlers.consume = async (_, { signal }) => {
      for (let listener = 0; listener < 20; listener += 1) signal.addEventListener("abort", () => undefined);
    };
    await using all = await stage({ handlerTimeoutMs: 10_000 }, { handlers });
    all.deliver(0, [["a", 0]]);
    await turns(20);
    process.off("warning", note);
    assert.deepEqual(warnings, []);
    assert.equal(all.subscription.stats().handled, 1);
  });
});
