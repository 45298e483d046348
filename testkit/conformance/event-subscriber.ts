import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import {
  type EventContext,
  getCorrelationId,
  newCorrelationId,
  type Plugin,
  type ReceivedEvent,
  type SubscriptionState,
  systemClock,
  type Translator,
  withCorrelationId,
} from "../../core/index.ts";
import {
  EventBench,
  type EventBroker,
  gate,
  headerValues,
  type RawRecord,
  testTimeoutMs,
  text,
  until,
  warnings,
  within,
} from "./event-broker.ts";

export interface EventSubscriberSubject {
  readonly name: string;
  /** Why it cannot run here, or false; the reason is printed with the skipped suite. */
  readonly skip?: string | false;
  /** Must have `eventPublisher` too: translators publish. */
  readonly plugin: Plugin;
  open(): Promise<EventBroker>;
}

type Consume = (event: ReceivedEvent<{ readonly n: number }>, context: EventContext) => void | Promise<void>;

const uuid4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const translator = (topic: string, consume: Consume, types = ["tested"]): Translator => ({
  topics: [topic],
  types,
  consume: consume as Translator["consume"],
});
/** A record of the wire format, with the parts that a test wants odd. A header that is `undefined` is left out. */
const raw = (key: string | null, n: number | string | null, headers: Record<string, string | undefined> = {}): RawRecord => ({
  key,
  value: typeof n === "number" ? JSON.stringify({ n }) : n,
  headers: Object.entries({ type: "tested", event_id: randomUUID(), correlation_id: newCorrelationId(), ...headers }).flatMap(
    ([name, value]) => (value === undefined ? [] : [[name, value] as const]),
  ),
});
const value = (n: number): string => JSON.stringify({ n });
/** A few turns of the event loop, so that a handler is not over before others could begin. */
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** What every `eventSubscriber` owes: contract sections 2.2, 3.5 and 5, with the successor's rules of concurrency and draining. */
export function testEventSubscriber(subject: EventSubscriberSubject): void {
  describe(`eventSubscriber: ${subject.name}`, { skip: subject.skip ?? false }, () => {
    let bench: EventBench;
    before(async () => {
      bench = new EventBench(subject.plugin, await subject.open());
    });
    after(() => bench?.broker.close());
    const test = (name: string, work: () => Promise<void>): void => void it(name, { timeout: testTimeoutMs }, work);

    /** Consumes until `count` events were handled and the subscription has stopped, and gives them in order of handling. */
    const consume = async (
      topic: string,
      group: string,
      count: number,
      options?: EventBroker["options"],
    ): Promise<ReceivedEvent<{ readonly n: number }>[]> => {
      await using service = await bench.open({ ...(options && { options }) });
      const events: ReceivedEvent<{ readonly n: number }>[] = [];
      const subscription = service.subscriber.subscribe(
        translator(topic, (event) => void events.push(event)),
        { group },
      );
      await until(`${count} events`, () => events.length >= count);
      await subscription.stop();
      return events;
    };

    test("consumes by every way to the broker, and goes on by the next where the last one stopped", async () => {
      const [topic, group] = [await bench.topic(), randomUUID()];
      for (const [index, [, options]] of bench.ways.entries()) {
        await bench.broker.append(topic, [raw("k", index)]);
        assert.deepEqual(
          (await consume(topic, group, 1, options)).map(({ payload }) => payload.n),
          [index],
        );
      }
    });

    describe("decoding", () => {
      test("delivers a matching event with all its parts", async () => {
        await using service = await bench.open();
        const [topic, group, eventId, correlationId] = [await bench.topic(), randomUUID(), randomUUID(), newCorrelationId()];
        const before = Date.now();
        await withCorrelationId(correlationId, () =>
          service.publisher.publish({
            topic,
            type: "tested",
            key: "a key",
            payload: { n: 1, text: "Grüße 😀" },
            eventId,
            headers: { note: "kept" },
          }),
        );
        const seen: { event: ReceivedEvent; context: EventContext; aborted: boolean }[] = [];
        const subscription = service.subscriber.subscribe(
          translator(topic, (event, context) => void seen.push({ event, context, aborted: context.signal.aborted })),
          { group },
        );
        await until("the event", () => seen.length > 0);
        await subscription.stop();
        const [{ event, context, aborted }] = seen as [(typeof seen)[0]];
        assert.equal(event.topic, topic);
        assert.equal(event.type, "tested");
        assert.equal(event.key, "a key");
        assert.deepEqual(event.payload, { n: 1, text: "Grüße 😀" });
        assert.equal(event.eventId, eventId);
        assert.deepEqual({ ...event.headers }, { note: "kept", type: "tested", event_id: eventId, correlation_id: correlationId });
        assert.ok(event.timestamp instanceof Date && Math.abs(event.timestamp.getTime() - before) < 60_000);
        assert.equal(context.attempt, 1);
        assert.equal(context.correlationId, correlationId);
        assert.equal(aborted, false);
        assert.deepEqual(await bench.pending(group, topic), []);
      });

      test("delivers an empty key, and the last of headers with equal names", async () => {
        const [topic, group, eventId] = [await bench.topic(), randomUUID(), randomUUID()];
        const record = raw("", 1, { event_id: eventId });
        await bench.broker.append(topic, [
          { ...record, headers: [["type", "other"], ["note", "first"], ...(record.headers ?? []), ["note", "last"]] },
        ]);
        const [event] = await consume(topic, group, 1);
        assert.equal(event?.key, "");
        assert.equal(event?.type, "tested");
        assert.equal(event?.eventId, eventId);
        assert.equal(event?.headers.note, "last");
      });

      for (const [what, headers] of [
        ["of another type", { type: "other" }],
        ["without a type", { type: undefined }],
        ["with an empty type", { type: "" }],
        ["without a correlation id", { correlation_id: undefined }],
        ["with an empty correlation id", { correlation_id: "" }],
      ] as const) {
        test(`ignores and acknowledges an event ${what}`, async () => {
          await using service = await bench.open();
          const [topic, group] = [await bench.topic(), randomUUID()];
          await bench.broker.append(topic, [raw("k", 1, headers), raw("k", 2)]);
          const handled: number[] = [];
          const subscription = service.subscriber.subscribe(
            translator(topic, ({ payload }) => void handled.push(payload.n)),
            { group },
          );
          await until("the event behind", () => subscription.stats().handled === 1);
          assert.equal(subscription.stats().ignored, 1);
          await subscription.stop();
          assert.deepEqual(handled, [2]);
          assert.deepEqual(await bench.pending(group, topic), []);
        });
      }

      test("replaces an event id that is missing, empty or bad by a random one, and warns", async () => {
        await using service = await bench.open();
        const [topic, group] = [await bench.topic(), randomUUID()];
        await bench.broker.append(topic, [
          raw("k", 1, { event_id: undefined }),
          raw("k", 2, { event_id: "" }),
          raw("k", 3, { event_id: "no-uuid" }),
        ]);
        const ids: string[] = [];
        const subscription = service.subscriber.subscribe(
          translator(topic, ({ eventId }) => void ids.push(eventId)),
          { group },
        );
        await until("the events", () => ids.length === 3);
        await subscription.stop();
        for (const id of ids) assert.match(id, uuid4);
        assert.equal(new Set(ids).size, 3);
        assert.ok(warnings(service).length >= 3);
      });

      test("accepts event ids of any version and correlation ids in any spelling", async () => {
        const [topic, group, correlationId] = [await bench.topic(), randomUUID(), newCorrelationId()];
        const eventId = "c232ab00-9414-11ec-b3c8-9f68deced846";
        await bench.broker.append(topic, [
          raw("k", 1, { event_id: eventId.toUpperCase(), correlation_id: correlationId.toUpperCase().replaceAll("-", "") }),
        ]);
        await using service = await bench.open();
        const seen: string[][] = [];
        const subscription = service.subscriber.subscribe(
          translator(topic, (event, context) => void seen.push([event.eventId, context.correlationId, getCorrelationId()])),
          { group },
        );
        await until("the event", () => seen.length > 0);
        await subscription.stop();
        assert.deepEqual(seen, [[eventId, correlationId, correlationId]]);
      });

      test("restores the correlation id around the translator, so that what it publishes carries it", async () => {
        await using service = await bench.open();
        const [topic, outgoing, group] = [await bench.topic(), await bench.topic(), randomUUID()];
        const ids = Array.from({ length: 10 }, () => newCorrelationId());
        await bench.broker.append(
          topic,
          ids.map((id) => raw(id, 1, { correlation_id: id })),
        );
        const subscription = service.subscriber.subscribe(
          translator(topic, async ({ key }) => {
            await turns(2);
            await service.publisher.publish({ topic: outgoing, type: "caused", key, payload: { by: getCorrelationId() } });
          }),
          { group },
        );
        await until("the events", () => subscription.stats().handled === ids.length);
        await subscription.stop();
        const records = await bench.read(outgoing, ids.length);
        assert.deepEqual(records.map((record) => Buffer.from(record.key ?? []).toString()).sort(), [...ids].sort());
        for (const record of records) assert.deepEqual(headerValues(record, "correlation_id"), [Buffer.from(record.key ?? []).toString()]);
      });

      const undecodable: readonly (readonly [what: string, record: RawRecord])[] = [
        ["bad JSON", raw("k", '{"n":')],
        ["an empty value", raw("k", "")],
        ["a null value", raw("k", null)],
        ["a null key", raw(null, 1)],
        ["a value that is no text", { ...raw("k", 1), value: Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d) }],
        ["a key that is no text", { ...raw("k", 1), key: Uint8Array.of(0xff, 0xfe) }],
        ["a correlation id that is no UUID", raw("k", 1, { correlation_id: "no-uuid" })],
        ["a correlation id of another version", raw("k", 1, { correlation_id: "c232ab00-9414-11ec-b3c8-9f68deced846" })],
      ];

      for (const [what, record] of undecodable) {
        test(`fails on ${what} and acknowledges nothing of it`, async () => {
          await using service = await bench.open();
          const [topic, group] = [await bench.topic(), randomUUID()];
          await bench.broker.append(topic, [raw("k", 1), record]);
          const handled: number[] = [];
          const subscription = service.subscriber.subscribe(
            translator(topic, ({ payload }) => void handled.push(payload.n)),
            { group },
          );
          await assert.rejects(within("the failure", subscription.done), { code: "ERR_HEXKIT_EVENT_UNDECODABLE" });
          assert.equal(subscription.state, "failed");
          assert.deepEqual(handled, [1]);
          assert.equal((await bench.pending(group, topic)).length, 1);
        });
      }

      test("passes over everything undecodable where the policy is to skip, and counts it", async () => {
        await using service = await bench.open();
        const [topic, group] = [await bench.topic(), randomUUID()];
        await bench.broker.append(topic, [raw("k", 1), ...undecodable.map(([, record]) => record), raw("k", 2)]);
        const handled: number[] = [];
        const subscription = service.subscriber.subscribe(
          translator(topic, ({ payload }) => void handled.push(payload.n)),
          { group, onFailure: "skip" },
        );
        await until("all records", () => subscription.stats().handled + subscription.stats().skipped === undecodable.length + 2);
        assert.equal(subscription.stats().skipped, undecodable.length);
        assert.equal(subscription.state, "running");
        await subscription.stop();
        assert.deepEqual(handled, [1, 2]);
        assert.deepEqual(await bench.pending(group, topic), []);
      });
    });

    describe("failure", () => {
      for (const [how, fail] of [
        [
          "throws",
          (error: unknown) => {
            throw error;
          },
        ],
        [
          "rejects",
          async (error: unknown) => {
            await turns(3);
            throw error;
          },
        ],
      ] as const) {
        test(`stops when a translator ${how}: the cause is its own error, nothing past the event is acknowledged, all of it comes again`, async () => {
          await using service = await bench.open();
          const [topic, group, error] = [await bench.topic(), randomUUID(), new Error("the translator's own")];
          await bench.broker.append(topic, [raw("a", 1), raw("a", 2), raw("a", 3)]);
          const handled: number[] = [];
          const subscription = service.subscriber.subscribe(
            translator(topic, ({ payload }) => {
              handled.push(payload.n);
              if (payload.n === 2) return fail(error);
            }),
            { group },
          );
          await assert.rejects(within("the failure", subscription.done), { code: "ERR_HEXKIT_EVENT_FAILED", cause: error });
          assert.equal(subscription.state, "failed");
          assert.equal(subscription.stats().failed, 1);
          assert.deepEqual(handled, [1, 2]);
          await subscription.stop();
          assert.deepEqual(await bench.pending(group, topic), [value(2), value(3)]);
          assert.deepEqual(
            (await consume(topic, group, 2)).map(({ payload }) => payload.n),
            [2, 3],
          );
          assert.deepEqual(await bench.pending(group, topic), []);
        });
      }

      test("acknowledges nothing behind a failed event, though later ones have finished", async () => {
        await using service = await bench.open();
        const [topic, group, finished] = [await bench.topic(), randomUUID(), gate()];
        await bench.broker.append(topic, [raw("a", 1), raw("b", 2), raw("c", 3)]);
        const handled: number[] = [];
        const subscription = service.subscriber.subscribe(
          translator(topic, async ({ payload }) => {
            if (payload.n === 2) {
              await finished.promise;
              return Promise.reject("no error object");
            }
            handled.push(payload.n);
            if (handled.length === 2) finished.open();
          }),
          { group },
        );
        await assert.rejects(within("the failure", subscription.done), { code: "ERR_HEXKIT_EVENT_FAILED", cause: "no error object" });
        assert.deepEqual(handled.sort(), [1, 3]);
        assert.deepEqual(await bench.pending(group, topic), [value(2), value(3)]);
      });

      test("passes over failed events where the policy is to skip, and counts them", async () => {
        await using service = await bench.open();
        const [topic, group] = [await bench.topic(), randomUUID()];
        await bench.broker.append(
          topic,
          Array.from({ length: 10 }, (_, n) => raw("k", n)),
        );
        const handled: number[] = [];
        const subscription = service.subscriber.subscribe(
          translator(topic, ({ payload }) => {
            if (payload.n % 3 === 0) throw new Error("every third");
            handled.push(payload.n);
          }),
          { group, onFailure: "skip" },
        );
        await until("all events", () => subscription.stats().handled + subscription.stats().skipped === 10);
        assert.equal(subscription.state, "running");
        assert.equal(subscription.stats().failed, 4);
        assert.equal(subscription.stats().skipped, 4);
        await subscription.stop();
        assert.deepEqual(handled, [1, 2, 4, 5, 7, 8]);
        assert.deepEqual(await bench.pending(group, topic), []);
      });

      test("leaves other subscriptions of the registry alone", async () => {
        await using service = await bench.open();
        const topic = await bench.topic();
        await bench.broker.append(topic, [raw("k", 1)]);
        const failing = service.subscriber.subscribe(
          translator(topic, () => {
            throw new Error("on purpose");
          }),
          { group: randomUUID() },
        );
        const other = service.subscriber.subscribe(
          translator(topic, () => {}),
          { group: randomUUID() },
        );
        await assert.rejects(within("the failure", failing.done), { code: "ERR_HEXKIT_EVENT_FAILED" });
        await bench.broker.append(topic, [raw("k", 2)]);
        await until("the other's events", () => other.stats().handled === 2);
        assert.equal(other.state, "running");
      });
    });

    describe("position", () => {
      test("begins at the earliest event with a new group", async () => {
        const topic = await bench.topic();
        await bench.broker.append(topic, [raw("k", 1), raw("k", 2)]);
        assert.deepEqual(
          (await consume(topic, randomUUID(), 2)).map(({ payload }) => payload.n),
          [1, 2],
        );
      });

      test("begins behind what is there with `from: latest`", async () => {
        await using service = await bench.open();
        const [topic, group] = [await bench.topic(), randomUUID()];
        await bench.broker.append(topic, [raw("k", -1)]);
        const handled: number[] = [];
        const subscription = service.subscriber.subscribe(
          translator(topic, ({ payload }) => void handled.push(payload.n)),
          { group, from: "latest" },
        );
        // Where exactly it begins shows only in what it delivers: probes go out until one arrives.
        for (let probe = 0; handled.length === 0; probe += 1) {
          assert.ok(probe < 3_000, "no probe arrived");
          await bench.broker.append(topic, [raw("k", probe)]);
          await systemClock.sleep(10);
        }
        await subscription.stop();
        assert.ok(!handled.includes(-1));
      });

      test("goes on behind what was handled, each event once", async () => {
        const [topic, group] = [await bench.topic(), randomUUID()];
        await bench.broker.append(topic, [raw("a", 1), raw("b", 2)]);
        assert.deepEqual(
          (await consume(topic, group, 2)).map(({ payload }) => payload.n),
          [1, 2],
        );
        await bench.broker.append(topic, [raw("a", 3)]);
        assert.deepEqual(
          (await consume(topic, group, 1)).map(({ payload }) => payload.n),
          [3],
        );
        assert.deepEqual(await bench.pending(group, topic), []);
      });

      test("acknowledges only up to the first event that has not finished", async () => {
        await using service = await bench.open();
        const [topic, group] = [await bench.topic(), randomUUID()];
        await bench.broker.append(topic, [raw("a", 1), raw("slow", 2), raw("c", 3)]);
        const finished: number[] = [];
        let aborted = false;
        const subscription = service.subscriber.subscribe(
          translator(topic, async ({ payload }, { signal }) => {
            if (payload.n === 2) {
              await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
              aborted = true;
              throw signal.reason;
            }
            finished.push(payload.n);
          }),
          { group, drainTimeoutMs: 0 },
        );
        await until("the others", () => subscription.stats().handled === 2);
        await subscription.stop();
        await until("the slow handler's signal", () => aborted);
        await turns(3);
        assert.equal(subscription.state, "stopped");
        assert.equal(subscription.stats().failed, 0);
        await subscription.done;
        assert.deepEqual(finished.sort(), [1, 3]);
        assert.deepEqual(await bench.pending(group, topic), [value(2), value(3)]);
      });

      test("does not take a handler that ends after its drain time for a success", async () => {
        await using service = await bench.open();
        const [topic, group, late] = [await bench.topic(), randomUUID(), gate()];
        await bench.broker.append(topic, [raw("a", 1), raw("b", 2)]);
        const subscription = service.subscriber.subscribe(
          translator(topic, ({ payload }) => (payload.n === 1 ? late.promise : undefined)),
          { group },
        );
        await until("the other event", () => subscription.stats().handled === 1);
        await subscription.stop({ drainTimeoutMs: 0 });
        late.open();
        await turns(5);
        assert.deepEqual(await bench.pending(group, topic), [value(1), value(2)]);
      });
    });

    describe("concurrency", () => {
      test("keeps the order within a key and never runs two of one key at once", async () => {
        await using service = await bench.open();
        const [topic, group] = [await bench.topic(3), randomUUID()];
        const records = Array.from({ length: 400 }, (_, index) => raw(`key-${index % 40}`, Math.floor(index / 40)));
        await bench.broker.append(topic, records);
        const next = new Map<string, number>();
        const running = new Set<string>();
        const wrong: string[] = [];
        const subscription = service.subscriber.subscribe(
          translator(topic, async ({ key, payload }) => {
            if (running.has(key)) wrong.push(`${key} ran twice at once`);
            running.add(key);
            if (payload.n !== (next.get(key) ?? 0)) wrong.push(`${key}: ${payload.n} instead of ${next.get(key)}`);
            next.set(key, payload.n + 1);
            // Later events would be quicker, were they allowed to overtake.
            await turns(10 - payload.n);
            running.delete(key);
          }),
          { group, concurrency: 16 },
        );
        await until("all events", () => subscription.stats().handled === 400);
        await subscription.stop();
        assert.deepEqual(wrong, []);
      });

      test("handles different keys at the same time, also of one partition", async () => {
        await using service = await bench.open();
        const [topic, group, all] = [await bench.topic(), randomUUID(), gate()];
        await bench.broker.append(
          topic,
          Array.from({ length: 8 }, (_, n) => raw(`key-${n}`, n)),
        );
        let waiting = 0;
        const subscription = service.subscriber.subscribe(
          translator(topic, () => {
            waiting += 1;
            if (waiting === 8) all.open();
            return all.promise;
          }),
          { group, concurrency: 8 },
        );
        await until("all handlers at once", () => subscription.stats().handled === 8);
      });

      for (const concurrency of [1, 3]) {
        test(`runs no more than ${concurrency} at once if so told`, async () => {
          await using service = await bench.open();
          const [topic, group] = [await bench.topic(3), randomUUID()];
          await bench.broker.append(
            topic,
            Array.from({ length: 60 }, (_, n) => raw(`key-${n}`, n)),
          );
          let [running, most] = [0, 0];
          const subscription = service.subscriber.subscribe(
            translator(topic, async () => {
              running += 1;
              most = Math.max(most, running);
              await turns(3);
              running -= 1;
            }),
            { group, concurrency },
          );
          await until("all events", () => subscription.stats().handled === 60);
          assert.equal(most, concurrency);
        });
      }

      test("lets other keys pass a slow one", async () => {
        await using service = await bench.open();
        const [topic, group, slow] = [await bench.topic(), randomUUID(), gate()];
        await bench.broker.append(topic, [raw("slow", 0), raw("slow", 1), ...Array.from({ length: 20 }, (_, n) => raw(`key-${n}`, n))]);
        const order: string[] = [];
        const subscription = service.subscriber.subscribe(
          translator(topic, async ({ key, payload }) => {
            if (key === "slow" && payload.n === 0) await slow.promise;
            order.push(key);
          }),
          { group, concurrency: 4 },
        );
        await until("the others", () => subscription.stats().handled === 20);
        assert.ok(!order.includes("slow"));
        slow.open();
        await until("the slow ones", () => subscription.stats().handled === 22);
        await subscription.stop();
        assert.deepEqual(await bench.pending(group, topic), []);
      });

      test("delivers everything, in order, through a small window", async () => {
        await using service = await bench.open();
        const [topic, group] = [await bench.topic(), randomUUID()];
        await bench.broker.append(
          topic,
          Array.from({ length: 300 }, (_, n) => raw("k", n)),
        );
        const handled: number[] = [];
        const subscription = service.subscriber.subscribe(
          translator(topic, async ({ payload }) => {
            await turns(1);
            handled.push(payload.n);
          }),
          { group, maxInFlight: 4, maxBufferedBytes: 64 },
        );
        await until("all events", () => subscription.stats().handled === 300);
        await subscription.stop();
        assert.deepEqual(
          handled,
          Array.from({ length: 300 }, (_, n) => n),
        );
      });
    });

    describe("stopping", () => {
      test("finishes what has begun, begins nothing more, and repeats nothing afterwards", async () => {
        const [topic, group, hold] = [await bench.topic(), randomUUID(), gate()];
        await bench.broker.append(
          topic,
          Array.from({ length: 50 }, (_, n) => raw(`key-${n}`, n)),
        );
        const first: number[] = [];
        {
          await using service = await bench.open();
          let begun = 0;
          const subscription = service.subscriber.subscribe(
            translator(topic, async ({ payload }) => {
              begun += 1;
              await hold.promise;
              first.push(payload.n);
            }),
            { group, concurrency: 5 },
          );
          await until("some to have begun", () => begun === 5);
          const stopping = subscription.stop();
          assert.equal(subscription.state, "stopping");
          hold.open();
          await stopping;
          assert.equal(subscription.state, "stopped");
          assert.equal(begun, 5);
        }
        assert.deepEqual(
          first.sort((a, b) => a - b),
          [0, 1, 2, 3, 4],
        );
        const second = await consume(topic, group, 45);
        assert.deepEqual(
          second.map(({ payload }) => payload.n).sort((a, b) => a - b),
          Array.from({ length: 45 }, (_, n) => n + 5),
        );
      });

      test("goes from starting over running and stopping to stopped", async () => {
        await using service = await bench.open();
        const topic = await bench.topic();
        const states: SubscriptionState[] = [];
        const subscription = service.subscriber.subscribe(
          translator(topic, () => {}),
          { group: randomUUID() },
        );
        states.push(subscription.state);
        await until("it to run", () => subscription.state === "running");
        states.push(subscription.state);
        const [once, twice] = [subscription.stop(), subscription.stop()];
        states.push(subscription.state);
        await Promise.all([once, twice, subscription.done]);
        states.push(subscription.state);
        await subscription.stop();
        assert.deepEqual(states, ["starting", "running", "stopping", "stopped"]);
      });

      test("can be stopped while it is starting", async () => {
        await using service = await bench.open();
        const topic = await bench.topic();
        const subscription = service.subscriber.subscribe(
          translator(topic, () => {}),
          { group: randomUUID() },
        );
        await subscription.stop();
        assert.equal(subscription.state, "stopped");
        await subscription.done;
      });

      test("is stopped by closing the registry, with what it has handled acknowledged", async () => {
        const service = await bench.open();
        const [topic, group] = [await bench.topic(), randomUUID()];
        await bench.broker.append(topic, [raw("k", 1)]);
        const subscription = service.subscriber.subscribe(
          translator(topic, () => turns(3)),
          { group },
        );
        const { subscriber } = service;
        await until("the event", () => subscription.stats().received === 1);
        await service.registry.close();
        assert.equal(subscription.state, "stopped");
        await subscription.done;
        assert.throws(
          () =>
            subscriber.subscribe(
              translator(topic, () => {}),
              { group },
            ),
          { code: "ERR_HEXKIT_CLOSED" },
        );
        assert.deepEqual(await bench.pending(group, topic), []);
      });

      test("lets translators publish while the registry closes", async () => {
        const service = await bench.open();
        const [topic, outgoing, group, hold] = [await bench.topic(), await bench.topic(), randomUUID(), gate()];
        const { publisher } = service;
        await bench.broker.append(topic, [raw("k", 1)]);
        const subscription = service.subscriber.subscribe(
          translator(topic, async () => {
            await hold.promise;
            await publisher.publish({ topic: outgoing, type: "caused", key: "k", payload: {} });
          }),
          { group },
        );
        await until("the event", () => subscription.stats().inFlight === 1);
        const closing = service.registry.close();
        hold.open();
        await closing;
        assert.equal((await bench.read(outgoing, 1)).length, 1);
        assert.deepEqual(await bench.pending(group, topic), []);
      });
    });

    describe("groups", () => {
      test("shares partitions between two members and lets one take over, each event once", async () => {
        const [topic, group] = [await bench.topic(4), randomUUID()];
        const seen: number[] = [];
        let sent = 0;
        const send = async (count: number): Promise<void> => {
          await bench.broker.append(
            topic,
            Array.from({ length: count }, () => raw(`key-${sent % 40}`, sent++)),
          );
        };
        const member = async (): Promise<{
          service: Awaited<ReturnType<EventBench["open"]>>;
          subscription: ReturnType<Awaited<ReturnType<EventBench["open"]>>["subscriber"]["subscribe"]>;
        }> => {
          const service = await bench.open();
          return {
            service,
            subscription: service.subscriber.subscribe(
              translator(topic, ({ payload }) => void seen.push(payload.n)),
              { group },
            ),
          };
        };
        const one = await member();
        await using _one = one.service;
        await send(40);
        await until("the first member's events", () => seen.length === 40);
        const two = await member();
        await using _two = two.service;
        for (let round = 0; two.subscription.stats().handled === 0; round += 1) {
          assert.ok(round < 1_000, "the second member got nothing");
          await send(40);
          await systemClock.sleep(30);
        }
        await until("all events", () => seen.length >= sent);
        const before = one.subscription.stats().handled;
        await send(40);
        await until("all events", () => seen.length >= sent);
        assert.ok(one.subscription.stats().handled > before, "the first member kept some");
        await one.subscription.stop();
        await send(40);
        await until("all events after the takeover", () => seen.length >= sent);
        await two.subscription.stop();
        assert.deepEqual(
          seen.sort((a, b) => a - b),
          Array.from({ length: sent }, (_, n) => n),
        );
      });

      test("gives a member no events of topics that only others of its group read", async () => {
        await using one = await bench.open();
        await using two = await bench.open();
        const [first, second, group] = [await bench.topic(3), await bench.topic(3), randomUUID()];
        const seen: string[] = [];
        const read = ({ subscriber }: typeof one, topic: string): ReturnType<typeof subscriber.subscribe> =>
          subscriber.subscribe(
            translator(topic, ({ payload }) => void seen.push(`${topic} ${payload.n}`)),
            { group },
          );
        const [reading, other] = [read(one, first), read(two, second)];
        const expected: string[] = [];
        // The second round finds both of them settled.
        for (let round = 0; round < 2; round += 1) {
          for (const topic of [first, second]) {
            const numbers = Array.from({ length: 12 }, (_, n) => round * 12 + n);
            await bench.broker.append(
              topic,
              numbers.map((n) => raw(`key-${n}`, n)),
            );
            expected.push(...numbers.map((n) => `${topic} ${n}`));
          }
          await until("the events of both topics", () => new Set(seen).size >= expected.length);
        }
        assert.deepEqual([...new Set(seen)].sort(), expected.sort());
        for (const { skipped, ignored } of [reading.stats(), other.stats()]) assert.deepEqual([skipped, ignored], [0, 0]);
      });

      test("gives up a partition whose handlers do not end in time, without taking their cancellation for a failure", async () => {
        await using one = await bench.open();
        await using two = await bench.open();
        const [topic, group] = [await bench.topic(2), randomUUID()];
        await bench.broker.append(
          topic,
          Array.from({ length: 20 }, (_, n) => raw(`key-${n}`, n)),
        );
        let cancelled = 0;
        const holding = one.subscriber.subscribe(
          translator(topic, async (_event, { signal }) => {
            await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
            cancelled += 1;
            throw signal.reason;
          }),
          { group, concurrency: 20, drainTimeoutMs: 0 },
        );
        await until("all handlers", () => holding.stats().inFlight === 20);
        const taking = two.subscriber.subscribe(
          translator(topic, () => {}),
          { group },
        );
        await until("the other member to take over", () => taking.stats().handled > 0 && cancelled > 0);
        await turns(3);
        assert.equal(holding.state, "running");
        assert.equal(holding.stats().failed, 0);
        await holding.stop();
        await until("the rest to be taken over", () => taking.stats().handled === 20);
      });

      test("gives every group all events", async () => {
        await using service = await bench.open();
        const topic = await bench.topic();
        await bench.broker.append(topic, [raw("k", 1), raw("k", 2)]);
        const subscriptions = [1, 2].map(() =>
          service.subscriber.subscribe(
            translator(topic, () => {}),
            { group: randomUUID() },
          ),
        );
        await until("both", () => subscriptions.every((subscription) => subscription.stats().handled === 2));
      });

      test("uses the service's name as its group, and refuses a second subscription of a group until the first has ended", async () => {
        await using service = await bench.open();
        const topic = await bench.topic();
        const first = service.subscriber.subscribe(translator(topic, () => {}));
        assert.match(first.group, /^conformance-/);
        assert.deepEqual(first.topics, [topic]);
        assert.throws(() => service.subscriber.subscribe(translator(topic, () => {}, ["other"])), {
          code: "ERR_HEXKIT_SUBSCRIPTION_EXISTS",
        });
        await first.stop();
        await service.subscriber.subscribe(translator(topic, () => {})).stop();
      });
    });

    describe("the driver", () => {
      test("delivers nothing more of a partition that is paused, and all of it once it is resumed", async () => {
        const [paused, other] = [await bench.topic(), await bench.topic()];
        await using member = await bench.member(randomUUID(), [paused, other]);
        const values = (topic: string): string[] => member.records.filter((each) => each.topic === topic).map((each) => text(each.value));
        const append = (topic: string, n: number): Promise<void> => bench.broker.append(topic, [raw("key", n)]);
        for (const topic of [paused, other]) {
          await append(topic, 0);
          await until("the first record", () => values(topic).length === 1);
        }
        member.source.pause([{ topic: paused, partition: 0 }]);
        // What was asked for before may still arrive: not what was written when it had been answered long ago.
        for (let n = 1; n <= 4; n += 1) {
          await append(paused, n);
          await append(other, n);
          await until(`record ${n} of the topic that goes on`, () => values(other).length === n + 1);
        }
        assert.ok(!values(paused).includes(value(4)), `it went on: ${values(paused)}`);
        member.source.resume([{ topic: paused, partition: 0 }]);
        await until("what was held back", () => values(paused).length >= 5);
        assert.deepEqual(values(paused), [0, 1, 2, 3, 4].map(value));
      });
    });

    describe("translators", () => {
      test("get the events of their topics and types, and no others'", async () => {
        await using service = await bench.open();
        const [here, there] = [await bench.topic(), await bench.topic()];
        const seen: string[] = [];
        const noting = (topic: string, type: string, name: string): Translator =>
          translator(topic, ({ payload }) => void seen.push(`${name}:${payload.n}`), [type]);
        const both: Translator = {
          topics: [here, there],
          types: ["shared"],
          consume: (event) => void seen.push(`both:${event.topic === here ? "here" : "there"}`),
        };
        const subscription = service.subscriber.subscribe([noting(here, "a", "A"), noting(here, "b", "B"), noting(there, "a", "C"), both], {
          group: randomUUID(),
        });
        await bench.broker.append(here, [raw("k", 1, { type: "a" }), raw("k", 2, { type: "b" }), raw("k", 3, { type: "shared" })]);
        await bench.broker.append(there, [raw("k", 4, { type: "a" }), raw("k", 5, { type: "b" }), raw("k", 6, { type: "shared" })]);
        await until("all records", () => subscription.stats().handled + subscription.stats().ignored === 6);
        assert.deepEqual(seen.sort(), ["A:1", "B:2", "C:4", "both:here", "both:there"]);
        assert.equal(subscription.stats().ignored, 1);
      });

      test("are refused if two claim one topic and type, in any order", async () => {
        await using service = await bench.open();
        const wide: Translator = { topics: ["t", "u"], types: ["a", "b"], consume: () => {} };
        const narrow = translator("u", () => {}, ["b"]);
        for (const both of [
          [wide, narrow],
          [narrow, wide],
        ]) {
          assert.throws(() => service.subscriber.subscribe(both, { group: randomUUID() }), { code: "ERR_HEXKIT_TRANSLATOR_CLASH" });
        }
      });

      test("are refused without topics or types, and so are bad settings", async () => {
        await using service = await bench.open();
        const fine = translator("t", () => {});
        for (const bad of [[], { ...fine, topics: [] }, { ...fine, types: [] }] as Translator[]) {
          assert.throws(() => service.subscriber.subscribe(bad, { group: randomUUID() }), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
        }
        for (const settings of [{ concurrency: 0 }, { onFailure: "panic" }, { group: "" }, { unknown: 1 }]) {
          assert.throws(
            () => service.subscriber.subscribe(fine, settings as never),
            { code: "ERR_HEXKIT_INVALID_ARGUMENT" },
            JSON.stringify(settings),
          );
        }
      });
    });

    describe("stats", () => {
      test("count what came and what became of it", async () => {
        await using service = await bench.open();
        const [topic, group, hold] = [await bench.topic(), randomUUID(), gate()];
        await bench.broker.append(topic, [raw("a", 1), raw("a", 2, { type: "other" }), raw("a", 3), raw("b", 4), raw("c", 5)]);
        const subscription = service.subscriber.subscribe(
          translator(topic, async ({ payload }) => {
            if (payload.n === 3) throw new Error("on purpose");
            if (payload.n === 5) await hold.promise;
          }),
          { group, onFailure: "skip" },
        );
        await until("all but one", () => subscription.stats().handled === 2 && subscription.stats().skipped === 1);
        const { lag, trouble, ...counters } = subscription.stats();
        const none = { retried: 0, deadLettered: 0, restarts: 0 };
        assert.deepEqual(counters, { ...none, received: 5, handled: 2, ignored: 1, failed: 1, skipped: 1, inFlight: 1 });
        assert.ok(lag === 0 || lag === undefined, String(lag));
        assert.equal(trouble, undefined);
        hold.open();
        await until("the last", () => subscription.stats().handled === 3);
        assert.equal(subscription.stats().inFlight, 0);
      });

      test("appear in health", async () => {
        await using service = await bench.open();
        const topic = await bench.topic();
        const group = randomUUID();
        const subscription = service.subscriber.subscribe(
          translator(topic, () => {}),
          { group },
        );
        await until("it to run", () => subscription.state === "running");
        const report = await service.registry.health();
        assert.equal(report.ok, true);
        assert.ok(JSON.stringify(report).includes(group));
        await subscription.stop();
      });

      test("turn health bad when a subscription has failed", async () => {
        await using service = await bench.open();
        const topic = await bench.topic();
        await bench.broker.append(topic, [raw("k", "{")]);
        const subscription = service.subscriber.subscribe(
          translator(topic, () => {}),
          { group: randomUUID() },
        );
        await assert.rejects(within("the failure", subscription.done), { code: "ERR_HEXKIT_EVENT_UNDECODABLE" });
        assert.equal((await service.registry.health()).ok, false);
      });
    });
  });
}
