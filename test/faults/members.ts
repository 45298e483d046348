import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { uniqueName } from "../services/kafka.ts";
import { numberOf, publishBurst } from "./flow.ts";
import { Journal, machineMs, type Run } from "./journal.ts";
import { type Scenario, seconds, sum, type Worker, within } from "./stage.ts";
import { assertExact, handledIds, judge, repeatedIds } from "./verdict.ts";

export const membership: Scenario = {
  name: "R6",
  title: "a member is added, one is killed and one is ended during flow: no loss, only what was in flight at the kill comes twice",
  async run(stage, scale) {
    const [flowing, publishers] = scale === "full" ? [3_000, 40] : [400, 20];
    const [topic, name] = [uniqueName(), uniqueName("service")];
    await stage.createTopic(topic, 6);
    const provider = stage.provider({ sessionTimeoutMs: scale === "full" ? 6_000 : 3_000 });
    const join = (instance: string): Promise<Worker> =>
      stage.worker(instance, {
        role: "consumer",
        service: { name, instance, provider, subscriber: { concurrency: publishers / 4, commitIntervalMs: 100 } },
        topics: [topic],
        // About as much as comes, so that events wait in buffers when something happens.
        handlerMs: 30,
      });
    const [killed, terminated] = await Promise.all([join("killed"), join("terminated")]);
    const publisher = await stage.worker("publisher", {
      role: "publisher",
      service: { name: `${name}-source`, provider },
      topic,
      publishers,
      pauseMs: 100,
      patient: false,
    });
    const total = (): number => sum(stage.workers.map((worker) => worker.count("ended")));
    await within(60_000, "a flow through both", () => [killed, terminated].every((worker) => worker.count("ended") > flowing / 8));

    const added = await join("added");
    await added.until(60_000, "a share of the flow", () => added.count("ended") > flowing / 16);

    killed.kill("SIGKILL");
    await killed.end(10_000).catch(() => {});
    const killedMs = machineMs();
    const committed = await stage.committed(name, topic);
    const taken = total();
    await within(60_000, "the flow without the killed one", () => total() > taken + flowing / 8);

    terminated.kill("SIGTERM");
    assert.equal(await terminated.end(30_000), "0");
    const left = total();
    await within(60_000, "the flow through the last one", () => total() > left + flowing / 8);
    publisher.say("finish");
    await publisher.until(60_000, "the publisher's end", () => publisher.finished);
    const { sendings } = publisher.journal;
    await added.until(120_000, "every event", () => {
      const handled = handledIds(stage.runs());
      return [...sendings.keys()].every((id) => handled.has(id));
    });
    await delay(500); // A repetition would come about now.
    const runs = stage.runs().sort((a, b) => a.beginMs - b.beginMs);
    assertExact(sendings.values(), runs);
    const verdict = judge(sendings.values(), runs, new Map([["killed", killedMs]]));

    // In flight at the kill: begun by the killed one, and not acknowledged.
    const offsets = new Map(
      (await stage.read(topic)).map(({ partition, offset, headers }) => [headers.event_id ?? "", { partition, offset }]),
    );
    const inFlight = new Set(
      killed.journal.runs
        .map(({ id }) => id)
        .filter((id) => {
          const place = offsets.get(id);
          return place !== undefined && place.offset >= (committed.get(place.partition) ?? 0);
        }),
    );
    const repeated = repeatedIds(runs);
    const unexplained = [...repeated].filter((id) => !inFlight.has(id));
    const whose = (id: string): string =>
      runs
        .filter((run) => run.id === id)
        .map(({ member }) => member)
        .join("+");
    assert.deepEqual(unexplained.map(whose), [], `${unexplained.length} of ${repeated.size} repetitions were not in flight at the kill`);
    assert.equal(verdict.orderViolations, 0);
    const recoveryMs = takenOver(runs, killedMs) - killedMs;
    const repeatedAfterTerm = runs.filter(
      ({ id, member }, index) => member === "terminated" && runs.slice(index + 1).some((later) => later.id === id),
    ).length;
    assert.equal(repeatedAfterTerm, 0);
    return { ...verdict, inFlightAtKill: inFlight.size, repeatedAfterTerm, recoveryS: seconds(recoveryMs) };
  },
};

/** When another member first handled an event of a key that was the killed one's. */
function takenOver(runs: readonly Run[], killedMs: number): number {
  const owners = new Map(runs.filter(({ beginMs }) => beginMs < killedMs).map(({ key, member }) => [key, member]));
  return Math.min(...runs.filter(({ key, beginMs }) => beginMs > killedMs && owners.get(key) === "killed").map(({ beginMs }) => beginMs));
}

export const orderlyStop: Scenario = {
  name: "R7",
  title:
    "SIGTERM with 200 events buffered and slow handlers: ends within 30 s, what was handled is acknowledged, nothing else, no dead letter",
  async run(stage, scale) {
    // The slowest takes four times as long, which is less than handlers get to drain (25 s).
    const handlerMs = scale === "full" ? 5_000 : 1_000;
    const [topic, name] = [uniqueName(), uniqueName("service")];
    await stage.createTopic(topic, 3);
    const subscriber = { concurrency: 16, maxRetries: 3, deadLetter: true, commitIntervalMs: 60_000, commitEvery: 10_000 };
    const service = { name, provider: stage.provider(), subscriber };
    const registry = await stage.open({ ...service, name: `${name}-source` });
    const journal = new Journal();
    await publishBurst(registry, journal, topic, 200, 40);
    const slow = await stage.worker("slow", { role: "consumer", service, topics: [topic], handlerMs });
    await slow.until(60_000, "16 handlers that run", () => slow.count("begun") >= 24);
    await slow.until(60_000, "200 events delivered", async () => (await slow.ask()).stats.received === 200);
    const begin = performance.now();
    slow.kill("SIGTERM");
    assert.equal(await slow.end(35_000), "0");
    const drainMs = performance.now() - begin;
    assert.ok(drainMs <= 30_000, `${drainMs} ms`);
    const before = slow.journal.runs;
    const committed = sum((await stage.committed(name, topic)).values());
    const { handled } = judge(journal.sendings.values(), before);
    assert.ok(handled < 200, "there was nothing left to drain");
    assert.equal(before.filter(({ endMs }) => endMs === undefined).length, 0, "a handler was cut off");
    assert.equal(committed, handled, "what is acknowledged is what was handled");
    assert.equal(sum((await stage.ends(`${name}-dlq`)).values()), 0);

    const next = await stage.worker("next", { role: "consumer", service, topics: [topic], handlerMs: 0 });
    await next.until(60_000, "the rest", () => next.count("ended") >= 200 - handled);
    next.kill("SIGTERM");
    assert.equal(await next.end(30_000), "0");
    const runs = stage.runs();
    assertExact(journal.sendings.values(), runs);
    const verdict = judge(journal.sendings.values(), runs);
    assert.deepEqual([verdict.duplicates, verdict.orderViolations], [0, 0]);
    assert.equal(sum((await stage.ends(`${name}-dlq`)).values()), 0);
    return { ...verdict, handledBeforeTheEnd: handled, committed, drainS: seconds(drainMs) };
  },
};

export const slowHandler: Scenario = {
  name: "R8",
  title: "a handler that runs three times the session timeout: no rebalance, no redelivery, and the watchdog says so",
  async run(stage, scale) {
    const sessionTimeoutMs = scale === "full" ? 6_000 : 2_000;
    const [topic, name] = [uniqueName(), uniqueName("service")];
    await stage.createTopic(topic, 3);
    const registry = await stage.open({
      name,
      provider: stage.provider({ sessionTimeoutMs }),
      subscriber: { stallTimeoutMs: sessionTimeoutMs / 2, commitIntervalMs: 100 },
    });
    const journal = new Journal();
    await publishBurst(registry, journal, topic, 60, 20);
    let slowMs = 0;
    const subscription = registry.get("eventSubscriber").subscribe({
      topics: [topic],
      types: ["thing"],
      consume: async ({ eventId, key, payload }, { attempt }) => {
        const end = journal.begin(eventId, key, numberOf(payload), attempt);
        if (key === "key-0" && numberOf(payload) === 1) {
          const begin = performance.now();
          await delay(3 * sessionTimeoutMs);
          slowMs = performance.now() - begin;
        }
        end();
      },
    });
    await within(30_000, "all but the slow key", () => subscription.stats().handled === 57);
    const members = new Set<string>();
    const states = new Set<string>();
    await within(10 * sessionTimeoutMs + 30_000, "the slow one", async () => {
      for (const member of await stage.members(name)) members.add(member);
      states.add(subscription.state);
      return subscription.stats().handled === 60;
    });
    await within(sessionTimeoutMs + 10_000, "a state that is well again", () => subscription.state === "running");
    const { received, restarts } = subscription.stats();
    assert.deepEqual([received, restarts, members.size], [60, 0, 1], "received, restarts, members over time");
    assert.ok(states.has("degraded"), "the watchdog saw nothing");
    const said = stage.logs.filter(({ message }) => /^subscription is /.test(message));
    assert.deepEqual(
      said.map(({ message }) => message),
      ["subscription is degraded", "subscription is well again"],
    );
    assert.match(JSON.stringify(said[0]?.fields), /has not ended for/);
    await subscription.stop();
    assertExact(journal.sendings.values(), journal.runs);
    const verdict = judge(journal.sendings.values(), journal.runs);
    assert.deepEqual([verdict.duplicates, verdict.orderViolations], [0, 0]);
    assert.deepEqual(await stage.committed(name, topic), await stage.ends(topic));
    return { ...verdict, handlerS: seconds(slowMs), sessionS: seconds(sessionTimeoutMs), membersSeen: members.size };
  },
};
