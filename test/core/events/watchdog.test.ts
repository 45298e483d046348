import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SubscriberSettings } from "../../../core/index.ts";
import { at, type Membership, record, turns } from "./bench.ts";
import { logged, onStage, type Stage } from "./stage.ts";

type Play = (all: Stage, tick: (ms: number) => Promise<void>) => Promise<void>;
const play = (settings: Partial<SubscriberSettings>, test: Play): Promise<void> =>
  onStage({ stallTimeoutMs: 10_000, ...settings }, { partitions: 2 }, test);
const latest = ({ driver }: Stage): Membership => driver.members.at(-1) as Membership;

describe("a handler that does not end", () => {
  it("is reported once after stallTimeoutMs, and is left alone; the subscription is well again when it ends", () =>
    play({}, async (all, tick) => {
      all.deliver(0, "a0 b1");
      await turns();
      await tick(7_500);
      assert.equal(all.subscription.state, "running");
      await tick(2_500);
      assert.equal(all.subscription.state, "degraded");
      const reason = 'the handler of the record at topic "orders", partition 0, offset 0 has not ended for 10000 ms or more';
      assert.equal(all.subscription.stats().trouble, reason);
      await tick(60_000);
      const lines = all.lines.filter(({ message }) => message === "subscription is degraded");
      assert.deepEqual(
        lines.map(({ level, fields: { details } }) => [level, details.reason, details.group]),
        [["warn", reason, "shop"]],
      );
      assert.equal(all.handlers.contexts[0]?.signal.aborted, false);
      assert.equal(all.subscription.stats().restarts, 0);
      await all.handlers.end("a0", "b1");
      await tick(2_500);
      assert.deepEqual([all.subscription.state, all.subscription.stats().trouble], ["running", undefined]);
      assert.deepEqual(logged(all.lines, "info"), ["subscription is well again"]);
    }));

  it("is told apart from one that follows it", () =>
    play({}, async (all, tick) => {
      all.deliver(0, [["a", 0]]);
      await tick(5_000);
      all.deliver(0, [["b", 1]]);
      await tick(5_000);
      assert.match(all.subscription.stats().trouble as string, /offset 0/);
      await all.handlers.end("a0");
      await tick(2_500);
      assert.equal(all.subscription.state, "running", "b1 has had 7.5 s");
      await tick(2_500);
      assert.match(all.subscription.stats().trouble as string, /offset 1/);
      assert.equal(logged(all.lines).length, 2);
      await all.handlers.end("b1");
    }));

  it("does not hide a trouble of the source, nor end with it", () =>
    play({}, async (all, tick) => {
      all.deliver(0, [["a", 0]]);
      await turns();
      all.member.sink.trouble({ reason: "broker away" });
      await tick(10_000);
      assert.equal(all.subscription.stats().trouble, "broker away");
      all.member.sink.trouble(undefined);
      assert.equal(all.subscription.state, "degraded");
      assert.match(all.subscription.stats().trouble as string, /has not ended/);
      await all.handlers.end("a0");
      await tick(2_500);
      assert.equal(all.subscription.state, "running");
      assert.deepEqual(logged(all.lines, "info"), ["subscription is well again"]);
    }));

  it("is looked for every quarter of the time, at least every 5 s", () =>
    play({ stallTimeoutMs: 60_000 }, async (all, tick) => {
      await tick(1);
      all.deliver(0, [["a", 0]]);
      await tick(59_999);
      assert.equal(all.subscription.state, "running", "it began a moment later than the watch");
      await tick(5_000);
      assert.equal(all.subscription.state, "degraded");
      await all.handlers.end("a0");
    }));
});

describe("a source that brings nothing although records wait", () => {
  it("is left, and the group joined again", () =>
    play({}, async (all, tick) => {
      all.member.lagging = 5;
      await tick(7_500);
      assert.equal(all.subscription.stats().restarts, 0);
      await tick(2_500);
      assert.equal(all.subscription.stats().restarts, 1);
      assert.match(
        all.subscription.stats().trouble as string,
        /^joining again after: .*nothing was delivered for 10000 ms although 5 records wait in the broker$/,
      );
      assert.deepEqual(all.member.calls, ["leave"]);
      await tick(250);
      assert.equal(all.driver.members.length, 2);
      latest(all).sink.assigned([at("orders")]);
      assert.equal(all.subscription.state, "running");
      latest(all).sink.records(at("orders"), [record(0, { key: "a" })]);
      await turns();
      await all.handlers.end("a0");
      assert.deepEqual(latest(all).acknowledged, ["orders/0@0"]);
    }));

  it("gets more time whenever that has not helped, and never fails by it", () =>
    play({ maxRestarts: 0 }, async (all, tick) => {
      for (const patience of [1, 2, 4, 8, 16, 32, 32]) {
        const { restarts } = all.subscription.stats();
        latest(all).lagging = 5;
        latest(all).sink.assigned([at("orders")]);
        await tick(patience * 10_000 - 3_000);
        assert.equal(all.subscription.stats().restarts, restarts, `before ${patience}`);
        for (let look = 0; look < 3; look += 1) await tick(2_500);
        assert.equal(all.subscription.stats().restarts, restarts + 1, `after ${patience}`);
        await tick(250);
        assert.equal(all.subscription.state, "degraded");
      }
      latest(all).lagging = 5;
      latest(all).sink.assigned([at("orders")]);
      latest(all).sink.records(at("orders"), [record(0, { headers: { type: "foreign" } })]);
      await turns();
      await tick(7_000);
      assert.equal(all.subscription.stats().restarts, 7);
      for (let look = 0; look < 3; look += 1) await tick(2_500);
      assert.equal(all.subscription.stats().restarts, 8, "a delivery makes it impatient again");
    }));

  const patient: [why: string, set: (all: Stage) => void][] = [
    [
      "nothing waits",
      ({ member }) => {
        member.lagging = 0;
      },
    ],
    ["nobody knows", () => undefined],
    ["a handler is busy", (all) => all.deliver(1, [["a", 0]])],
    ["it is in trouble, which it says itself", ({ member }) => member.sink.trouble({ reason: "broker away" })],
  ];
  for (const [why, set] of patient) {
    it(`is left alone where ${why}`, () =>
      play({}, async (all, tick) => {
        if (why !== "nobody knows") all.member.lagging = 5;
        set(all);
        await tick(60_000);
        assert.equal(all.subscription.stats().restarts, 0);
        if (all.handlers.running.length > 0) await all.handlers.end("a0");
      }));
  }

  it("is left alone while it has not been assigned anything, and has its time from the assignment on", () =>
    play({}, async (all, tick) => {
      all.member.lagging = 5;
      await tick(9_000);
      all.member.sink.assigned([at("orders", 2)]);
      await tick(9_000);
      assert.equal(all.subscription.stats().restarts, 0);
      all.member.sink.records(at("orders", 2), [record(0, { partition: 2, headers: { type: "foreign" } })]);
      await tick(9_000);
      assert.equal(all.subscription.stats().restarts, 0);
      await tick(2_500);
      assert.equal(all.subscription.stats().restarts, 1);
    }));

  it("is left alone while an event waits for its next attempt", () =>
    play({ maxRetries: 1, retryDelayMs: 100_000, maxRetryDelayMs: 100_000 }, async (all, tick) => {
      all.member.lagging = 5;
      all.deliver(0, [["a", 0]]);
      await turns();
      await all.handlers.fail("a0", new Error("not yet"));
      await tick(60_000);
      assert.deepEqual([all.subscription.stats().restarts, all.subscription.state], [0, "running"]);
    }));

  it("is left alone while it is paused for a partition that is full", () =>
    play({ maxInFlight: 1, maxRetries: 1, retryDelayMs: 100_000, maxRetryDelayMs: 100_000 }, async (all, tick) => {
      all.member.lagging = 5;
      all.deliver(1, [["a", 0]]);
      await turns();
      await all.handlers.fail("a0", new Error("not yet"));
      await tick(60_000);
      assert.equal(all.subscription.stats().restarts, 0);
    }));

  it("is not watched any more once the subscription has ended", () =>
    play({}, async (all, tick) => {
      all.member.lagging = 5;
      all.deliver(0, [["a", 0]]);
      await turns();
      await all.subscription.stop({ drainTimeoutMs: 0 });
      await tick(60_000);
      assert.deepEqual([all.driver.members.length, all.subscription.state], [1, "stopped"]);
      assert.deepEqual(logged(all.lines), []);
    }));
});
