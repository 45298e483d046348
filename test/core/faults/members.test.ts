import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SourceRecord } from "hexkit";
import { plugin as memory } from "hexkit/plugins/memory";
import { type ChaosPlan, chaos } from "hexkit/testkit";
import { machineMs } from "../../faults/journal.ts";
import { assertExact, handledIds, judge, repeatedIds } from "../../faults/verdict.ts";
import { turns, until } from "../../testkit/service.ts";
import { Door, numbers, pause, Stage } from "./stage.ts";

/** What one member has had and not acknowledged. */
function watch(plan: ChaosPlan): () => Set<string> {
  const delivered = new Map<string, SourceRecord[]>();
  const acknowledged = new Set<string>();
  const place = ({ topic, partition, offset }: SourceRecord): string => `${topic}/${partition}/${offset}`;
  plan.intercept("eventSubscriber.records", async ({ args: [partition, records], proceed }) => {
    const list = delivered.get(String(partition.partition)) ?? [];
    list.push(...records);
    delivered.set(String(partition.partition), list);
    await proceed(partition, records);
  });
  plan.intercept("eventSubscriber.acknowledge", async ({ args: [records, options], proceed }) => {
    await proceed(records, options);
    for (const record of records) acknowledged.add(place(record));
  });
  return () => {
    const ids = new Set<string>();
    for (const records of delivered.values()) {
      const first = records.findIndex((record) => !acknowledged.has(place(record)));
      for (const { headers } of first < 0 ? [] : records.slice(first)) {
        ids.add(Buffer.from(headers.find(([name]) => name === "event_id")?.[1] ?? []).toString());
      }
    }
    return ids;
  };
}

describe("R6: members that come and go during a flow", () => {
  it("lose nothing; only what was in flight at a kill comes twice, and nothing at an orderly end", async () => {
    await using stage = new Stage(6);
    const chaotic = chaos(memory);
    const unacknowledged = watch(chaotic.plan);
    const draw = numbers(6);
    let isKilled = false;
    const work = async (): Promise<void> => pause(1 + draw(4));
    const [first, second, source] = [
      await stage.open({ instance: "killed", plugin: chaotic.plugin }),
      await stage.open({ instance: "ended" }),
      await stage.open({ name: "source" }),
    ];
    const killed = stage.subscribe(first, "killed", async () => {
      await work();
      // A process that is killed ends no handler.
      if (isKilled) await new Promise(() => {});
    });
    const ended = stage.subscribe(second, "ended", work);
    const flow = Promise.all(
      Array.from({ length: 30 }, async (_, publisher) => {
        for (let n = 1; n <= 60; n += 1) {
          await stage.publish(source, `key-${publisher}`, n);
          await pause(draw(6));
        }
      }),
    );
    const total = (): number => handledIds(stage.journal.runs).size;
    await until(() => killed.stats().handled > 100 && ended.stats().handled > 100);

    const third = await stage.open({ instance: "added" });
    const added = stage.subscribe(third, "added", work);
    await until(() => added.stats().handled > 50);

    await until(() => killed.stats().inFlight > 0);
    isKilled = true;
    const inFlight = unacknowledged();
    const killedMs = machineMs();
    stage.faults.loseMember("shop", "shop.killed");
    const atKill = total();
    await until(() => total() > atKill + 200);

    await ended.stop();
    assert.equal(ended.state, "stopped");
    const atEnd = total();
    await until(() => total() > atEnd + 100);
    await flow;
    await until(() => total() === 1_800 && added.stats().inFlight === 0);
    await turns();
    await added.stop();

    const { sendings, runs } = stage.journal;
    assertExact(sendings.values(), runs);
    const repeated = repeatedIds(runs);
    assert.deepEqual(
      [...repeated].filter((id) => !inFlight.has(id)),
      [],
      "repetitions of what was not in flight at the kill",
    );
    assert.ok(inFlight.size > 0, "nothing was in flight");
    assert.equal(judge(sendings.values(), runs, new Map([["killed", killedMs]])).orderViolations, 0);
    assert.deepEqual(await stage.remainder(), []);
  });
});

describe("R7: an orderly stop", () => {
  it("with 200 events buffered and slow handlers acknowledges what was handled and nothing else, without dead letters", async () => {
    await using stage = new Stage(3);
    const registry = await stage.open({
      subscriber: { deadLetter: true, maxRetries: 3, commitEvery: 10_000, commitIntervalMs: 60_000 },
    });
    await stage.burst(registry, 200, 40);
    const door = new Door();
    const draw = numbers(7);
    const subscription = stage.subscribe(registry, "", async () => {
      await pause(draw(5));
      if (stage.journal.runs.length >= 24) await door.opened;
    });
    await until(() => subscription.stats().received === 200 && stage.journal.runs.length >= 24 && subscription.stats().handled >= 8);
    const stopping = subscription.stop();
    await turns();
    assert.equal(subscription.state, "stopping");
    door.open();
    await stopping;
    const { handled, failed, deadLettered } = subscription.stats();
    assert.ok(handled >= 24 && handled < 200, String(handled));
    assert.deepEqual([failed, deadLettered, stage.stored("shop-dlq").length], [0, 0, 0]);
    const done = handledIds(stage.journal.runs);
    assert.equal(done.size, handled);
    const rest = await stage.remainder();
    assert.equal(rest.length, new Set(rest).size);
    assert.deepEqual(new Set(rest), new Set([...stage.journal.sendings.keys()].filter((id) => !done.has(id))));
  });
});

describe("R8: a handler that runs for long", () => {
  it("is reported, costs neither the membership nor a repetition, and holds up its key only", async () => {
    await using stage = new Stage(3);
    const { plugin, plan } = chaos(memory);
    const registry = await stage.open({ plugin, subscriber: { stallTimeoutMs: 20 } });
    await stage.burst(registry, 60, 20);
    const door = new Door();
    const subscription = stage.subscribe(registry, "", async ({ key, payload }) => {
      if (key === "key-0" && (payload as { n: number }).n === 1) await door.opened;
    });
    await until(() => subscription.stats().handled === 57);
    await until(() => subscription.state === "degraded");
    assert.match(subscription.stats().trouble ?? "", /has not ended for 20 ms/);
    door.open();
    await until(() => subscription.stats().handled === 60);
    await until(() => subscription.state === "running");
    const { received, restarts } = subscription.stats();
    assert.deepEqual([received, restarts, plan.calls("eventSubscriber.join")], [60, 0, 1]);
    assert.deepEqual(
      stage.lines.filter(({ message }) => message.startsWith("subscription is")).map(({ message }) => message),
      ["subscription is degraded", "subscription is well again"],
    );
    await subscription.stop();
    stage.assertPerfect();
    assert.deepEqual(await stage.remainder(), []);
  });
});

describe("R11: a retry that is cancelled", () => {
  const patient = { maxRetries: 1, retryDelayMs: 600_000, maxRetryDelayMs: 600_000, deadLetter: true };

  it("by a stop is not acknowledged, makes no dead letter and is delivered again, once", async () => {
    await using stage = new Stage(6);
    const registry = await stage.open({ subscriber: patient });
    await stage.burst(registry, 24, 24);
    const subscription = stage.subscribe(registry, "first", () => {
      throw new Error("not yet");
    });
    await until(() => subscription.stats().retried === 24);
    await subscription.stop();
    const { handled, failed } = subscription.stats();
    assert.deepEqual([handled, failed, stage.stored("shop-dlq").length], [0, 0, 0]);
    const again = stage.subscribe(registry, "second");
    await until(() => again.stats().handled === 24);
    await again.stop();
    assertTwice(stage, 24);
    assert.deepEqual(await stage.remainder(), []);
  });

  it("by a stop while it runs, and that fails because of it, likewise", async () => {
    const door = new Door();
    const ways: readonly (readonly [drainTimeoutMs: number, fail: (signal: AbortSignal) => Promise<void>])[] = [
      [10_000, () => door.opened.then(() => Promise.reject(new Error("the database is closing")))],
      [0, (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }))],
    ];
    for (const [drainTimeoutMs, fail] of ways) {
      await using stage = new Stage(6);
      const registry = await stage.open({ subscriber: { maxRetries: 0, deadLetter: true, drainTimeoutMs } });
      await stage.burst(registry, 12, 12);
      const subscription = stage.subscribe(registry, "first", (_event, { signal }) => fail(signal));
      await until(() => stage.journal.runs.length === 12);
      const stopping = subscription.stop();
      door.open();
      await stopping;
      await turns();
      const { handled, failed } = subscription.stats();
      assert.deepEqual([handled, failed, stage.stored("shop-dlq").length], [0, 0, 0]);
      assert.equal(subscription.state, "stopped");
      const again = stage.subscribe(registry, "second");
      await until(() => again.stats().handled === 12);
      await again.stop();
      assertTwice(stage, 12);
    }
  });

  it("by a rebalance or a lost membership likewise", async () => {
    for (const fault of ["rebalance", "loseMember"] as const) {
      await using stage = new Stage(6);
      let fails = true;
      const behaviour = (): void => {
        if (fails) throw new Error("not yet");
      };
      const [first, second] = [
        await stage.open({ instance: "first", subscriber: patient }),
        await stage.open({ instance: "second", subscriber: patient }),
      ];
      const one = stage.subscribe(first, "first", behaviour);
      const two = stage.subscribe(second, "second", behaviour);
      await until(() => one.state === "running" && two.state === "running");
      await turns();
      await stage.burst(first, 24, 24);
      await until(() => one.stats().retried + two.stats().retried === 24);
      const before = [one.stats().retried, two.stats().retried];
      fails = false;
      if (fault === "rebalance") stage.faults.rebalance("shop");
      else stage.faults.loseMember("shop", "shop.first");
      const moved = fault === "rebalance" ? 24 : (before[0] as number);
      await until(() => one.stats().handled + two.stats().handled === moved);
      await turns();
      if (fault === "rebalance") assert.deepEqual([two.stats().handled, one.stats().handled], before);
      else assert.deepEqual([two.stats().handled, one.stats().handled], [before[0], 0]);
      await Promise.all([one.stop(), two.stop()]);
      const rest = await stage.remainder();
      assert.equal(rest.length, 24 - moved);
      assert.equal(stage.stored("shop-dlq").length, 0);
      if (fault === "rebalance") assertTwice(stage, 24);
    }
  });
});

/** Each event ran twice: once in vain, once well, and both as a first attempt. */
function assertTwice(stage: Stage, events: number): void {
  const { runs } = stage.journal;
  stage.assertPerfect();
  assert.equal(runs.length, 2 * events);
  assert.ok(
    runs.every(({ attempt }) => attempt === 1),
    "an attempt was counted",
  );
}
