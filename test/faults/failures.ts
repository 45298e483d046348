import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { isHexkitError, type Registry, type Subscription } from "hexkit";
import type { Message } from "kafkajs";
import { uniqueName } from "../services/kafka.ts";
import { numberOf, publishBurst } from "./flow.ts";
import { Journal, machineMs } from "./journal.ts";
import { type Scenario, type StoredRecord, seconds, sum, within } from "./stage.ts";
import { assertExact, judge } from "./verdict.ts";

function eventHeaders(): Record<string, string> {
  return { type: "thing", event_id: randomUUID(), correlation_id: randomUUID() };
}

export const poison: Scenario = {
  name: "R9",
  title: "a poison set: each in the dead letters with all its headers, the next message handled",
  async run(stage, scale) {
    const rounds = scale === "full" ? 50 : 5;
    const [topic, name] = [uniqueName(), uniqueName("service")];
    await stage.createTopic(topic, 1);
    const registry = await stage.open({
      name,
      provider: stage.provider(),
      subscriber: { deadLetter: true, maxRetries: 1, retryDelayMs: 5 },
    });
    const errorText = "Größe ≠ 日本語 🎉";
    /** What is wrong, and the record without its headers. */
    const kinds: readonly (readonly [what: string, message: Message])[] = [
      ["bad UTF-8 in the value", { key: "k", value: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]) }],
      ["bad UTF-8 in the key", { key: Buffer.from([0xc3, 0x28]), value: '{"n":1}' }],
      ["bad JSON", { key: "k", value: '{"n":' }],
      ["null key", { key: null, value: '{"n":1}' }],
      ["null value", { key: "k", value: null }],
      ["bad correlation id", { key: "k", value: '{"n":1}', headers: { correlation_id: "nonsense" } }],
      ["huge header", { key: "k", value: '{"fails":true}', headers: { huge: "h".repeat(300_000) } }],
      [
        "record at the broker's limit",
        { key: "k", value: JSON.stringify({ fails: true, filling: "v".repeat(1_020_000) }), headers: { large: "l".repeat(20_000) } },
      ],
      ["event that outgrows the limit in ASCII", { key: "k", value: JSON.stringify({ fails: true, filling: "é".repeat(300_000) }) }],
      ["non-ASCII error text and header", { key: "k", value: '{"fails":true,"who":"Zoë"}', headers: { città: "perché" } }],
    ];
    const bare = await stage.writer();
    const written = new Map<string, { what: string; headers: Record<string, string> }>();
    const good: string[] = [];
    for (let round = 0; round < rounds; round += 1) {
      for (const [what, message] of kinds) {
        const headers: Record<string, string> = { ...eventHeaders(), trace: randomUUID(), ...(message.headers as Record<string, string>) };
        written.set(headers.event_id as string, { what, headers });
        const next = eventHeaders();
        good.push(next.event_id as string);
        await bare.send({
          topic,
          messages: [
            { ...message, headers },
            { key: "k", value: '{"n":2}', headers: next },
          ],
        });
      }
    }
    const handled: string[] = [];
    const begin = performance.now();
    const subscription = registry.get("eventSubscriber").subscribe({
      topics: [topic],
      types: ["thing"],
      consume: ({ payload, eventId }) => {
        if ((payload as { fails?: boolean }).fails) throw new Error(errorText);
        handled.push(eventId);
      },
    });
    const poisoned = rounds * kinds.length;
    await within(120_000, "all poison in the dead letters and all else handled", () => {
      assert.notEqual(subscription.state, "failed", JSON.stringify(stage.logs.at(-1)));
      const stats = subscription.stats();
      return stats.deadLettered === poisoned && stats.handled === good.length;
    });
    const tookMs = performance.now() - begin;
    await subscription.stop();
    assert.deepEqual(handled, good, "each once and in order");
    assert.deepEqual(await stage.committed(name, topic), await stage.ends(topic));
    const letters = await stage.read(`${name}-dlq`);
    assert.equal(letters.length, poisoned);
    for (const letter of letters) {
      const id = letter.headers.original_event_id as string;
      const origin = written.get(id);
      assert.ok(origin, `a dead letter of ${id}`);
      written.delete(id);
      judgeLetter(letter, origin, { topic, name, errorText });
    }
    assert.equal(written.size, 0);
    return {
      poison: poisoned,
      deadLettered: letters.length,
      handled: handled.length,
      duplicates: handled.length - new Set(handled).size,
      tookS: seconds(tookMs),
    };
  },
};

/** Those that can be decoded: their handler fails. */
const failingKinds = [
  "huge header",
  "record at the broker's limit",
  "event that outgrows the limit in ASCII",
  "non-ASCII error text and header",
];

function judgeLetter(
  letter: StoredRecord,
  { what, headers: original }: { what: string; headers: Record<string, string> },
  { topic, name, errorText }: { topic: string; name: string; errorText: string },
): void {
  const { headers } = letter;
  const isEvent = failingKinds.includes(what);
  const isBare = what === "event that outgrows the limit in ASCII";
  for (const own of ["exc_class", "exc_msg", "failed_at", "original_partition", "original_timestamp", "event_id", "correlation_id"]) {
    assert.ok(headers[own], `${what}: header ${own}`);
  }
  assert.equal(headers.original_topic, topic, what);
  assert.equal(headers.service, name, what);
  assert.equal(headers.attempts, isEvent ? "2" : "1", what);
  assert.equal(headers.redrives, "0", what);
  assert.ok(Number(headers.original_offset) >= 0, what);
  // What was there is there, in ASCII.
  for (const [header, value] of Object.entries(original)) {
    if (["event_id", "correlation_id"].includes(header)) continue;
    // Too large for a dead letter: it says where its content lies, no more.
    if (isBare && header !== "type") continue;
    const [escapedName, escapedValue] = [escaped(header), escaped(value)];
    assert.equal(headers[escapedName], escapedValue, `${what}: original header ${header}`);
  }
  assert.equal(headers.first_event_id, original.event_id, what);
  assert.ok(/^[\x20-\x7e]*$/.test(String(letter.value)), `${what}: a value in ASCII`);
  assert.notEqual(letter.key, null, what);
  if (isEvent) assert.equal(headers.exc_msg, escaped(errorText), what);
  if (!isEvent || isBare) assert.ok(headers.undecodable, `${what}: why it is undecodable`);
}

function escaped(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, (character) =>
    [...Array(character.length).keys()].map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""),
  );
}

export const onePartitionFails: Scenario = {
  name: "R10",
  title: "an error in partition 0 of 6: the other five neither pause nor repeat",
  async run(stage, scale) {
    const [forMs, everyMs] = scale === "full" ? [20_000, 20] : [5_000, 20];
    const [topic, name] = [uniqueName(), uniqueName("service")];
    await stage.createTopic(topic, 6);
    // A small window, so that partition 0 is full and paused soon.
    const subscriber = { maxRetries: 1_000_000, retryDelayMs: 50, maxRetryDelayMs: 250, maxInFlight: 20, concurrency: 12 };
    const registry = await stage.open({ name, provider: stage.provider(), subscriber });
    const journal = new Journal();
    let broken = true;
    const subscription = registry.get("eventSubscriber").subscribe({
      topics: [topic],
      types: ["thing"],
      consume: async ({ eventId, key, payload }, { attempt }) => {
        const end = journal.begin(eventId, key, numberOf(payload), attempt);
        await delay(1);
        const fails = broken && key.startsWith("p0");
        end(fails ? "failed" : undefined);
        if (fails) throw new Error("partition 0 is cursed");
      },
    });
    await within(30_000, "an assignment", () => subscription.state === "running");
    const bare = await stage.writer();
    const begin = machineMs();
    let n = 0;
    while (machineMs() - begin < forMs) {
      n += 1;
      const messages = Array.from({ length: 6 }, (_, partition) => {
        const [key, headers] = [`p${partition}-${n % 3}`, eventHeaders()];
        journal.sent(headers.event_id as string, key, n);
        return { key, value: JSON.stringify({ n }), partition, headers };
      });
      await bare.send({ topic, messages });
      for (const { headers } of messages) journal.acknowledged(headers.event_id as string);
      await delay(everyMs);
    }
    const others = journal.runs.filter(({ key }) => !key.startsWith("p0"));
    const { retried, handled } = subscription.stats();
    assert.ok(retried > 10, "partition 0 failed all the time");
    await within(10_000, "the other five", () => subscription.stats().handled === 5 * n);
    let longestGapMs = 0;
    for (let partition = 1; partition < 6; partition += 1) {
      const ends = others.filter(({ key }) => key.startsWith(`p${partition}`)).map(({ endMs = 0 }) => endMs);
      ends.forEach((endMs, index) => {
        longestGapMs = Math.max(longestGapMs, endMs - (ends[index - 1] ?? endMs));
      });
    }
    assert.ok(longestGapMs < 2_000, `a partition paused for ${longestGapMs} ms`);
    const behind = 5 * n - handled;
    broken = false;
    await within(60_000, "partition 0 as well", () => subscription.stats().handled === 6 * n);
    await subscription.stop();
    assertExact(journal.sendings.values(), journal.runs);
    const verdict = judge(journal.sendings.values(), journal.runs);
    assert.deepEqual([verdict.duplicates, verdict.orderViolations, subscription.stats().received], [0, 0, 6 * n]);
    assert.deepEqual(await stage.committed(name, topic), await stage.ends(topic));
    return { ...verdict, retried, longestGapMs: Math.round(longestGapMs), behindAtTheEnd: behind };
  },
};

export const cancelledRetry: Scenario = {
  name: "R11",
  title: "a retry cancelled by a stop or a rebalance: not acknowledged, no dead letter, delivered again once",
  async run(stage, scale) {
    const events = scale === "full" ? 120 : 24;
    const figures = {
      sent: 0,
      handled: 0,
      cancelledByStop: 0,
      cancelledByRebalance: 0,
      deadLettered: 0,
      duplicates: 0,
      orderViolations: 0,
    };
    for (const by of ["stop", "rebalance"] as const) {
      const [topic, name] = [uniqueName(), uniqueName("service")];
      await stage.createTopic(topic, 6);
      const retry = { maxRetries: 1, retryDelayMs: 600_000, maxRetryDelayMs: 600_000 };
      const service = { name, provider: stage.provider(), subscriber: { ...retry, deadLetter: true, commitIntervalMs: 100 } };
      const journal = new Journal();
      let fails = true;
      const subscribe = (registry: Registry, member: string): Subscription =>
        registry.get("eventSubscriber").subscribe({
          topics: [topic],
          types: ["thing"],
          consume: async ({ eventId, key, payload }, { attempt }) => {
            const failing = fails;
            const end = journal.begin(eventId, key, numberOf(payload), attempt, member);
            await delay(1);
            end(failing ? "failed" : undefined);
            if (failing) throw new Error("not yet");
          },
        });
      const first = await stage.open({ ...service, instance: "first" });
      await publishBurst(first, journal, topic, events, events);
      const subscription = subscribe(first, "first");
      await within(60_000, "every event in a pause before its retry", () => subscription.stats().retried === events);
      assert.equal(sum((await stage.committed(name, topic)).values()), 0);
      fails = false;
      const second = await stage.open({ ...service, instance: "second" });
      if (by === "stop") {
        await subscription.stop();
        assert.equal(sum((await stage.committed(name, topic)).values()), 0, "nothing was acknowledged");
      }
      const other = subscribe(second, "second");
      const handled = (): number => subscription.stats().handled + other.stats().handled;
      await within(60_000, "every event handled", () => handled() === events);
      if (by === "rebalance") assert.ok(subscription.stats().handled > 0 && other.stats().handled > 0, "both have a share");
      await Promise.all([subscription.stop(), other.stop()]);
      const after = journal.runs.filter(({ failed }) => failed !== true);
      assert.ok(
        after.every(({ attempt }) => attempt === 1),
        "a new delivery begins with attempt 1",
      );
      assertExact(journal.sendings.values(), journal.runs);
      const verdict = judge(journal.sendings.values(), journal.runs);
      assert.deepEqual([verdict.handled, verdict.duplicates, verdict.orderViolations], [events, 0, 0]);
      assert.equal(journal.runs.length, 2 * events, "each ran twice: once in vain, once well");
      const deadLettered = sum((await stage.ends(`${name}-dlq`)).values());
      assert.equal(deadLettered, 0);
      assert.deepEqual(await stage.committed(name, topic), await stage.ends(topic));
      figures.sent += verdict.sent;
      figures.handled += verdict.handled;
      figures.duplicates += verdict.duplicates;
      figures.orderViolations += verdict.orderViolations;
      figures.deadLettered += deadLettered;
      figures[by === "stop" ? "cancelledByStop" : "cancelledByRebalance"] = events;
    }
    return figures;
  },
};

export const exhausted: Scenario = {
  name: "R12",
  title:
    "retries exhausted without dead letters: skip goes on, counted and logged, and does not see it again; stop acknowledges nothing past it",
  async run(stage, scale) {
    const events = scale === "full" ? 1_000 : 200;
    const skipped = events / 10;
    const isDoomed = (n: number): boolean => n % 10 === 0;
    const [topic, name] = [uniqueName(), uniqueName("service")];
    await stage.createTopic(topic, 3);
    const retry = { maxRetries: 2, retryDelayMs: 5, maxRetryDelayMs: 20 };
    const service = { provider: stage.provider(), subscriber: { ...retry, onFailure: "skip" as const } };
    const journal = new Journal();
    const registry = await stage.open({ ...service, name });
    await publishBurst(registry, journal, topic, events, 20);
    const attempts = new Map<string, number>();
    const subscribe = (on: Registry, doomed: boolean): Subscription =>
      on.get("eventSubscriber").subscribe({
        topics: [topic],
        types: ["thing"],
        consume: ({ eventId, key, payload }, { attempt }) => {
          const n = numberOf(payload);
          const end = journal.begin(eventId, key, n, attempt);
          const fails = doomed && isDoomed(n);
          end(fails ? "failed" : undefined);
          if (!fails) return;
          attempts.set(eventId, (attempts.get(eventId) ?? 0) + 1);
          throw new Error("hopeless");
        },
      });
    const subscription = subscribe(registry, true);
    await within(60_000, "all handled or skipped", () => {
      const stats = subscription.stats();
      return stats.handled + stats.skipped === events;
    });
    const stats = subscription.stats();
    await subscription.stop();
    assert.deepEqual([stats.handled, stats.skipped, stats.failed, stats.retried], [events - skipped, skipped, skipped, 2 * skipped]);
    assert.deepEqual([...new Set(attempts.values())], [3]);
    assert.equal(stage.logs.filter(({ message }) => message === "an event failed and was skipped").length, skipped);
    assert.deepEqual(await stage.committed(name, topic), await stage.ends(topic));
    const verdict = judge(journal.sendings.values(), journal.runs);
    assert.deepEqual([verdict.handled, verdict.duplicates, verdict.orderViolations], [events - skipped, 0, 0]);

    // After a restart only what is new comes.
    const ranBefore = journal.runs.length;
    const restarted = await stage.open({ ...service, name });
    const marker = { topic, type: "thing", payload: { n: 1_000_001 } };
    await Promise.all(
      Array.from({ length: 30 }, (_, index) => restarted.get("eventPublisher").publish({ ...marker, key: `marker-${index}` })),
    );
    const again = subscribe(restarted, true);
    await within(60_000, "what is new", () => again.stats().handled === 30);
    await again.stop();
    const seenAfterRestart = journal.runs.slice(ranBefore).filter(({ n }) => n !== 1_000_001).length;
    assert.equal(seenAfterRestart, 0, "what was skipped came again");

    // The twin: another group, under stop.
    const twin = uniqueName("service");
    const stopping = await stage.open({ ...service, name: twin, subscriber: { ...retry, onFailure: "stop" } });
    const ranSkipping = journal.runs.length;
    const failing = subscribe(stopping, true);
    await assert.rejects(
      failing.done,
      (error) => isHexkitError(error, "ERR_HEXKIT_EVENT_FAILED") && /3 times: hopeless/.test(error.message),
    );
    assert.equal(failing.state, "failed");
    const committed = await stage.committed(twin, topic);
    const fatal = new Set(journal.runs.slice(ranSkipping).flatMap(({ id, attempt }) => (attempt === 3 ? [id] : [])));
    assert.ok(fatal.size > 0, "no event failed the twin");
    const stored = await stage.read(topic);
    const firstDoomed = (partition: number): number =>
      Math.min(
        ...stored
          .filter((record) => record.partition === partition && fatal.has(record.headers.event_id ?? ""))
          .map(({ offset }) => offset),
      );
    for (const [partition, offset] of committed) {
      assert.ok(offset <= firstDoomed(partition), `partition ${partition} is acknowledged to ${offset}, past ${firstDoomed(partition)}`);
    }
    const recovered = await stage.open({ ...service, name: twin, subscriber: { ...retry, onFailure: "stop" } });
    const ranStopping = journal.runs.length;
    const well = subscribe(recovered, false);
    await within(60_000, "the rest", () => well.stats().handled === events + 30 - sum(committed.values()));
    await well.stop();
    const seenAgain = new Set(journal.runs.slice(ranStopping).map(({ id }) => id));
    assert.ok(
      [...fatal].every((id) => seenAgain.has(id)),
      "what failed under stop came again",
    );
    return { ...verdict, skipped, retried: stats.retried, seenAfterRestart, stopCommitted: sum(committed.values()) };
  },
};

export const redrive: Scenario = {
  name: "R16",
  title: "dead letters sent back while half still fail: the first id kept, attempts rise, the loop guard stops",
  async run(stage, scale) {
    const [events, maxRedrives] = scale === "full" ? [1_000, 5] : [200, 3];
    const [topic, name] = [uniqueName(), uniqueName("service")];
    await stage.createTopic(topic, 3);
    const subscriber = { deadLetter: true, maxRedrives, concurrency: 32 };
    const registry = await stage.open({ name, provider: stage.provider(), subscriber });
    const journal = new Journal();
    await publishBurst(registry, journal, topic, events, 50);
    const ids = new Set(journal.sendings.keys());
    const isHopeless = (key: string): boolean => Number(key.split("-")[1]) % 2 === 0;
    const succeeded: string[] = [];
    const begin = performance.now();
    const subscription = registry.get("eventSubscriber").subscribe({
      topics: [topic],
      types: ["thing"],
      consume: ({ key, headers }) => {
        const redrives = Number(headers.redrives ?? 0);
        if (redrives === 0 || isHopeless(key)) throw new Error(`fails after ${redrives} redrives`);
        succeeded.push(headers.first_event_id ?? "");
      },
    });
    /** What each dead letter said, by the id that it had first. */
    const letters = new Map<string, { attempts: number; redrives: number; eventId: string }[]>();
    const stopped: string[] = [];
    const reader = registry.get("eventSubscriber").subscribeDeadLetters(async (letter, context) => {
      const first = letter.firstEventId ?? "";
      const { attempts, redrives, originalEventId = "" } = letter;
      letters.set(first, [...(letters.get(first) ?? []), { attempts, redrives, eventId: originalEventId }]);
      assert.equal(letter.originalTopic, topic);
      assert.equal(letter.error.message, `fails after ${redrives} redrives`);
      try {
        await context.redrive();
      } catch (error) {
        if (!isHexkitError(error, "ERR_HEXKIT_REDRIVE_LIMIT")) throw error;
        stopped.push(first);
      }
    });
    await within(180_000, "the end of the loop", () => {
      for (const { state } of [subscription, reader]) assert.notEqual(state, "failed", JSON.stringify(stage.logs.at(-1)));
      return succeeded.length >= events / 2 && stopped.length >= events / 2;
    });
    const tookMs = performance.now() - begin;
    await delay(300); // A redrive past the guard would come about now.
    await Promise.all([subscription.stop(), reader.stop()]);
    const hopeless = [...journal.sendings.values()].filter(({ key }) => isHopeless(key)).map(({ id }) => id);
    assert.deepEqual(new Set(succeeded), new Set([...ids].filter((id) => !hopeless.includes(id))));
    assert.equal(succeeded.length, events / 2, "each once");
    assert.deepEqual(stopped.sort(), hopeless.sort());
    for (const [first, said] of letters) {
      const rounds = hopeless.includes(first) ? maxRedrives + 1 : 1;
      assert.ok(ids.has(first), `a first id that was published: ${first}`);
      assert.deepEqual(
        said.map(({ attempts, redrives }) => [attempts, redrives]),
        Array.from({ length: rounds }, (_, round) => [round + 1, round]),
      );
      assert.equal(new Set(said.map(({ eventId }) => eventId)).size, rounds, "every try has an id of its own");
      assert.equal(said[0]?.eventId, first);
    }
    assert.equal(letters.size, events);
    const retryTopic = `retry-${name}`;
    const back = sum((await stage.ends(retryTopic)).values());
    assert.equal(back, events / 2 + (events / 2) * maxRedrives);
    assert.deepEqual(await stage.committed(name, retryTopic), await stage.ends(retryTopic));
    return {
      sent: events,
      succeeded: succeeded.length,
      stoppedByGuard: stopped.length,
      redrives: back,
      maxRedrives,
      duplicates: succeeded.length - new Set(succeeded).size,
      tookS: seconds(tookMs),
    };
  },
};
