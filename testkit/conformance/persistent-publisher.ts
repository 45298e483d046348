import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { HexkitError, newCorrelationId, type StoredDocument, Uuid, withCorrelationId } from "../../core/index.ts";
import { testTimeoutMs } from "./event-broker.ts";
import { away, RelayBench, type RelayedSubject, refused, uuid4 } from "./relay-bench.ts";

/** What every persistent publisher owes, over any database and any broker: contract sections 2.1 and 3.11 without the weaknesses of 13.4. */
export function testPersistentPublisher(subject: RelayedSubject): void {
  describe(`persistentPublisher: ${subject.name}`, { skip: subject.skip ?? false }, () => {
    let bench: RelayBench;
    let close: () => Promise<unknown>;
    before(async () => {
      const { database, broker } = await subject.open();
      bench = new RelayBench(subject.plugins, database, broker);
      close = () => Promise.all([database.close(), broker.close()]);
    });
    after(() => close?.());
    const test = (name: string, work: () => Promise<void>): void => void it(name, { timeout: testTimeoutMs }, work);
    const open = async (settings: object = {}, publisher: object = {}) => {
      const collection = bench.name();
      const topic = await bench.topic();
      const service = await bench.open({ persistentPublisher: { collection, ...settings }, eventPublisher: publisher });
      return { service, collection, topic, publisher: service.publisher };
    };
    const event = (topic: string, more: object = {}) => ({ topic, type: "made", key: "k", payload: { n: 1 }, ...more });

    test("stores an event with everything that belongs to it, published, under its event id", async () => {
      const { service, collection, topic, publisher } = await open();
      await using _ = service;
      const [eventId, correlationId, at] = [randomUUID(), newCorrelationId(), new Date(1_700_000_000_123)];
      const payload = { n: 1, at, list: [{ ü: null }] };
      await withCorrelationId(correlationId, () => publisher.publish(event(topic, { eventId, payload, headers: { extra: "x" } })));
      const [stored] = await bench.database.read(collection);
      const { created, position, ...rest } = stored as StoredDocument & { created: Date; position: number };
      assert.ok(created instanceof Date && Math.abs(created.getTime() - Date.now()) < 60_000, String(created));
      assert.equal(typeof position, "number");
      assert.deepEqual(rest, {
        _id: eventId,
        topic,
        type_: "made",
        key: "k",
        payload,
        headers: { extra: "x" },
        event_id: new Uuid(eventId),
        correlation_id: new Uuid(correlationId),
        published: true,
      } as never);
      const [sent] = await bench.read(topic, 1);
      assert.deepEqual([sent?.eventId, sent?.correlationId, sent?.payload.at], [eventId, correlationId, at.toISOString()]);
    });

    test("stores two events of one key as two documents", async () => {
      const { service, collection, topic, publisher } = await open();
      await using _ = service;
      await publisher.publish(event(topic));
      await publisher.publish(event(topic, { payload: { n: 2 } }));
      const stored = await bench.database.read(collection);
      assert.equal(stored.length, 2);
      for (const { _id, event_id: eventId } of stored) assert.equal(_id, String(eventId));
    });

    test("stores the last event alone of a key of a compacted topic", async () => {
      const topic = await bench.topic();
      const { service, collection, publisher } = await open({ compactedTopics: [topic] });
      await using _ = service;
      await publisher.publish(event(topic));
      await publisher.publish(event(topic, { payload: { n: 2 } }));
      await publisher.publish(event(topic, { key: "other" }));
      const stored = await bench.database.read(collection);
      assert.deepEqual(
        stored.map(({ _id, payload, published }) => [_id, payload, published]),
        [
          [`${topic}:k`, { n: 2 }, true],
          [`${topic}:other`, { n: 1 }, true],
        ],
      );
      assert.deepEqual(
        (await bench.read(topic, 3)).map(({ payload }) => payload.n),
        [1, 2, 1],
      );
    });

    test("passes on what is not to be stored", async () => {
      const topic = await bench.topic();
      const { service, collection, publisher } = await open({ topicsNotStored: [topic] });
      await using _ = service;
      await publisher.publish(event(topic));
      await publisher.publishAll([event(topic, { payload: { n: 2 } })]);
      assert.deepEqual(await bench.database.read(collection), []);
      assert.deepEqual(
        (await bench.read(topic, 2)).map(({ payload }) => payload.n),
        [1, 2],
      );
    });

    test("refuses topics that are compacted and not stored, sorted, before anything connects", async () => {
      const settings = { compactedTopics: ["c", "a", "b"], topicsNotStored: ["b", "x", "a"] };
      await assert.rejects(open(settings), (error) => {
        assert.ok(error instanceof HexkitError && error.code === "ERR_HEXKIT_CONFIG_INVALID", String(error));
        assert.match(error.message, /compactedTopics as well: a, b;/);
        return true;
      });
    });

    test("uses a collection named after the service where none is named", async () => {
      const name = `conformance-${randomUUID()}`;
      await using service = await bench.open({ name });
      const topic = await bench.topic();
      await service.publisher.publish(event(topic));
      assert.equal((await bench.database.read(`${name}PersistedEvents`)).length, 1);
    });

    test("rejects with the broker's refusal and leaves the event pending", async () => {
      const { service, collection, topic, publisher } = await open();
      await using _ = service;
      service.refusals.of = refused;
      await assert.rejects(publisher.publish(event(topic)), { code: "ERR_HEXKIT_PERMISSION_DENIED" });
      assert.deepEqual(
        (await bench.database.read(collection)).map(({ published }) => published),
        [false],
      );
      service.refusals.of = undefined;
      await publisher.publishPending();
      assert.equal((await bench.read(topic, 1)).length, 1);
      assert.deepEqual(
        (await bench.database.read(collection)).map(({ published }) => published),
        [true],
      );
    });

    test("rejects when time is over, and publishes the event once the broker is back", async () => {
      const { service, collection, topic, publisher } = await open({ publishWaitMs: 300 });
      await using _ = service;
      service.refusals.of = away;
      await assert.rejects(publisher.publish(event(topic)), { code: "ERR_HEXKIT_TIMEOUT", message: /it is stored, and will be published/ });
      const controller = new AbortController();
      const aborted = publisher.publish(event(topic, { key: "aborted" }), { signal: controller.signal });
      setImmediate(() => controller.abort());
      await assert.rejects(aborted, { code: "ERR_HEXKIT_ABORTED" });
      service.refusals.of = undefined;
      await bench.read(topic, 1);
      await publisher.publishPending();
      assert.ok(
        (await bench.database.read(collection)).every(({ published }) => published === true),
        "something is still pending",
      );
    });

    test("publishes what was left pending, oldest first, and only that; one that cannot be published holds up no other", async () => {
      const { service, collection, topic, publisher } = await open();
      await using _ = service;
      const document = (n: number, more: object = {}) => {
        const eventId = randomUUID();
        const base = { topic, type_: "made", payload: { n }, key: "k", headers: {}, correlation_id: new Uuid(newCorrelationId()) };
        return { _id: eventId, ...base, event_id: new Uuid(eventId), created: new Date(1_000 + n), published: false, ...more };
      };
      service.refusals.of = ({ value }) => (JSON.parse(value).n === 2 ? refused() : undefined);
      await bench.database.write(collection, [
        document(5),
        document(1),
        document(4, { published: true }),
        document(2),
        document(3, { event_id: null }),
        document(6, { topic: 7 }),
      ] as never);
      await assert.rejects(publisher.publishPending(), (error) => {
        assert.ok(error instanceof HexkitError, String(error));
        assert.deepEqual(error.failures.map(({ code }) => code).sort(), [
          "ERR_HEXKIT_PERMISSION_DENIED",
          "ERR_HEXKIT_STORED_DOCUMENT_INVALID",
        ]);
        return true;
      });
      // What waits behind one that failed goes out right after it.
      await publisher.publishPending().catch(() => undefined);
      const sent = await bench.read(topic, 3);
      assert.deepEqual(
        sent.map(({ payload }) => payload.n),
        [1, 3, 5],
      );
      const stored = await bench.database.read(collection);
      const third = stored.find(({ payload }) => (payload as { n: number }).n === 3);
      assert.match(String(third?.event_id), uuid4);
      assert.equal(String(third?.event_id), sent[1]?.eventId);
      service.refusals.of = undefined;
      await publisher.publishPending().catch(() => undefined);
      assert.equal((await bench.read(topic, 4))[3]?.payload.n, 2);
    });

    test("sends no later event of a key before one that fails for the moment, and those of other keys meanwhile", async () => {
      const { service, collection, topic, publisher } = await open();
      await using _ = service;
      const document = (n: number, key: string, hasId: boolean) => {
        const eventId = randomUUID();
        const base = {
          topic,
          type_: "made",
          payload: { n },
          key,
          headers: {},
          correlation_id: new Uuid(newCorrelationId()),
          published: false,
        };
        return { _id: eventId, ...base, event_id: hasId ? new Uuid(eventId) : null, created: new Date(1_000 + n) };
      };
      await bench.database.write(collection, [document(1, "k", false), document(2, "k", true), document(3, "other", true)] as never);
      // The first one is given its id before it is sent.
      const failing = service.plan.fail("dao.findAndPatch", { next: 1 });
      await assert.rejects(publisher.publishPending(), { code: "ERR_HEXKIT_UNAVAILABLE" });
      assert.equal(failing.hits, 1);
      await publisher.publishPending();
      const sent = (await bench.read(topic, 3)).map(({ payload }) => payload.n as number);
      assert.deepEqual(sent.toSorted(), [1, 2, 3]);
      assert.deepEqual(
        sent.filter((n) => n !== 3),
        [1, 2],
      );
    });

    test("goes on with what a crash left pending, without being called", async () => {
      const collection = bench.name();
      const topic = await bench.topic();
      const eventId = randomUUID();
      await bench.database.write(collection, [
        {
          _id: eventId,
          topic,
          type_: "made",
          payload: { n: 1 },
          key: "k",
          headers: {},
          correlation_id: new Uuid(newCorrelationId()),
          event_id: new Uuid(eventId),
          created: new Date(),
          published: false,
        },
      ] as never);
      await using _ = await bench.open({ persistentPublisher: { collection } });
      assert.equal((await bench.read(topic, 1))[0]?.eventId, eventId);
    });

    test("publishes everything again as it was: type, key, payload, headers, event id and correlation id, in order", async () => {
      const { service, topic, publisher } = await open();
      await using _ = service;
      for (let n = 0; n < 5; n += 1) {
        const payload = { n, at: new Date(n), text: "Grüße", deep: { list: [1, null, 2.5] } };
        await publisher.publish(event(topic, { key: `k${n % 2}`, type: `t${n}`, payload, headers: { extra: `${n}` } }));
      }
      await publisher.republish();
      const events = (await bench.read(topic, 10)).map(({ record, ...rest }) => ({
        ...rest,
        extra: String(record.headers.find(([name]) => name === "extra")?.[1]),
      }));
      for (const key of ["k0", "k1"]) {
        const [first, again] = [events.slice(0, 5), events.slice(5)].map((some) => some.filter((each) => each.key === key));
        assert.deepEqual(again, first);
      }
    });

    test("generates a correlation id where none is set, whatever the publisher may, and stores and sends it", async () => {
      const { service, collection, topic, publisher } = await open({}, { generateCorrelationId: false });
      await using _ = service;
      await publisher.publish(event(topic));
      const [stored] = await bench.database.read(collection);
      const [sent] = await bench.read(topic, 1);
      assert.match(sent?.correlationId ?? "", uuid4);
      assert.equal(String(stored?.correlation_id), sent?.correlationId);
    });

    test("keeps the order of a key, also of many calls at once and of publishAll", async () => {
      const { service, topic, publisher } = await open();
      await using _ = service;
      const events = Array.from({ length: 120 }, (_unused, n) => event(topic, { key: `k${n % 4}`, payload: { n } }));
      await Promise.all([...events.slice(0, 60).map((each) => publisher.publish(each)), publisher.publishAll(events.slice(60))]);
      const sent = await bench.read(topic, 120);
      for (let key = 0; key < 4; key += 1) {
        const numbers = sent.filter((each) => each.key === `k${key}`).map(({ payload }) => payload.n as number);
        assert.deepEqual(
          numbers,
          Array.from({ length: 30 }, (_unused, index) => index * 4 + key),
        );
      }
    });

    test("refuses what the publisher refuses, and what cannot be stored, and stores nothing of it", async () => {
      const { service, collection, topic, publisher } = await open();
      await using _ = service;
      const attempts: [object, string][] = [
        [{ type: "" }, "ERR_HEXKIT_INVALID_ARGUMENT"],
        [{ key: "ü" }, "ERR_HEXKIT_NOT_ASCII"],
        [{ payload: { n: Number.NaN } }, "ERR_HEXKIT_PAYLOAD_INVALID"],
        [{ payload: { deep: { $set: 1 } } }, "ERR_HEXKIT_PAYLOAD_INVALID"],
        [{ eventId: "c232ab00-9414-11ec-b3c8-9f68deced846" }, "ERR_HEXKIT_INVALID_ARGUMENT"],
        [{ payload: { text: "x".repeat(2_000_000) } }, "ERR_HEXKIT_MESSAGE_TOO_LARGE"],
      ];
      for (const [more, code] of attempts) {
        await assert.rejects(publisher.publish(event(topic, more)), { code });
        await assert.rejects(publisher.publishAll([event(topic), event(topic, more)]), { code });
      }
      assert.deepEqual(await bench.database.read(collection), []);
    });

    test("resolves as soon as the event is stored if it is not to wait", async () => {
      const { service, collection, topic, publisher } = await open({ publishWaitMs: 0 });
      await using _ = service;
      service.refusals.of = away;
      await publisher.publish(event(topic));
      assert.equal((await bench.database.read(collection)).length, 1);
      service.refusals.of = undefined;
      assert.equal((await bench.read(topic, 1)).length, 1);
    });
  });
}
