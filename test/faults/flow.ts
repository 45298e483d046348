import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Registry } from "hexkit";
import { randomFrom } from "../core/random.ts";
import { uniqueName } from "../services/kafka.ts";
import { Journal } from "./journal.ts";
import { type Scenario, type Stage, seconds, within } from "./stage.ts";
import { assertExact, judge } from "./verdict.ts";

/** Publishes `count` events over `keys` keys as one burst, writing them into the journal. */
export async function publishBurst(registry: Registry, journal: Journal, topic: string, count: number, keys: number): Promise<void> {
  const publisher = registry.get("eventPublisher");
  await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const [eventId, key, n] = [randomUUID(), `key-${index % keys}`, Math.floor(index / keys) + 1];
      journal.sent(eventId, key, n);
      await publisher.publish({ topic, type: "thing", key, payload: { n }, eventId });
      journal.acknowledged(eventId);
    }),
  );
}

export function numberOf(payload: unknown): number {
  return (payload as { n: number }).n;
}

/** Publishes a burst and consumes it in this process. */
async function burst(
  stage: Stage,
  {
    count,
    keys,
    concurrency,
    failing,
    patienceMs,
  }: { count: number; keys: number; concurrency: number; failing: number; patienceMs: number },
) {
  const [topic, name, seed] = [uniqueName(), uniqueName("service"), Math.trunc(Math.random() * 2 ** 31)];
  const chance = randomFrom(seed);
  await stage.createTopic(topic, 6);
  const subscriber = { concurrency, maxRetries: 20, retryDelayMs: 20, maxRetryDelayMs: 500 };
  const registry = await stage.open({ name, provider: stage.provider(), subscriber });
  const journal = new Journal();
  await publishBurst(registry, journal, topic, count, keys);
  const begin = performance.now();
  let running = 0;
  let mostAtOnce = 0;
  const subscription = registry.get("eventSubscriber").subscribe({
    topics: [topic],
    types: ["thing"],
    consume: async ({ eventId, key, payload }, { attempt }) => {
      const end = journal.begin(eventId, key, numberOf(payload), attempt);
      running += 1;
      mostAtOnce = Math.max(mostAtOnce, running);
      await delay(chance() * 10);
      running -= 1;
      const fails = chance() < failing;
      end(fails ? "failed" : undefined);
      if (fails) throw new Error("a failure at random");
    },
  });
  await within(patienceMs, `${count} events handled (seed ${seed})`, () => subscription.stats().handled >= count);
  const tookMs = performance.now() - begin;
  await subscription.stop();
  const verdict = judge(journal.sendings.values(), journal.runs);
  assertExact(journal.sendings.values(), journal.runs);
  assert.deepEqual(verdict, { sent: count, acknowledged: count, handled: count, duplicates: 0, orderViolations: 0 }, `seed ${seed}`);
  const stats = subscription.stats();
  assert.deepEqual([stats.received, stats.failed, stats.inFlight], [count, 0, 0]);
  const committed = await stage.committed(name, topic);
  assert.deepEqual(committed, await stage.ends(topic));
  return { verdict, stats, mostAtOnce, tookMs };
}

export const retries: Scenario = {
  name: "R1",
  title: "keyed events whose handler fails one time in ten: exact, in order per key, within 60 s",
  async run(stage, scale) {
    const { verdict, stats, tookMs } = await burst(stage, {
      count: scale === "full" ? 1_000 : 400,
      keys: 50,
      concurrency: 16,
      failing: 0.1,
      patienceMs: 60_000,
    });
    assert.ok(stats.retried > 0, "nothing failed");
    return { ...verdict, retried: stats.retried, tookS: seconds(tookMs) };
  },
};

export const concurrency: Scenario = {
  name: "R2",
  title: "50 concurrent handlers: exact, no order violation",
  async run(stage, scale) {
    const { verdict, mostAtOnce, tookMs } = await burst(stage, {
      count: scale === "full" ? 5_000 : 2_000,
      keys: 200,
      concurrency: 50,
      failing: 0,
      patienceMs: 60_000,
    });
    assert.equal(mostAtOnce, 50);
    return { ...verdict, mostAtOnce, tookS: seconds(tookMs) };
  },
};
