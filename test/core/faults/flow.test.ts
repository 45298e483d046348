import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { plugin as memory } from "hexkit/plugins/memory";
import { chaos } from "hexkit/testkit";
import { assertExact, judge } from "../../faults/verdict.ts";
import { HurriedClock, until } from "../../testkit/service.ts";
import { numbers, pause, Stage } from "./stage.ts";

describe("R1, R2: a flow", () => {
  it("of 1,000 keyed events whose handler fails one time in ten is exact and in order per key", async () => {
    await using stage = new Stage(6);
    const registry = await stage.open();
    await stage.burst(registry, 1_000, 50);
    const draw = numbers(1);
    let failures = 0;
    const subscription = stage.subscribe(
      registry,
      "",
      async () => {
        await pause(draw(5));
        if (draw(10) > 0) return;
        failures += 1;
        throw new Error("a failure on plan");
      },
      { maxRetries: 50 },
    );
    await until(() => subscription.stats().handled === 1_000);
    await subscription.stop();
    stage.assertPerfect();
    const { received, retried, failed, inFlight } = subscription.stats();
    assert.ok(failures > 50, `${failures} failures`);
    assert.deepEqual([received, retried, failed, inFlight], [1_000, failures, 0, 0]);
    assert.deepEqual(await stage.remainder(), []);
  });

  it("of 5,000 events through 50 concurrent handlers is exact and in order per key", async () => {
    await using stage = new Stage(6);
    const registry = await stage.open();
    await stage.burst(registry, 5_000, 200);
    const draw = numbers(2);
    let running = 0;
    let mostAtOnce = 0;
    const subscription = stage.subscribe(
      registry,
      "",
      async () => {
        running += 1;
        mostAtOnce = Math.max(mostAtOnce, running);
        await pause(draw(4));
        running -= 1;
      },
      { concurrency: 50, commitEvery: 500 },
    );
    await until(() => subscription.stats().handled === 5_000);
    await subscription.stop();
    stage.assertPerfect();
    assert.equal(mostAtOnce, 50);
    assert.deepEqual(await stage.remainder(), []);
  });
});

describe("R3, R4: a broker that is away", () => {
  it("while 100 publishers send is waited for: everything acknowledged is handled, once and in order", async () => {
    await using stage = new Stage(6);
    const registry = await stage.open({ clock: new HurriedClock() });
    const subscription = stage.subscribe(registry);
    await until(() => subscription.state === "running");
    const publishing = Promise.all(
      Array.from({ length: 100 }, async (_, publisher) => {
        for (let n = 1; n <= 20; n += 1) await stage.publish(registry, `key-${publisher}`, n);
      }),
    );
    for (const share of [1 / 3, 1 / 2]) {
      await until(() => subscription.stats().handled > 2_000 * share);
      stage.faults.outage();
      const { handled } = subscription.stats();
      await pause(100);
      assert.equal(subscription.state, "degraded");
      const now = subscription.stats().handled;
      assert.ok(now < 2_000 && now >= handled, `${now} handled, ${handled} before`);
      stage.faults.restore();
    }
    await publishing;
    await until(() => subscription.stats().handled === 2_000);
    assert.deepEqual([subscription.state, subscription.stats().restarts], ["running", 0]);
    await subscription.stop();
    stage.assertPerfect();
    assert.deepEqual(await stage.remainder(), []);
  });

  it("and loses acknowledgements, means repetitions of exactly what was sent again, in order", async () => {
    await using stage = new Stage(3);
    const { plugin, plan } = chaos(memory);
    const registry = await stage.open({ plugin, clock: new HurriedClock() });
    const sentAgain = new Set<string>();
    plan.intercept(
      "eventPublisher.send",
      ({ args: [lane, records, options], proceed }) => {
        for (const { headers } of records) sentAgain.add(headers.find(([name]) => name === "event_id")?.[1] ?? "");
        return proceed(lane, records, options);
      },
      { every: 4 },
    );
    plan.loseAnswer("eventPublisher.send", { every: 4 });
    for (let n = 1; n <= 40; n += 1) await Promise.all(["a", "b", "c"].map((key) => stage.publish(registry, key, n)));
    const subscription = stage.subscribe(registry);
    await until(() => subscription.state === "running" && subscription.stats().lag === 0 && subscription.stats().inFlight === 0);
    await subscription.stop();
    const { sendings, runs } = stage.journal;
    assertExact(sendings.values(), runs);
    const repeated = new Set(runs.map(({ id }) => id).filter((id, index) => runs.findIndex((run) => run.id === id) !== index));
    assert.ok(sentAgain.size > 10, `${sentAgain.size} sent again`);
    assert.ok(
      [...repeated].every((id) => sentAgain.has(id)),
      "what was not sent again came again",
    );
    assert.equal(judge(sendings.values(), runs).orderViolations, 0);
  });
});
