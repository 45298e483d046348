import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import {
  getCorrelationId,
  HexkitError,
  isHexkitError,
  type OutgoingEvent,
  type Plugin,
  withCorrelationId,
  withNewCorrelationId,
} from "../../core/index.ts";
import { chaos } from "../chaos/chaos.ts";
import { EventBench, type EventBroker, gate, headerValues, testTimeoutMs, text, warnings, within } from "./event-broker.ts";

export interface EventPublisherSubject {
  readonly name: string;
  /** Why it cannot run here, or false; the reason is printed with the skipped suite. */
  readonly skip?: string | false;
  readonly plugin: Plugin;
  /** Written by hand, not read from the driver. */
  readonly expects: {
    /** Largest key plus value, in bytes, that the broker's options allow. */
    readonly maxMessageBytes: number;
  };
  open(): Promise<EventBroker>;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const version = (id: string | undefined): string | undefined => uuid.exec(id ?? "")?.[1];

/** What every `eventPublisher` owes: contract sections 2.1 and 3.1 to 3.3. */
export function testEventPublisher(subject: EventPublisherSubject): void {
  describe(`eventPublisher: ${subject.name}`, { skip: subject.skip ?? false }, () => {
    let bench: EventBench;
    before(async () => {
      bench = new EventBench(subject.plugin, await subject.open());
    });
    after(() => bench?.broker.close());
    const test = (name: string, work: () => Promise<void>): void => void it(name, { timeout: testTimeoutMs }, work);
    const event = (topic: string, more: Partial<OutgoingEvent> = {}): OutgoingEvent => ({
      topic,
      type: "tested",
      key: "key",
      payload: { n: 1 },
      ...more,
    });

    /** Asserts that each call is refused with that code, and that none of them left anything in the topic. */
    const refuses = async (code: string, attempts: (topic: string) => OutgoingEvent[], settings: object = {}): Promise<void> => {
      await using service = await bench.open({ publisher: settings });
      const topic = await bench.topic();
      for (const attempt of attempts(topic))
        await assert.rejects(service.publisher.publish(attempt), { code }, JSON.stringify(attempt.key));
      await withNewCorrelationId(() => service.publisher.publish(event(topic, { key: "after" })));
      assert.equal(text((await bench.read(topic, 1))[0]?.key), "after");
    };

    test("writes the key and the payload as ASCII", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const payload = { text: "Grüße 😀 \u2028 \u007f", nested: { list: [1, 1.5, "two", null, true, { deep: "ä" }] }, ключ: "", empty: {} };
      await service.publisher.publish(event(topic, { key: "a key", payload }));
      const [record] = await bench.read(topic, 1);
      assert.equal(text(record?.key), "a key");
      assert.ok(record?.value?.every((byte) => byte < 0x80));
      assert.match(text(record?.value), /Gr\\u00fc\\u00dfe \\ud83d\\ude00/i);
      assert.deepEqual(JSON.parse(text(record?.value)), payload);
    });

    test("stamps the record with the time of publishing", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const earliest = Date.now();
      await service.publisher.publish(event(topic));
      const latest = Date.now();
      const [record] = await bench.read(topic, 1);
      // Clocks of a broker on another host may differ a little.
      assert.ok(Math.abs((record?.timestampMs ?? 0) - (earliest + latest) / 2) < 60_000, String(record?.timestampMs));
    });

    test("accepts an empty key and sends it as empty, not null", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      await service.publisher.publish(event(topic, { key: "" }));
      assert.equal((await bench.read(topic, 1))[0]?.key?.length, 0);
    });

    test("gives each event a fresh event id of version 4", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      await service.publisher.publishAll([event(topic), event(topic)]);
      const ids = (await bench.read(topic, 2)).map((record) => headerValues(record, "event_id"));
      assert.deepEqual(
        ids.map(([id]) => version(id)),
        ["4", "4"],
      );
      assert.notDeepEqual(ids[0], ids[1]);
    });

    test("sends the event id that it is given, of whatever version", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const ids = [randomUUID(), "c232ab00-9414-11ec-b3c8-9f68deced846", "018f4c2e-6c2b-7d4e-9a3b-2f1e0d9c8b7a"];
      await service.publisher.publishAll(ids.map((eventId) => event(topic, { eventId })));
      assert.deepEqual(
        (await bench.read(topic, 3)).flatMap((record) => headerValues(record, "event_id")),
        ids,
      );
    });

    test("refuses an event id that is no UUID", () =>
      refuses("ERR_HEXKIT_INVALID_ARGUMENT", (topic) => ["no-uuid", "c232ab00", 7 as never].map((eventId) => event(topic, { eventId }))));

    test("sends extra headers unchanged, before its own, in order", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      await service.publisher.publish(event(topic, { headers: { zeta: "1", alpha: "two words", empty: "" } }));
      const [record] = await bench.read(topic, 1);
      assert.deepEqual(
        record?.headers.slice(0, 6).map(([name]) => name),
        ["zeta", "alpha", "empty", "type", "event_id", "correlation_id"],
      );
      assert.deepEqual(
        record?.headers.slice(0, 4).map(([, value]) => text(value)),
        ["1", "two words", "", "tested"],
      );
      assert.deepEqual(warnings(service), []);
    });

    test("begins with the type where no headers are given", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      await service.publisher.publish(event(topic));
      const [record] = await bench.read(topic, 1);
      assert.deepEqual(
        record?.headers.slice(0, 3).map(([name]) => name),
        ["type", "event_id", "correlation_id"],
      );
    });

    test("replaces reserved headers in their place, with a warning each", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const correlationId = randomUUID();
      const eventId = randomUUID();
      const headers = { first: "1", correlation_id: randomUUID(), event_id: randomUUID(), type: "forged", last: "2" };
      await withCorrelationId(correlationId, () => service.publisher.publish(event(topic, { eventId, headers })));
      const [record] = await bench.read(topic, 1);
      assert.deepEqual(
        record?.headers.slice(0, 5).map(([name, value]) => [name, text(value)]),
        [
          ["first", "1"],
          ["correlation_id", correlationId],
          ["event_id", eventId],
          ["type", "tested"],
          ["last", "2"],
        ],
      );
      assert.equal(warnings(service).length, 3);
    });

    test("replaces an event id that comes by header only", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const forged = randomUUID();
      await service.publisher.publish(event(topic, { headers: { event_id: forged } }));
      const ids = headerValues((await bench.read(topic, 1))[0] as never, "event_id");
      assert.equal(ids.length, 1);
      assert.notEqual(ids[0], forged);
      assert.equal(version(ids[0]), "4");
      assert.equal(warnings(service).length, 1);
    });

    test("refuses text outside ASCII in type, key and headers", () =>
      refuses("ERR_HEXKIT_NOT_ASCII", (topic) => [
        event(topic, { type: "geändert" }),
        event(topic, { key: "Schlüssel" }),
        event(topic, { headers: { note: "naïve" } }),
        event(topic, { headers: { naïve: "note" } }),
      ]));

    test("refuses a topic outside ASCII", async () => {
      await using service = await bench.open();
      await assert.rejects(service.publisher.publish(event("Ereignisse-für-alle")), { code: "ERR_HEXKIT_NOT_ASCII" });
    });

    test("refuses arguments that are missing or no text", async () => {
      await using service = await bench.open();
      await assert.rejects(service.publisher.publish(event("")), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
      await refuses("ERR_HEXKIT_INVALID_ARGUMENT", (topic) => [
        event(topic, { type: "" }),
        event(topic, { type: undefined as never }),
        event(topic, { key: undefined as never }),
        event(topic, { key: null as never }),
        event(topic, { headers: { n: 1 as never } }),
      ]);
    });

    test("writes dates as ISO 8601 and leaves undefined out, nested too", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const at = new Date(Date.UTC(2026, 1, 3, 4, 5, 6, 789));
      await service.publisher.publish(event(topic, { payload: { at, gone: undefined, list: [{ at, gone: undefined }] } }));
      const iso = "2026-02-03T04:05:06.789Z";
      assert.deepEqual(JSON.parse(text((await bench.read(topic, 1))[0]?.value)), { at: iso, list: [{ at: iso }] });
    });

    test("refuses a payload that JSON cannot hold", () => {
      const circular: Record<string, unknown> = {};
      circular.self = circular;
      const payloads: unknown[] = [
        { n: 1n },
        { n: Number.NaN },
        { list: [Number.POSITIVE_INFINITY] },
        { call: () => 1 },
        { symbol: Symbol("s") },
        { at: new Date(Number.NaN) },
        circular,
        undefined,
        "text",
        null,
        [1],
      ];
      return refuses("ERR_HEXKIT_PAYLOAD_INVALID", (topic) => payloads.map((payload) => event(topic, { payload: payload as never })));
    });

    test("takes the payload as it is when publish is called", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const payload = { state: "before" };
      const publishing = service.publisher.publish(event(topic, { payload }));
      payload.state = "after";
      await publishing;
      assert.deepEqual(JSON.parse(text((await bench.read(topic, 1))[0]?.value)), { state: "before" });
    });

    test("sends the correlation id of the context, kept apart between concurrent ones", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const ids = Array.from({ length: 20 }, () => randomUUID());
      await Promise.all(
        ids.map((id) =>
          withCorrelationId(id, async () => {
            await Promise.resolve();
            await service.publisher.publish(event(topic, { key: getCorrelationId() }));
          }),
        ),
      );
      const records = await bench.read(topic, ids.length);
      assert.deepEqual(records.map(({ key }) => text(key)).sort(), [...ids].sort());
      for (const record of records) assert.deepEqual(headerValues(record, "correlation_id"), [text(record.key)]);
    });

    test("generates a correlation id where none is set", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      await service.publisher.publish(event(topic));
      const [id] = headerValues((await bench.read(topic, 1))[0] as never, "correlation_id");
      assert.equal(version(id), "4");
    });

    test("refuses to publish without a correlation id where none may be generated", () =>
      refuses("ERR_HEXKIT_CORRELATION_ID_MISSING", (topic) => [event(topic)], { generateCorrelationId: false }));

    test("never lets an invalid correlation id into the context", async () => {
      for (const id of ["", "no-uuid", "c232ab00-9414-11ec-b3c8-9f68deced846"]) {
        assert.throws(() => withCorrelationId(id, () => assert.fail("must not run")), { code: "ERR_HEXKIT_CORRELATION_ID_INVALID" });
      }
    });

    test("keeps the order of concurrent calls per key", async () => {
      await using service = await bench.open();
      const topic = await bench.topic(3);
      const numbers = Array.from({ length: 100 }, (_, n) => n);
      await Promise.all(numbers.map((n) => service.publisher.publish(event(topic, { key: `key-${n % 7}`, payload: { n } }))));
      const byKey = new Map<string, number[]>();
      for (const record of await bench.read(topic, 100)) {
        const key = text(record.key);
        byKey.set(key, [...(byKey.get(key) ?? []), JSON.parse(text(record.value)).n]);
      }
      assert.equal(byKey.size, 7);
      for (const [key, ns] of byKey)
        assert.deepEqual(
          ns,
          numbers.filter((n) => `key-${n % 7}` === key),
          key,
        );
    });

    test("stores equal keys in one partition, and each event in its own topic", async () => {
      await using service = await bench.open();
      const topics = [await bench.topic(3), await bench.topic(3)] as const;
      const events = Array.from({ length: 60 }, (_, n) => event(topics[n % 2 ? 1 : 0], { key: `key-${n % 14}`, payload: { n } }));
      await service.publisher.publishAll(events.slice(0, 30));
      for (const each of events.slice(30)) await service.publisher.publish(each);
      for (const [parity, topic] of topics.entries()) {
        const records = await bench.read(topic, 30);
        const numbers = records.map((record) => JSON.parse(text(record.value)).n as number);
        assert.deepEqual(
          [...numbers].sort((a, b) => a - b),
          Array.from({ length: 30 }, (_, index) => index * 2 + parity),
        );
        const places = new Set(records.map(({ key, partition }) => `${text(key)} in partition ${partition}`));
        assert.equal(places.size, 7, `a key is in more than one partition: ${[...places].sort().join(", ")}`);
      }
    });

    test("keeps the order of a key while sending fails for a while", async () => {
      const { plugin, plan } = chaos(subject.plugin);
      await using service = await new EventBench(plugin, bench.broker).open();
      const topic = await bench.topic();
      const answer = gate();
      const failing = plan.intercept(
        "eventPublisher.send",
        async () => {
          await answer.promise;
          throw new HexkitError("ERR_HEXKIT_UNAVAILABLE", "away by the test");
        },
        { next: 2 },
      );
      const first = service.publisher.publish(event(topic, { payload: { n: 1 } }));
      await within("the first send", failing.hit());
      const later = [2, 3].map((n) => service.publisher.publish(event(topic, { payload: { n } })));
      answer.open();
      await Promise.all([first, ...later]);
      const sent = (await bench.read(topic, 3)).map((record) => JSON.parse(text(record.value)).n);
      assert.deepEqual(sent, [1, 2, 3]);
    });

    test("sends nothing of a key behind an event that fails for good, and leaves other keys alone", async () => {
      const { plugin, plan } = chaos(subject.plugin);
      await using service = await new EventBench(plugin, bench.broker).open();
      const topic = await bench.topic();
      const answer = gate();
      const refusing = plan.intercept(
        "eventPublisher.send",
        async ({ args: [, records] }) => {
          await answer.promise;
          return records.map(() => ({ error: new HexkitError("ERR_HEXKIT_PERMISSION_DENIED", "refused by the test") }));
        },
        { next: 1 },
      );
      const calls = [service.publisher.publish(event(topic, { payload: { n: 1 } }))];
      await within("the first send", refusing.hit());
      calls.push(service.publisher.publish(event(topic, { payload: { n: 2 } })));
      calls.push(service.publisher.publish(event(topic, { key: "other", payload: { n: 3 } })));
      answer.open();
      const outcomes = await Promise.allSettled(calls);
      assert.deepEqual(
        outcomes.map((outcome) => (outcome.status === "rejected" ? outcome.reason.code : "sent")),
        ["ERR_HEXKIT_PERMISSION_DENIED", "ERR_HEXKIT_EVENT_ORDER", "sent"],
      );
      assert.equal(JSON.parse(text((await bench.read(topic, 1))[0]?.value)).n, 3);
    });

    test("settles each concurrent call by its own result", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const calls = Array.from({ length: 9 }, (_, n) => {
        const bad = n % 3 === 1 ? { payload: { n: Number.NaN } } : { payload: { n } };
        return service.publisher.publish(event(topic, { key: `key-${n}`, ...bad }));
      });
      const outcomes = (await Promise.allSettled(calls)).map(({ status }) => status);
      assert.deepEqual(
        outcomes,
        [0, 1, 2].flatMap(() => ["fulfilled", "rejected", "fulfilled"]),
      );
      const sent = (await bench.read(topic, 6)).map((record) => JSON.parse(text(record.value)).n);
      assert.deepEqual(sent.sort(), [0, 2, 3, 5, 6, 8]);
    });

    test("publishes all events of one call, in order", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      await service.publisher.publishAll(Array.from({ length: 50 }, (_, n) => event(topic, { payload: { n } })));
      const sent = (await bench.read(topic, 50)).map((record) => JSON.parse(text(record.value)).n);
      assert.deepEqual(
        sent,
        Array.from({ length: 50 }, (_, n) => n),
      );
      await service.publisher.publishAll([]);
    });

    test("publishes none of several events if one is refused", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      await assert.rejects(service.publisher.publishAll([event(topic), event(topic, { type: "ü" }), event(topic)]), {
        code: "ERR_HEXKIT_NOT_ASCII",
      });
      await service.publisher.publish(event(topic, { key: "after" }));
      assert.equal(text((await bench.read(topic, 1))[0]?.key), "after");
    });

    test("accepts an event of nearly the size limit and refuses one above it", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const { maxMessageBytes } = subject.expects;
      const sized = (bytes: number): OutgoingEvent =>
        event(topic, { key: "", payload: { text: "x".repeat(bytes - '{"text": ""}'.length) } });
      await assert.rejects(service.publisher.publish(sized(maxMessageBytes + 2)), { code: "ERR_HEXKIT_MESSAGE_TOO_LARGE" });
      // What counts is the escaped text: this one has few characters and many bytes.
      const escaped = event(topic, { payload: { text: "ü".repeat(maxMessageBytes / 5) } });
      await assert.rejects(service.publisher.publish(escaped), { code: "ERR_HEXKIT_MESSAGE_TOO_LARGE" });
      // Brokers count headers and framing too, so not to the last byte.
      await service.publisher.publish(sized(maxMessageBytes - 4096));
      assert.ok(((await bench.read(topic, 1))[0]?.value?.length ?? 0) > maxMessageBytes - 8192);
    });

    test("with its own limit raised, leaves it to the broker what is too large, and gets it through if compressed", async () => {
      const { raised } = bench.broker;
      if (raised === undefined) return;
      const topic = await bench.topic();
      const large = event(topic, { payload: { text: "x".repeat(raised.payloadBytes) } });
      {
        await using service = await bench.open({ options: raised.uncompressed });
        await assert.rejects(service.publisher.publish(large), { code: "ERR_HEXKIT_MESSAGE_TOO_LARGE" });
      }
      for (const [key, options] of Object.entries(raised.compressed)) {
        await using service = await bench.open({ options });
        await service.publisher.publish({ ...large, key });
      }
      const names = Object.keys(raised.compressed);
      const records = await bench.read(topic, names.length);
      assert.deepEqual(
        records.map((record) => text(record.key)),
        names,
      );
      for (const record of records) assert.deepEqual(JSON.parse(text(record.value)), large.payload, text(record.key));
    });

    test("publishes by every way to the broker", async () => {
      const topic = await bench.topic();
      for (const [key, options] of bench.ways) {
        await using service = await bench.open({ options });
        await service.publisher.publish(event(topic, { key }));
      }
      assert.deepEqual(
        (await bench.read(topic, bench.ways.length)).map((record) => text(record.key)),
        bench.ways.map(([key]) => key),
      );
    });

    test("sends nothing if its signal has aborted", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const signal = AbortSignal.abort();
      await assert.rejects(service.publisher.publish(event(topic), { signal }), { code: "ERR_HEXKIT_ABORTED" });
      await assert.rejects(service.publisher.publishAll([event(topic)], { signal }), { code: "ERR_HEXKIT_ABORTED" });
      await service.publisher.publish(event(topic, { key: "after" }));
      assert.equal(text((await bench.read(topic, 1))[0]?.key), "after");
    });

    test("ends a call that is under way when its signal aborts, and only that one", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const abort = new AbortController();
      const ended = service.publisher.publish(event(topic, { key: "ended" }), { signal: abort.signal });
      const other = service.publisher.publish(event(topic, { key: "other" }), { signal: new AbortController().signal });
      abort.abort();
      await assert.rejects(ended, { code: "ERR_HEXKIT_ABORTED" });
      await other;
      await service.publisher.publish(event(topic, { key: "ended" }));
    });

    test("names itself in its errors", async () => {
      await using service = await bench.open();
      const error = await service.publisher.publish(event("topic", { key: "ü" })).catch((reason: unknown) => reason);
      assert.ok(isHexkitError(error, "ERR_HEXKIT_NOT_ASCII"));
      assert.equal(error.origin.binding, "eventPublisher");
      assert.equal(error.origin.provider, "subject");
      assert.equal(error.origin.plugin, subject.plugin.name);
    });

    test("finishes what is under way when the registry closes, then refuses", async () => {
      const service = await bench.open();
      const topic = await bench.topic();
      const { publisher } = service;
      const publishing = Array.from({ length: 20 }, (_, n) => publisher.publish(event(topic, { payload: { n } })));
      let settled = 0;
      for (const each of publishing) each.then(() => (settled += 1)).catch(() => undefined);
      await service.registry.close();
      assert.equal(settled, 20);
      await Promise.all(publishing);
      assert.equal((await bench.read(topic, 20)).length, 20);
      await assert.rejects(within("the refusal", publisher.publish(event(topic))), { code: "ERR_HEXKIT_CLOSED" });
      await assert.rejects(publisher.publishAll([event(topic)]), { code: "ERR_HEXKIT_CLOSED" });
    });
  });
}
