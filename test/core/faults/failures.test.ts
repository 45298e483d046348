import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { isHexkitError, type SourceRecord } from "hexkit";
import { handledIds } from "../../faults/verdict.ts";
import { until } from "../../testkit/service.ts";
import { numberOf, Stage } from "./stage.ts";

const text = (bytes: Uint8Array | null): string => Buffer.from(bytes ?? []).toString();
const headersOf = ({ headers }: SourceRecord): Record<string, string> =>
  Object.fromEntries(headers.map(([name, value]) => [name, text(value)]));
const idOf = (record: SourceRecord): string => headersOf(record).event_id ?? "";
const escaped = (given: string): string =>
  given.replaceAll(/[^\x20-\x7e]/g, (character) =>
    [...Array(character.length).keys()].map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""),
  );

describe("R9: poison", () => {
  const errorText = "Größe ≠ 日本語 🎉";
  const kinds = {
    "bad UTF-8 in the value": { key: "k", value: Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d) },
    "bad UTF-8 in the key": { key: Uint8Array.of(0xc3, 0x28), value: '{"n":1}' },
    "bad JSON": { key: "k", value: '{"n":' },
    "null key": { key: null, value: '{"n":1}' },
    "null value": { key: "k", value: null },
    "bad correlation id": { key: "k", value: '{"n":1}', headers: { correlation_id: "nonsense" } },
    "huge header": { key: "k", value: '{"fails":true}', headers: { huge: "h".repeat(300_000) } },
    "non-ASCII error text and header": { key: "k", value: '{"fails":true,"who":"Zoë"}', headers: { città: "perché" } },
  } as const;

  it("goes to the dead letters, each with all its headers, and the next event is handled", async () => {
    await using stage = new Stage(1);
    const registry = await stage.open({ subscriber: { deadLetter: true, maxRetries: 1 } });
    const written = new Map<string, { what: string; headers: Record<string, string> }>();
    const good: string[] = [];
    for (let round = 0; round < 5; round += 1) {
      for (const [what, record] of Object.entries(kinds)) {
        const own = { type: "thing", event_id: randomUUID(), correlation_id: randomUUID(), trace: randomUUID() };
        const headers: Record<string, string> = { ...own, ...("headers" in record ? (record.headers as Record<string, string>) : {}) };
        stage.write({ key: record.key, value: record.value, headers });
        written.set(own.event_id, { what, headers });
        const next = randomUUID();
        stage.write({ key: "k", value: '{"n":2}', headers: { type: "thing", event_id: next, correlation_id: randomUUID() } });
        good.push(next);
      }
    }
    const subscription = stage.subscribe(registry, "", ({ payload }) => {
      if ((payload as { fails?: boolean }).fails) throw new Error(errorText);
    });
    await until(() => subscription.stats().deadLettered === written.size && subscription.stats().handled === good.length);
    await subscription.stop();
    assert.equal(subscription.state, "stopped");
    const handled = stage.journal.runs.filter(({ failed }) => failed !== true).map(({ id }) => id);
    assert.deepEqual(handled, good, "each once and in order");
    assert.deepEqual(await stage.remainder(), []);
    const letters = stage.stored("shop-dlq");
    assert.equal(letters.length, written.size);
    for (const letter of letters) {
      const headers = headersOf(letter);
      const { what, headers: original } = written.get(headers.original_event_id ?? "") ?? assert.fail("a letter of nobody");
      written.delete(headers.original_event_id ?? "");
      const isEvent = what === "huge header" || what.startsWith("non-ASCII");
      for (const [name, value] of Object.entries(original)) {
        if (!["event_id", "correlation_id"].includes(name)) assert.equal(headers[escaped(name)], escaped(value), `${what}: ${name}`);
      }
      const { original_topic, service, attempts, redrives, first_event_id, original_partition } = headers;
      assert.deepEqual(
        { original_topic, service, attempts, redrives, first_event_id, original_partition },
        {
          original_topic: "things",
          service: "shop",
          attempts: isEvent ? "2" : "1",
          redrives: "0",
          first_event_id: original.event_id,
          original_partition: "0",
        },
        what,
      );
      assert.ok(letter.key !== null && letter.value !== null, what);
      assert.match(text(letter.value), /^[\x20-\x7e]*$/, what);
      if (isEvent) assert.equal(headers.exc_msg, escaped(errorText));
      else assert.ok(headers.undecodable, what);
    }
    assert.equal(written.size, 0);
  });
});

describe("R10: a partition whose events fail", () => {
  it("stops no other: five of six go on without a pause or a repetition", async () => {
    await using stage = new Stage(6);
    const limits = { maxRetries: 1_000_000, retryDelayMs: 1, maxRetryDelayMs: 5, maxInFlight: 20, concurrency: 12 };
    const registry = await stage.open({ subscriber: limits });
    let isBroken = true;
    const subscription = stage.subscribe(registry, "", ({ key }) => {
      if (isBroken && key.startsWith("p0")) throw new Error("partition 0 is cursed");
    });
    const rounds = 100;
    for (let n = 1; n <= rounds; n += 1) {
      for (let partition = 0; partition < 6; partition += 1) {
        const [key, eventId] = [`p${partition}-${n % 3}`, randomUUID()];
        stage.journal.sent(eventId, key, n);
        stage.write({
          key,
          value: JSON.stringify({ n }),
          headers: { type: "thing", event_id: eventId, correlation_id: randomUUID() },
          partition,
        });
        stage.journal.acknowledged(eventId);
      }
      // Each round comes through at once, long after partition 0 has been full.
      await until(() => subscription.stats().handled === 5 * n);
    }
    const { retried, inFlight, received } = subscription.stats();
    assert.ok(retried > 10, `${retried} retries`);
    assert.equal(inFlight, received - 5 * rounds);
    assert.ok(inFlight < rounds, "partition 0 paused");
    assert.ok(
      stage.journal.runs.filter(({ key }) => !key.startsWith("p0")).every(({ attempt }) => attempt === 1),
      "another partition was tried again",
    );
    isBroken = false;
    await until(() => subscription.stats().handled === 6 * rounds);
    await subscription.stop();
    stage.assertPerfect();
    assert.equal(subscription.stats().received, 6 * rounds);
    assert.deepEqual(await stage.remainder(), []);
  });
});

describe("R12: retries that are used up, without dead letters", () => {
  const retries = { maxRetries: 2, retryDelayMs: 1, maxRetryDelayMs: 2 };
  const isDoomed = (n: number): boolean => n % 10 === 0;

  it("are skipped over if so told: counted, logged, acknowledged", async () => {
    await using stage = new Stage(3);
    const registry = await stage.open({ subscriber: { ...retries, onFailure: "skip" } });
    await stage.burst(registry, 200, 20);
    const subscription = stage.subscribe(registry, "", (event) => {
      if (isDoomed(numberOf(event))) throw new Error("hopeless");
    });
    await until(() => subscription.stats().handled + subscription.stats().skipped === 200);
    await subscription.stop();
    const { handled, skipped, failed, retried } = subscription.stats();
    assert.deepEqual({ handled, skipped, failed, retried }, { handled: 180, skipped: 20, failed: 20, retried: 40 });
    assert.equal(stage.lines.filter(({ level, message }) => level === "error" && message === "an event failed and was skipped").length, 20);
    assert.deepEqual(await stage.remainder(), []);
    const doomed = [...stage.journal.sendings.values()].filter(({ n }) => isDoomed(n)).map(({ id }) => id);
    const done = handledIds(stage.journal.runs);
    assert.deepEqual(new Set([...done, ...doomed]), new Set(stage.journal.sendings.keys()));
    assert.equal(done.size + doomed.length, 200);
  });

  it("end the subscription otherwise: nothing is acknowledged past the event", async () => {
    await using stage = new Stage(3);
    const registry = await stage.open({ subscriber: { ...retries, onFailure: "stop" } });
    await stage.burst(registry, 200, 20);
    const subscription = stage.subscribe(registry, "", (event) => {
      if (isDoomed(numberOf(event))) throw new Error("hopeless");
    });
    await assert.rejects(
      subscription.done,
      (error) => isHexkitError(error, "ERR_HEXKIT_EVENT_FAILED") && /3 times: hopeless/.test(error.message),
    );
    assert.equal(subscription.state, "failed");
    const fatal = new Set(stage.journal.runs.filter(({ attempt }) => attempt === 3).map(({ id }) => id));
    assert.ok(fatal.size > 0, "nothing was fatal");
    const rest = new Set(await stage.remainder());
    const done = handledIds(stage.journal.runs);
    for (let partition = 0; partition < 3; partition += 1) {
      const records = stage.stored().filter((record) => record.partition === partition);
      const first = records.findIndex((record) => rest.has(idOf(record)));
      const firstFatal = records.findIndex((record) => fatal.has(idOf(record)));
      assert.ok(first >= 0 && (firstFatal < 0 || first <= firstFatal), `partition ${partition}`);
      assert.ok(
        records.slice(0, first).every((record) => done.has(idOf(record))),
        "what is acknowledged was handled",
      );
      assert.ok(
        records.slice(first).every((record) => rest.has(idOf(record))),
        "what is not comes again, all of it",
      );
    }
  });
});

describe("R16: dead letters that are sent back", () => {
  it("while half still fail keep their first id, count attempts, and stop at the loop guard", async () => {
    await using stage = new Stage(3);
    const [events, maxRedrives] = [100, 3];
    const registry = await stage.open({ subscriber: { deadLetter: true, maxRedrives, concurrency: 32 } });
    await stage.burst(registry, events, 50);
    const isHopeless = (key: string): boolean => Number(key.split("-")[1]) % 2 === 0;
    const succeeded: string[] = [];
    const subscription = stage.subscribe(registry, "", ({ key, headers }) => {
      const redrives = Number(headers.redrives ?? 0);
      if (redrives === 0 || isHopeless(key)) throw new Error(`fails after ${redrives} redrives`);
      succeeded.push(headers.first_event_id ?? "");
    });
    const letters = new Map<string, { attempts: number; redrives: number; eventId: string | undefined }[]>();
    const stopped: string[] = [];
    const reader = registry.get("eventSubscriber").subscribeDeadLetters(async (letter, context) => {
      const first = letter.firstEventId ?? "";
      const { attempts, redrives, originalEventId } = letter;
      letters.set(first, [...(letters.get(first) ?? []), { attempts, redrives, eventId: originalEventId }]);
      try {
        await context.redrive();
      } catch (error) {
        if (!isHexkitError(error, "ERR_HEXKIT_REDRIVE_LIMIT")) throw error;
        stopped.push(first);
      }
    });
    await until(() => succeeded.length === events / 2 && stopped.length === events / 2);
    await until(() => [subscription, reader].every((each) => each.stats().inFlight === 0 && each.stats().lag === 0));
    await Promise.all([subscription.stop(), reader.stop()]);
    const sent = [...stage.journal.sendings.values()];
    const hopeless = sent.filter(({ key }) => isHopeless(key)).map(({ id }) => id);
    assert.deepEqual(
      succeeded.sort(),
      sent
        .filter(({ key }) => !isHopeless(key))
        .map(({ id }) => id)
        .sort(),
    );
    assert.deepEqual(stopped.sort(), hopeless.sort());
    assert.equal(letters.size, events);
    for (const [first, said] of letters) {
      const rounds = hopeless.includes(first) ? maxRedrives + 1 : 1;
      assert.deepEqual(
        said.map(({ attempts, redrives }) => [attempts, redrives]),
        Array.from({ length: rounds }, (_, round) => [round + 1, round]),
      );
      assert.equal(said[0]?.eventId, first);
      assert.equal(new Set(said.map(({ eventId }) => eventId)).size, rounds, "every try has an id of its own");
    }
    assert.equal(stage.stored("retry-shop").length, events / 2 + (events / 2) * maxRedrives);
    assert.equal(stage.stored("shop-dlq").length, events + (events / 2) * maxRedrives);
  });
});
