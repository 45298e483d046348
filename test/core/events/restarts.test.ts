import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type EventContext, isHexkitError, type SubscriberSettings } from "../../../core/index.ts";
import { deferred } from "../../../core/promise.ts";
import { at, busy, denied, FakeSubscriberDriver, type Membership, openSubscriber, record, turns, until } from "./bench.ts";
import { Handlers, logged, onStage, type Stage, stage } from "./stage.ts";

type Play = (all: Stage, tick: (ms: number) => Promise<void>) => Promise<void>;
const play = (settings: Partial<SubscriberSettings>, test: Play): Promise<void> => onStage(settings, {}, test);
const latest = ({ driver }: Stage): Membership => driver.members.at(-1) as Membership;

describe("a source that gives up for now", () => {
  it("is left, and the group is joined again after a pause; what was not acknowledged comes again", () =>
    play({}, async (all, tick) => {
      all.deliver(0, "a0 a1");
      await turns();
      all.member.sink.failed(busy());
      await turns();
      const [{ signal }] = all.handlers.contexts as [EventContext];
      assert.match((signal.reason as Error).message, /the group is joined again/);
      assert.deepEqual(all.member.calls, ["leave"]);
      assert.equal(all.subscription.state, "degraded");
      assert.match(all.subscription.stats().trouble as string, /^joining again after: .*consume as group "shop" failed: no leader$/);
      assert.deepEqual([all.subscription.stats().restarts, all.subscription.stats().inFlight], [1, 0]);
      await tick(249);
      assert.equal(all.driver.members.length, 1);
      await tick(1);
      assert.equal(all.driver.members.length, 2);
      assert.deepEqual(latest(all).request, all.member.request);
      assert.equal(all.subscription.state, "degraded", "until partitions are assigned");
      latest(all).sink.assigned([at("orders")]);
      assert.deepEqual([all.subscription.state, all.subscription.stats().trouble], ["running", undefined]);
      assert.deepEqual(logged(all.lines), ["subscription is degraded"]);
      assert.deepEqual(logged(all.lines, "info"), ["subscription is well again"]);
      await all.handlers.end("a0");
      assert.equal(all.subscription.stats().handled, 0, "what ends late does not count");
      latest(all).sink.records(at("orders"), [record(0, { key: "a" })]);
      await turns();
      await all.handlers.end("a0");
      assert.deepEqual([all.subscription.stats().handled, all.subscription.stats().received], [1, 3]);
      assert.deepEqual([all.member.acknowledged, latest(all).acknowledged], [[], ["orders/0@0"]]);
    }));

  it("is not listened to any more, not even while it is left", () =>
    play({}, async (all, tick) => {
      const leaving = deferred<void>();
      all.member.onLeave = () => leaving.promise;
      const { sink } = all.member;
      sink.failed(busy());
      await turns();
      const meddle = async (): Promise<void> => {
        sink.assigned([at("orders", 7)]);
        sink.records(at("orders", 7), [record(0, { key: "late", partition: 7 })]);
        sink.records(at("orders"), [record(0, { key: "late" })]);
        sink.trouble({ reason: "old trouble" });
        sink.failed(busy());
        sink.failed(denied());
        await sink.revoked([at("orders")], { lost: false });
        await turns();
      };
      await meddle();
      leaving.resolve();
      await turns();
      await meddle();
      await tick(250);
      latest(all).sink.assigned([at("orders")]);
      await meddle();
      assert.deepEqual(
        [all.subscription.state, all.subscription.stats().trouble, all.subscription.stats().restarts],
        ["running", undefined, 1],
      );
      assert.deepEqual(all.handlers.begun, []);
      latest(all).sink.records(at("orders"), [record(5, { key: "b" })]);
      await turns();
      assert.deepEqual(all.handlers.running, ["b5"]);
      await all.handlers.end("b5");
    }));

  it("may do so before joining has resolved; it is left when it has", async () => {
    const joining = deferred<void>();
    const driver = new FakeSubscriberDriver();
    driver.onJoin = (member) => {
      if (driver.members.length > 1) return;
      member.sink.failed(busy());
      return joining.promise;
    };
    await using service = await openSubscriber(driver);
    const subscription = service.api.subscribe(new Handlers());
    await driver.member();
    assert.equal(subscription.state, "starting");
    joining.resolve();
    const second = await driver.member(1);
    assert.deepEqual(driver.members[0]?.calls, ["leave"]);
    second.sink.assigned([]);
    assert.equal(subscription.state, "running");
  });

  it("is joined again when joining fails for now, and fails when it fails for good", async () => {
    const driver = new FakeSubscriberDriver();
    driver.onJoin = () => {
      if (driver.members.length <= 2) throw driver.members.length === 1 ? busy() : denied();
    };
    await using service = await openSubscriber(driver);
    const subscription = service.api.subscribe(new Handlers());
    await assert.rejects(subscription.done, (error) => isHexkitError(error, "ERR_HEXKIT_PERMISSION_DENIED"));
    assert.equal(driver.members.length, 2);
    assert.equal(subscription.stats().restarts, 1);
    assert.deepEqual(logged(service.lines), ["subscription is degraded"], "nothing was left uncleanly, because nothing was joined");
  });

  it("says once why: that joining fails as well then is no news", async () => {
    const driver = new FakeSubscriberDriver();
    driver.onJoin = (member) => {
      if (driver.members.length > 1) return;
      member.sink.failed(busy());
      throw denied();
    };
    await using service = await openSubscriber(driver);
    const subscription = service.api.subscribe(new Handlers());
    (await driver.member(1)).sink.assigned([]);
    assert.deepEqual([subscription.state, subscription.stats().restarts], ["running", 1]);
  });

  it("fails with a lasting error at once", () =>
    play({}, async (all) => {
      all.member.sink.failed(denied());
      await assert.rejects(all.subscription.done, (error) => isHexkitError(error, "ERR_HEXKIT_PERMISSION_DENIED"));
      assert.equal(all.subscription.stats().restarts, 0);
    }));

  it("is joined again maxRestarts times in a row, with growing pauses, then fails", () =>
    play({ maxRestarts: 8 }, async (all, tick) => {
      for (const pauseMs of [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]) {
        const count = all.driver.members.length;
        latest(all).sink.assigned([at("orders")]);
        latest(all).sink.failed(busy());
        await turns();
        await tick(pauseMs - 1);
        assert.equal(all.driver.members.length, count, `${pauseMs} ms`);
        await tick(1);
        assert.equal(all.driver.members.length, count + 1, `${pauseMs} ms`);
      }
      latest(all).sink.failed(busy());
      await assert.rejects(all.subscription.done, (error) => isHexkitError(error, "ERR_HEXKIT_UNAVAILABLE"));
      assert.equal(all.subscription.stats().restarts, 8);
      assert.equal(all.subscription.state, "failed");
    }));

  it("is not joined again at all with maxRestarts 0", () =>
    play({ maxRestarts: 0 }, async (all) => {
      all.member.sink.failed(busy());
      await assert.rejects(all.subscription.done, /no leader/);
      assert.equal(all.driver.members.length, 1);
    }));

  it("counts anew after progress, and after a membership that lasted", async () => {
    for (const proof of ["progress", "time"] as const) {
      await play({ maxRestarts: 1, stallTimeoutMs: 60_000 }, async (all, tick) => {
        for (let round = 0; round < 4; round += 1) {
          const member = latest(all);
          member.sink.assigned([at("orders")]);
          if (proof === "progress") {
            member.sink.records(at("orders"), [record(round, { key: "a" })]);
            await turns();
            await all.handlers.end(`a${round}`);
          } else {
            await tick(30_000);
            member.sink.assigned([at("orders"), at("orders", 1)]);
            await tick(30_000);
          }
          member.sink.failed(busy());
          await turns();
          await tick(250);
        }
        assert.equal(all.driver.members.length, 5);
        latest(all).sink.assigned([at("orders")]);
        await tick(59_999);
        latest(all).sink.failed(busy());
        await assert.rejects(all.subscription.done);
      });
    }
  });

  it("does not have its time counted while it was not joined", () =>
    play({ maxRestarts: 1, stallTimeoutMs: 60_000 }, async (all, tick) => {
      await tick(10);
      all.member.sink.failed(busy());
      await turns();
      await tick(250);
      await tick(120_000);
      latest(all).sink.failed(busy());
      await assert.rejects(all.subscription.done);
    }));

  it("cancels retries, and leaves no timer when it is stopped during the pause", () =>
    play({ maxRetries: 5, retryDelayMs: 60_000, maxRetryDelayMs: 60_000 }, async (all, tick) => {
      all.deliver(0, [["a", 0]]);
      await turns();
      await all.handlers.fail("a0", new Error("not yet"));
      all.member.lagging = 5;
      all.member.sink.failed(busy());
      await turns();
      assert.equal(all.subscription.stats().lag, undefined, "nobody can tell now");
      await all.subscription.stop();
      assert.equal(all.subscription.state, "stopped");
      assert.deepEqual(all.member.calls, ["leave"]);
      await tick(100_000);
      assert.deepEqual(all.handlers.begun, ["a0"]);
      assert.equal(all.driver.members.length, 1);
    }));

  it("leaves no timer of a retry", async () => {
    await using all = await stage({ maxRetries: 5, retryDelayMs: 60_000, maxRetryDelayMs: 60_000 });
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    all.deliver(0, [["a", 0]]);
    await turns();
    const before = timers();
    await all.handlers.fail("a0", new Error("not yet"));
    assert.equal(timers(), before + 1);
    all.member.sink.failed(busy());
    await turns();
    assert.equal(timers(), before + 1, "that of the pause before it is joined again");
  });

  it("does not keep a stop waiting for handlers that do not count any more", () =>
    play({}, async (all) => {
      all.deliver(0, [["a", 0]]);
      await turns();
      all.member.sink.failed(busy());
      await all.subscription.stop();
      assert.deepEqual(all.member.calls.filter((call) => call === "leave").length >= 1, true);
      await all.handlers.end("a0");
      assert.deepEqual(all.member.acknowledged, []);
    }));

  it("is left within 5 s, even if leaving hangs, and late if joining hangs", () =>
    play({}, async (all, tick) => {
      all.member.onLeave = () => new Promise(() => undefined);
      all.member.sink.failed(busy());
      await turns();
      await tick(4_999);
      await tick(1);
      const joining = deferred<void>();
      all.driver.onJoin = (member) => {
        if (all.driver.members.length !== 2) return;
        member.sink.failed(busy());
        return joining.promise;
      };
      await tick(250);
      assert.equal(all.driver.members.length, 2);
      await tick(5_000);
      await tick(500);
      assert.equal(all.driver.members.length, 3);
      latest(all).sink.assigned([at("orders")]);
      joining.resolve();
      await turns();
      assert.deepEqual(all.driver.members[1]?.calls, ["leave"]);
      assert.deepEqual(latest(all).calls, []);
      latest(all).sink.records(at("orders"), [record(0, { key: "a" })]);
      await turns();
      await all.handlers.end("a0");
      assert.deepEqual(latest(all).acknowledged, ["orders/0@0"], "the late one took nothing over");
    }));

  it("may fail to leave, which is said", () =>
    play({}, async (all, tick) => {
      all.member.onLeave = () => {
        throw new Error("broker away");
      };
      all.member.sink.failed(busy());
      await turns();
      await tick(250);
      assert.deepEqual(logged(all.lines), ["subscription is degraded", "leaving the group was not clean"]);
    }));

  it("does not hold up or fail the next with an acknowledgement under way", async () => {
    for (const end of ["hangs", "fails for good", "fails for now", "succeeds"] as const) {
      await play({}, async (all, tick) => {
        const old = deferred<void>();
        all.member.onAcknowledge = () => old.promise;
        all.deliver(0, "a0 b1");
        await turns();
        await all.handlers.end("a0", "b1");
        all.member.sink.failed(busy());
        await turns();
        await tick(250);
        latest(all).sink.assigned([at("orders")]);
        latest(all).sink.records(at("orders"), [record(1, { key: "b" })]);
        if (end === "fails for good") old.reject(denied());
        if (end === "fails for now") old.reject(busy());
        if (end === "succeeds") old.resolve();
        await turns();
        await all.handlers.end("b1");
        assert.deepEqual(latest(all).acknowledgements, [["orders/0@1"]], end);
        assert.deepEqual(all.member.acknowledgements, [["orders/0@0"]], end);
        await tick(10_000);
        assert.equal(all.subscription.state, "running", end);
        assert.deepEqual(logged(all.lines), ["subscription is degraded"], end);
      });
    }
  });

  it("ends a revocation that is under way, which takes nothing from the next", () =>
    play({ drainTimeoutMs: 10_000 }, async (all, tick) => {
      all.deliver(0, [["a", 0]]);
      await turns();
      let given = false;
      const revoked = all.member.sink.revoked([at("orders")], { lost: false }).then(() => {
        given = true;
      });
      all.member.sink.failed(busy());
      await turns();
      await tick(250);
      latest(all).sink.assigned([at("orders")]);
      latest(all).sink.records(at("orders"), [record(0, { key: "b" })]);
      await tick(10_000);
      await revoked;
      assert.ok(given);
      await all.handlers.end("b0");
      assert.deepEqual(latest(all).acknowledged, ["orders/0@0"]);
      assert.equal(all.subscription.state, "running");
      await all.handlers.end("a0");
    }));

  it("tells the next source what is paused, not what was", () =>
    play({ maxInFlight: 1 }, async (all, tick) => {
      all.deliver(0, [["a", 0]]);
      await turns();
      assert.deepEqual(all.member.calls, ["pause orders/0"]);
      all.member.sink.failed(busy());
      await turns();
      await tick(250);
      latest(all).sink.assigned([at("orders")]);
      await turns();
      assert.deepEqual(latest(all).calls, []);
      await all.handlers.end("a0");
      assert.deepEqual(latest(all).calls, []);
    }));

  it("is shown in health with its trouble, and ok as long as it goes on", () =>
    play({}, async (all) => {
      all.member.sink.trouble({ reason: "broker away" });
      all.member.sink.failed(busy());
      await turns();
      const { ok, bindings } = await all.registry.health();
      assert.equal(ok, true);
      const [subscription] = (bindings.eventSubscriber?.subscriptions ?? []) as { state: string; trouble: string; restarts: number }[];
      assert.deepEqual([subscription?.state, subscription?.restarts], ["degraded", 1]);
      assert.match(subscription?.trouble as string, /joining again/, "the trouble of the old source went with it");
    }));

  it("forgets its trouble only when it says so", () =>
    play({}, async (all, tick) => {
      all.member.sink.failed(busy());
      await turns();
      await tick(250);
      latest(all).sink.trouble({ reason: "topic missing" });
      assert.equal(all.subscription.stats().trouble, "topic missing");
      latest(all).sink.assigned([]);
      assert.deepEqual([all.subscription.state, all.subscription.stats().trouble], ["degraded", "topic missing"]);
      latest(all).sink.trouble(undefined);
      assert.equal(all.subscription.state, "running");
      assert.deepEqual(logged(all.lines, "info"), ["subscription is well again"]);
    }));

  it("is no concern of a subscription that ends", async () => {
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver);
    const handlers = new Handlers();
    const subscription = service.api.subscribe(handlers);
    const member = await driver.member();
    member.sink.assigned([at("orders")]);
    member.sink.records(at("orders"), [record(0, { key: "a" })]);
    await turns();
    const stopped = subscription.stop();
    member.sink.failed(busy());
    await handlers.end("a0");
    await stopped;
    await until("the end", () => subscription.state === "stopped");
    assert.equal(driver.members.length, 1);
    assert.deepEqual(member.acknowledged, ["orders/0@0"]);
  });
});
