import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { uniqueName } from "../services/kafka.ts";
import { machineMs, type Run } from "./journal.ts";
import { type Figures, type Scenario, type Stage, seconds, type Worker, within } from "./stage.ts";
import { assertExact, handledIds, isHandled, judge } from "./verdict.ts";

/** A consumer and a publisher, each a process of its own, on a broker that may be killed. */
async function processes(
  stage: Stage,
  flow: { publishers: number; eventsEach?: number; pauseMs: number; patient: boolean },
): Promise<{ publisher: Worker; consumer: Worker }> {
  await stage.ownBroker();
  const [topic, name] = [uniqueName(), uniqueName("service")];
  await stage.createTopic(topic, 6);
  const provider = stage.provider({ requestTimeoutMs: 10_000 });
  const consumer = await stage.worker("consumer", {
    role: "consumer",
    service: { name, provider, subscriber: { concurrency: 50, commitIntervalMs: 200 } },
    topics: [topic],
    handlerMs: 2,
  });
  const publisher = await stage.worker("publisher", {
    role: "publisher",
    service: { name: `${name}-source`, provider, deliveryTimeoutMs: 120_000 },
    topic,
    ...flow,
  });
  return { publisher, consumer };
}

/** Waits until all that was acknowledged has been handled, and says what came out. */
async function outcome(
  { publisher, consumer }: { publisher: Worker; consumer: Worker },
  patienceMs: number,
  backMs: readonly number[],
): Promise<Figures> {
  const { sendings } = publisher.journal;
  const acknowledged = [...sendings.values()].filter(({ acknowledgedMs }) => acknowledgedMs !== undefined);
  const sinceMs = machineMs();
  await consumer
    .until(patienceMs, "every acknowledged event handled", () => {
      const handled = handledIds(consumer.journal.runs);
      return acknowledged.every(({ id }) => handled.has(id));
    })
    // Then what is missing is named below.
    .catch((error) => consumer.ended === undefined || Promise.reject(error));
  const { runs } = consumer.journal;
  assertExact(sendings.values(), runs);
  const verdict = judge(sendings.values(), runs);
  assert.equal(verdict.orderViolations, 0);
  consumer.assertAlive();
  const recoveries = backMs.map((at) => firstAfter(runs, at) - at);
  consumer.kill("SIGTERM");
  assert.equal(await consumer.end(40_000), "0");
  return { ...verdict, recoveryS: seconds(Math.max(...recoveries)), allHandledS: seconds(Math.max(0, lastOf(runs) - sinceMs)) };
}

function firstAfter(runs: readonly Run[], ms: number): number {
  return Math.min(...runs.filter(({ beginMs }) => beginMs > ms).map(({ endMs = Number.POSITIVE_INFINITY }) => endMs));
}

function lastOf(runs: readonly Run[]): number {
  return Math.max(...runs.filter(isHandled).map(({ endMs = 0 }) => endMs));
}

export const brokerKilled: Scenario = {
  name: "R3",
  title: "the broker is killed and restarted after a third and after half of the events of 100 publishers: every acknowledged one arrives",
  async run(stage, scale) {
    const eventsEach = scale === "full" ? 100 : 20;
    const all = await processes(stage, { publishers: 100, eventsEach, pauseMs: scale === "full" ? 50 : 100, patient: true });
    const broker = await stage.ownBroker();
    const total = 100 * eventsEach;
    const backMs: number[] = [];
    for (const share of [1 / 3, 1 / 2]) {
      await all.publisher.until(60_000, `${share} of the events acknowledged`, () => all.publisher.count("acknowledged") >= total * share);
      assert.equal(all.publisher.finished, false, "the publishers were too quick for the broker's death");
      await broker.kill();
      await broker.restart();
      backMs.push(machineMs());
    }
    await all.publisher.until(120_000, "the publishers' end", () => all.publisher.finished);
    const figures = await outcome(all, 60_000, backMs);
    assert.equal(figures.acknowledged, total);
    return figures;
  },
};

export const longOutage: Scenario = {
  name: "R4",
  title: "no broker for 30 s under a steady flow: all that was sent arrives, without a restart of anything",
  async run(stage, scale) {
    const [outageMs, aroundMs] = scale === "full" ? [30_000, 10_000] : [6_000, 3_000];
    const all = await processes(stage, { publishers: 20, pauseMs: 200, patient: false });
    const broker = await stage.ownBroker();
    await all.consumer.until(60_000, "the first events", () => all.consumer.count("ended") > 50);
    await delay(aroundMs);
    await broker.kill();
    const sentBefore = all.publisher.count("sent");
    await delay(outageMs);
    const during = await all.consumer.ask();
    assert.equal(during.state, "degraded");
    assert.ok(all.publisher.count("sent") > sentBefore, "the flow goes on");
    await broker.restart();
    const backMs = machineMs();
    await delay(aroundMs);
    all.publisher.say("finish");
    await all.publisher.until(120_000, "the publisher's end", () => all.publisher.finished);
    const figures = await outcome(all, 300_000, [backMs]);
    assert.equal(figures.acknowledged, figures.sent);
    await within(10_000, "the end of the trouble", () => all.consumer.logs.some(({ message }) => message === "subscription is well again"));
    return { ...figures, outageS: seconds(outageMs) };
  },
};
