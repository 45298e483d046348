import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import {
  daoTranslator,
  HexkitError,
  newCorrelationId,
  type Outbox,
  type OutboxSpec,
  type Payload,
  type StoredDocument,
  Uuid,
  withCorrelationId,
} from "../../core/index.ts";
import { testTimeoutMs, until } from "./event-broker.ts";
import { away, RelayBench, type RelayedService, type RelayedSubject, refused, uuid4 } from "./relay-bench.ts";

const schema = {
  type: "object",
  additionalProperties: false,
  required: ["id", "n"],
  properties: { id: { type: "string" }, n: { type: "integer" }, email: { type: "string" } },
} as const;
interface Order {
  id: string;
  n: number;
  email?: string;
}
type Spec = Partial<OutboxSpec<typeof schema>>;

const metadataOf = (document: StoredDocument | undefined): Record<string, unknown> =>
  (document as unknown as { __metadata__: Record<string, unknown> }).__metadata__;
const toEvent = (order: Order): Payload => ({ ...order });

/** What every outbox owes, over any database and any broker: contract sections 2.5, 3.8, 3.10 without the weaknesses of 13.3. */
export function testOutbox(subject: RelayedSubject): void {
  describe(`outbox: ${subject.name}`, { skip: subject.skip ?? false }, () => {
    let bench: RelayBench;
    let close: () => Promise<unknown>;
    before(async () => {
      const { database, broker } = await subject.open();
      bench = new RelayBench(subject.plugins, database, broker);
      close = () => Promise.all([database.close(), broker.close()]);
    });
    after(() => close?.());
    const test = (name: string, work: () => Promise<void>): void => void it(name, { timeout: testTimeoutMs }, work);

    const orders = async (service: RelayedService, more: Spec = {}): Promise<{ box: Outbox<Order>; name: string; topic: string }> => {
      const { name = bench.name(), topic = await bench.topic() } = more;
      const box = await service.outbox.open({ schema, idField: "id", toEvent, ...more, name, topic });
      return { box, name, topic };
    };
    const raw = async (name: string, id: string): Promise<StoredDocument | undefined> =>
      (await bench.database.read(name)).find(({ _id }) => String(_id) === id);

    test("publishes the state after insert, update and upsert, and the end after delete", async () => {
      await using service = await bench.open();
      const { box, topic } = await orders(service);
      const ids = Array.from({ length: 4 }, newCorrelationId);
      await withCorrelationId(ids[0] as string, () => box.insert({ id: "a", n: 1 }));
      await withCorrelationId(ids[1] as string, () => box.update({ id: "a", n: 2 }));
      await withCorrelationId(ids[2] as string, () => box.upsert({ id: "a", n: 3 }));
      await withCorrelationId(ids[3] as string, () => box.delete("a"));
      const events = await bench.read(topic, 4);
      assert.deepEqual(
        events.map(({ type, key, payload, correlationId }) => [type, key, payload, correlationId]),
        [
          ["upserted", "a", { id: "a", n: 1 }, ids[0]],
          ["upserted", "a", { id: "a", n: 2 }, ids[1]],
          ["upserted", "a", { id: "a", n: 3 }, ids[2]],
          ["deleted", "a", {}, ids[3]],
        ],
      );
      assert.equal(new Set(events.map(({ eventId }) => eventId)).size, 4);
      for (const { eventId, record } of events) {
        assert.match(eventId, uuid4);
        assert.deepEqual(record.headers.map(([name]) => name).slice(0, 4), ["type", "event_id", "correlation_id", "sequence"]);
      }
    });

    test("uses the text of an id as the key, of integers and UUIDs too", async () => {
      await using service = await bench.open();
      const topic = await bench.topic();
      const id = randomUUID();
      const byNumber = await service.outbox.open({
        name: bench.name(),
        topic,
        idField: "id",
        schema: { type: "object", required: ["id"], properties: { id: { type: "integer" } } },
        toEvent: () => ({}),
      });
      const byUuid = await service.outbox.open({
        name: bench.name(),
        topic,
        idField: "id",
        schema: { type: "object", required: ["id"], properties: { id: { type: "string", format: "uuid" } } },
        toEvent: () => ({}),
      });
      await byNumber.insert({ id: 42 });
      await byUuid.insert({ id: id.toUpperCase() });
      assert.deepEqual(
        (await bench.read(topic, 2)).map(({ key }) => key),
        ["42", id],
      );
    });

    test("publishes every document of insertMany and upsertMany", async () => {
      await using service = await bench.open();
      const { box, topic } = await orders(service);
      const some = Array.from({ length: 30 }, (_, n) => ({ id: `i${n}`, n }));
      await box.insertMany(some);
      await box.upsertMany(some.map(({ id, n }) => ({ id, n: n + 100 })));
      const events = await bench.read(topic, 60);
      assert.deepEqual(events.map(({ key }) => key).sort(), [...some, ...some].map(({ id }) => id).sort());
      for (const { id, n } of some) {
        assert.deepEqual(
          events.filter(({ key }) => key === id).map(({ payload }) => payload.n),
          [n, n + 100],
        );
      }
    });

    test("publishes nothing for operations that fail", async () => {
      await using service = await bench.open();
      const { box, topic } = await orders(service);
      await box.insert({ id: "a", n: 1 });
      await assert.rejects(box.insert({ id: "a", n: 2 }), { code: "ERR_HEXKIT_DOCUMENT_EXISTS" });
      await assert.rejects(box.update({ id: "b", n: 2 }), { code: "ERR_HEXKIT_DOCUMENT_NOT_FOUND" });
      await assert.rejects(box.delete("b"), { code: "ERR_HEXKIT_DOCUMENT_NOT_FOUND" });
      await assert.rejects(box.insert({ id: "c", n: "x" } as never), { code: "ERR_HEXKIT_DOCUMENT_INVALID" });
      await box.delete("a");
      for (const attempt of [() => box.getById("a"), () => box.update({ id: "a", n: 3 }), () => box.delete("a")]) {
        await assert.rejects(attempt, { code: "ERR_HEXKIT_DOCUMENT_NOT_FOUND" });
      }
      await box.insert({ id: "z", n: 9 });
      assert.deepEqual(
        (await bench.read(topic, 3)).map(({ type, key }) => [type, key]),
        [
          ["upserted", "a"],
          ["deleted", "a"],
          ["upserted", "z"],
        ],
      );
    });

    test("keeps in the document what the contract says, before and after publishing", async () => {
      await using service = await bench.open();
      const { box, name, topic } = await orders(service, { autoPublish: false });
      const [first, second, third] = [newCorrelationId(), newCorrelationId(), newCorrelationId()];
      await withCorrelationId(first, () => box.insert({ id: "a", n: 1 }));
      const { revision, ...pending } = metadataOf(await raw(name, "a"));
      assert.deepEqual(pending, { deleted: false, published: false, correlation_id: new Uuid(first), last_event_id: null });
      assert.match(String(revision), uuid4);
      await box.publishPending();
      const [event] = await bench.read(topic, 1);
      assert.deepEqual(await raw(name, "a"), {
        _id: "a",
        n: 1,
        __metadata__: {
          deleted: false,
          published: true,
          correlation_id: new Uuid(first),
          last_event_id: new Uuid(event?.eventId ?? ""),
          revision,
        },
      });
      await withCorrelationId(second, () => box.update({ id: "a", n: 2 }));
      const changed = metadataOf(await raw(name, "a"));
      assert.deepEqual([changed.published, changed.correlation_id, changed.last_event_id], [false, new Uuid(second), null]);
      assert.notDeepEqual(changed.revision, revision);
      await withCorrelationId(third, () => box.delete("a"));
      const { revision: last, ...deleted } = metadataOf(await raw(name, "a"));
      assert.deepEqual(deleted, { deleted: true, published: false, correlation_id: new Uuid(third) });
      await box.publishPending();
      const [, end] = await bench.read(topic, 2);
      assert.deepEqual(await raw(name, "a"), {
        _id: "a",
        __metadata__: {
          deleted: true,
          published: true,
          correlation_id: new Uuid(third),
          revision: last,
          last_event_id: new Uuid(end?.eventId ?? ""),
        },
      } as never);
    });

    test("stores a state whose event is null as published, and sends none", async () => {
      await using service = await bench.open();
      const { box, name, topic } = await orders(service, { toEvent: (order) => (order.n < 0 ? null : toEvent(order as Order)) });
      await box.insert({ id: "a", n: -1 });
      const { published, last_event_id: lastEventId } = metadataOf(await raw(name, "a"));
      assert.deepEqual([published, lastEventId], [true, null]);
      await box.insert({ id: "b", n: 1 });
      assert.equal((await bench.read(topic, 1))[0]?.key, "b");
    });

    test("sends nothing without autoPublish until publishPending, then each once", async () => {
      await using service = await bench.open();
      const { box, name, topic } = await orders(service, { autoPublish: false });
      await box.insert({ id: "a", n: 1 });
      await box.insert({ id: "b", n: 1 });
      await box.update({ id: "a", n: 2 });
      const published = async (): Promise<unknown[]> => (await bench.database.read(name)).map((document) => metadataOf(document).published);
      assert.deepEqual(await published(), [false, false]);
      await box.publishPending();
      assert.deepEqual(await published(), [true, true]);
      await box.publishPending();
      await box.insert({ id: "z", n: 0 });
      assert.deepEqual((await published()).length, 3);
      await box.publishPending();
      const events = await bench.read(topic, 3);
      assert.deepEqual(
        events
          .slice(0, 2)
          .map(({ key, payload }) => [key, payload.n])
          .sort(),
        [
          ["a", 2],
          ["b", 1],
        ],
      );
      assert.equal(events[2]?.key, "z");
    });

    test("keeps the write when its event cannot be published, and publishes it once it can", async () => {
      await using service = await bench.open({ outbox: { publishWaitMs: 2_000 }, eventPublisher: { deliveryTimeoutMs: 300 } });
      const { box, name, topic } = await orders(service);
      service.refusals.of = away;
      await box.insert({ id: "a", n: 1 });
      assert.equal(metadataOf(await raw(name, "a")).published, false);
      assert.equal((await service.registry.health()).ok, false);
      assert.ok(
        service.lines.some(({ level, message }) => level === "warn" && message.includes("not yet published")),
        "no warning was logged",
      );
      service.refusals.of = undefined;
      assert.deepEqual((await bench.read(topic, 1))[0]?.payload, { id: "a", n: 1 });
      await box.publishPending();
      assert.equal(metadataOf(await raw(name, "a")).published, true);
      assert.equal((await service.registry.health()).ok, true);
    });

    test("lets one document that cannot be published hold up no other, and shows it in health", async () => {
      await using service = await bench.open();
      const { box, name, topic } = await orders(service, {
        toEvent: (order) => {
          if (order.n === 666) throw new Error("no event for this");
          return toEvent(order as Order);
        },
      });
      await box.insert({ id: "bad", n: 666 });
      await box.insert({ id: "good", n: 1 });
      assert.equal((await bench.read(topic, 1))[0]?.key, "good");
      const { outboxes } = (await service.registry.health()).bindings.outbox as unknown as {
        outboxes: Record<string, { setAside: number }>;
      };
      assert.equal(outboxes[name]?.setAside, 1);
      await assert.rejects(box.publishPending(), /1 could not be published.*no event for this/);
      await box.update({ id: "bad", n: 2 });
      assert.deepEqual((await bench.read(topic, 2))[1]?.payload, { id: "bad", n: 2 });
    });

    test("tells publishPending's caller what failed, after all others were published", async () => {
      await using service = await bench.open();
      const { box, topic } = await orders(service, { autoPublish: false });
      service.refusals.of = ({ key }) => (key === "bad" ? refused() : undefined);
      await box.insertMany(["bad", "x", "y"].map((id) => ({ id, n: 1 })));
      await assert.rejects(box.publishPending(), (error) => {
        assert.ok(error instanceof HexkitError, String(error));
        assert.deepEqual([error.code, error.failures.length], ["ERR_HEXKIT_PERMISSION_DENIED", 1]);
        return true;
      });
      assert.deepEqual((await bench.read(topic, 2)).map(({ key }) => key).sort(), ["x", "y"]);
    });

    test("publishes the present state of everything again with republish: new event id, stored correlation id", async () => {
      await using service = await bench.open();
      const { box, topic } = await orders(service);
      const [first, second] = [newCorrelationId(), newCorrelationId()];
      await withCorrelationId(first, async () => {
        await box.insert({ id: "a", n: 1 });
        await box.insert({ id: "b", n: 1 });
      });
      await withCorrelationId(second, async () => {
        await box.update({ id: "a", n: 2 });
        await box.delete("b");
      });
      await box.republish();
      const events = await bench.read(topic, 6);
      assert.deepEqual(
        events
          .slice(4)
          .map(({ type, key, payload, correlationId }) => [key, type, payload, correlationId])
          .sort(),
        [
          ["a", "upserted", { id: "a", n: 2 }, second],
          ["b", "deleted", {}, second],
        ],
      );
      assert.equal(new Set(events.map(({ eventId }) => eventId)).size, 6);
    });

    test("hides what is deleted from every way to read", async () => {
      await using service = await bench.open();
      const { box } = await orders(service);
      await box.insertMany(["a", "b", "c", "d"].map((id, n) => ({ id, n })));
      await box.delete("b");
      assert.deepEqual(
        (await box.find({}, { sort: ["id"], skip: 1, limit: 2 }).toArray()).map(({ id }) => id),
        ["c", "d"],
      );
      assert.equal(await box.count(), 3);
      assert.equal(await box.find().total(), 3);
      await assert.rejects(box.findOne({ id: "b" }), { code: "ERR_HEXKIT_NO_HIT" });
      await assert.rejects(box.getById("b"), { code: "ERR_HEXKIT_DOCUMENT_NOT_FOUND" });
    });

    test("frees the id and the unique values of what is deleted", async () => {
      await using service = await bench.open();
      const { box, topic } = await orders(service, { indexes: [{ fields: "email", unique: true }] });
      for (const id of ["a", "b", "c"]) await box.insert({ id, n: 1, email: `${id}@example.org` });
      await assert.rejects(box.insert({ id: "d", n: 1, email: "a@example.org" }), { code: "ERR_HEXKIT_UNIQUE_VIOLATION" });
      for (const id of ["a", "b", "c"]) await box.delete(id);
      await box.insert({ id: "a", n: 2, email: "b@example.org" });
      await box.upsert({ id: "b", n: 2, email: "a@example.org" });
      await box.insertMany([
        { id: "e", n: 2 },
        { id: "c", n: 2, email: "c@example.org" },
      ]);
      assert.equal(await box.count(), 4);
      assert.equal((await bench.read(topic, 10)).length, 10);
    });

    test("takes documents without metadata for live, and gives it to them with the next write", async () => {
      await using service = await bench.open();
      const name = bench.name();
      await bench.database.write(
        name,
        ["a", "b", "c"].map((_id, n) => ({ _id, n })),
      );
      const { box, topic } = await orders(service, { name });
      assert.deepEqual(await box.getById("a"), { id: "a", n: 0 });
      assert.equal(await box.count(), 3);
      await box.publishPending();
      await box.update({ id: "a", n: 5 });
      await box.delete("b");
      assert.deepEqual([metadataOf(await raw(name, "a")).published, metadataOf(await raw(name, "b")).deleted], [true, true]);
      assert.equal(metadataOf(await raw(name, "c")), undefined);
      await box.republish();
      const { deleted, published, correlation_id: correlationId } = metadataOf(await raw(name, "c"));
      assert.deepEqual([deleted, published], [false, true]);
      const events = await bench.read(topic, 5);
      assert.deepEqual(
        events.slice(0, 2).map(({ key, type }) => [key, type]),
        [
          ["a", "upserted"],
          ["b", "deleted"],
        ],
      );
      assert.equal(events.find(({ key }) => key === "c")?.correlationId, String(correlationId));
    });

    test("publishes what a peer without revisions, or a crash, has left pending, as soon as it is opened", async () => {
      await using service = await bench.open();
      const name = bench.name();
      const correlationId = newCorrelationId();
      const metadata = { deleted: false, published: false, correlation_id: new Uuid(correlationId), last_event_id: null };
      const left = { deleted: true, published: false, correlation_id: new Uuid(correlationId) };
      await bench.database.write(name, [
        { _id: "a", n: 1, __metadata__: metadata },
        { _id: "b", __metadata__: left },
      ] as never);
      const { topic } = await orders(service, { name });
      const events = await bench.read(topic, 2);
      assert.deepEqual(events.map(({ key, type, correlationId: id }) => [key, type, id]).sort(), [
        ["a", "upserted", correlationId],
        ["b", "deleted", correlationId],
      ]);
    });

    test("needs a correlation id if the publisher may not generate one, and writes nothing without", async () => {
      await using service = await bench.open({ eventPublisher: { generateCorrelationId: false } });
      const { box, name } = await orders(service);
      const attempts = [
        () => box.insert({ id: "a", n: 1 }),
        () => box.upsert({ id: "a", n: 1 }),
        () => box.insertMany([{ id: "a", n: 1 }]),
      ];
      for (const attempt of attempts) await assert.rejects(attempt, { code: "ERR_HEXKIT_CORRELATION_ID_MISSING" });
      assert.deepEqual(await bench.database.read(name), []);
      await withCorrelationId(newCorrelationId(), () => box.insert({ id: "a", n: 1 }));
      await assert.rejects(box.delete("a"), { code: "ERR_HEXKIT_CORRELATION_ID_MISSING" });
    });

    test("refuses an id that no key can be, and a topic or event that is none, before anything is written", async () => {
      await using service = await bench.open();
      const { box, name, topic } = await orders(service);
      await assert.rejects(box.insert({ id: "grün", n: 1 }), { code: "ERR_HEXKIT_NOT_ASCII" });
      assert.deepEqual(await bench.database.read(name), []);
      await assert.rejects(orders(service, { topic: "grün" }), { code: "ERR_HEXKIT_NOT_ASCII" });
      for (const bad of [{ topic: "" }, { topic: 5 as never }, { toEvent: "x" as never }, { name, topic: `${topic}-2` }]) {
        await assert.rejects(orders(service, bad), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
      }
      await orders(service, { name, topic });
    });

    test("publishes what a transaction wrote after its commit, and nothing of one that was taken back", async () => {
      await using service = await bench.open();
      const { box, topic } = await orders(service);
      await box.insert({ id: "a", n: 1 });
      await box.delete("a");
      await service.dao.transaction(async (tx) => {
        const inside = box.in(tx);
        await inside.insert({ id: "a", n: 2 });
        await inside.insertMany([{ id: "b", n: 2 }]);
        await inside.update({ id: "b", n: 3 });
        assert.equal((await inside.getById("b")).n, 3);
        await assert.rejects(box.getById("b"), { code: "ERR_HEXKIT_DOCUMENT_NOT_FOUND" });
      });
      await assert.rejects(
        service.dao.transaction(async (tx) => {
          await box.in(tx).upsert({ id: "c", n: 1 });
          throw new Error("taken back");
        }),
        /taken back/,
      );
      await box.insert({ id: "z", n: 1 });
      const events = await bench.read(topic, 5);
      assert.deepEqual(
        events
          .slice(2)
          .map(({ key, payload }) => [key, payload.n])
          .sort(),
        [
          ["a", 2],
          ["b", 3],
          ["z", 1],
        ],
      );
    });

    test("updates only what is unchanged since it was read, whatever publishing does to the document meanwhile", async () => {
      await using service = await bench.open({ outbox: { publishWaitMs: 0 } });
      const { box, topic } = await orders(service);
      await box.insert({ id: "a", n: 0 });
      for (let n = 0; n < 20; n += 1) await box.update({ id: "a", n: n + 1 }, { ifUnchangedSince: { id: "a", n } });
      await assert.rejects(box.update({ id: "a", n: 5 }, { ifUnchangedSince: { id: "a", n: 3 } }), { code: "ERR_HEXKIT_DOCUMENT_CHANGED" });
      await box.publishPending();
      assert.equal((await box.getById("a")).n, 20);
      const [event] = await bench.read(topic, 1);
      assert.equal(event?.key, "a");
    });

    test("never loses the last of many writes at once: document and last event agree", async () => {
      const name = `conformance-${randomUUID()}`;
      await using one = await bench.open({ outbox: { publishWaitMs: 0 }, name });
      await using two = await bench.open({ outbox: { publishWaitMs: 0 }, name });
      const { box, name: collection, topic } = await orders(one);
      const { box: other } = await orders(two, { name: collection, topic });
      const ids = ["a", "b", "c"];
      let n = 0;
      const write = async (target: Outbox<Order>): Promise<void> => {
        for (let round = 0; round < 30; round += 1) {
          const id = ids[round % ids.length] as string;
          n += 1;
          await target.upsert({ id, n });
        }
      };
      await Promise.all([write(box), write(other), write(box), write(other)]);
      await box.publishPending();
      for (const id of ids) await box.upsert({ id: `end-${id}`, n: 0 });
      await box.publishPending();
      const published = new Map<string, number[]>();
      const final = new Map((await box.find().toArray()).map((order) => [order.id, order.n]));
      const total = await countUntil(bench, topic, (key) => [...final.keys()].every((id) => key.has(id)));
      for (const { key, payload } of total) published.set(key, [...(published.get(key) ?? []), payload.n as number]);
      for (const id of ids) assert.equal(published.get(id)?.at(-1), final.get(id), `the last event of ${id}`);
    });

    test("goes on in another instance when the one that publishes closes", async () => {
      const name = `conformance-${randomUUID()}`;
      const one = await bench.open({ name });
      const { box, name: collection, topic } = await orders(one);
      await box.insert({ id: "a", n: 1 });
      await using two = await bench.open({ name });
      const { box: other } = await orders(two, { name: collection, topic });
      await other.insert({ id: "b", n: 1 });
      await one.registry.close();
      await other.insert({ id: "c", n: 1 });
      const events = await bench.read(topic, 3);
      assert.deepEqual(
        events.map(({ key }) => key),
        ["a", "b", "c"],
      );
      const fences = events.map(({ record }) =>
        Number(
          Buffer.from(record.headers.find(([header]) => header === "sequence")?.[1] ?? "")
            .toString()
            .split(".")[0],
        ),
      );
      assert.ok((fences[2] ?? 0) > (fences[0] ?? 0), `the sequence does not grow with the lease: ${fences}`);
    });

    test("publishes what is pending when the registry closes", async () => {
      const service = await bench.open({ outbox: { publishWaitMs: 0, relayIntervalMs: 60_000 } });
      const { box, name } = await orders(service);
      await box.insertMany(Array.from({ length: 50 }, (_, n) => ({ id: `i${n}`, n })));
      await service.registry.close();
      const pending = (await bench.database.read(name)).filter((document) => metadataOf(document).published !== true);
      assert.deepEqual(pending, []);
      await assert.rejects(box.publishPending(), { code: "ERR_HEXKIT_CLOSED" });
    });

    test("looks once more when the registry closes, and publishes what nobody told it of", async () => {
      const service = await bench.open({ outbox: { relayIntervalMs: 60_000 } });
      service.plan.hang("dao.watch");
      const { box, name, topic } = await orders(service);
      await box.insert({ id: "a", n: 1 });
      await box.publishPending();
      const metadata = { deleted: false, published: false, correlation_id: new Uuid(newCorrelationId()), last_event_id: null };
      await bench.database.write(name, [{ _id: "b", n: 1, __metadata__: metadata }] as never);
      await service.registry.close();
      assert.equal(metadataOf(await raw(name, "b")).published, true);
      assert.deepEqual(
        (await bench.read(topic, 2)).map(({ key }) => key),
        ["a", "b"],
      );
    });

    test("feeds a read model that is kept by daoTranslator", async () => {
      await using service = await bench.open();
      const { box, topic } = await orders(service);
      const model = new Map<string, number>();
      service.registry
        .get("eventSubscriber")
        .subscribe(daoTranslator({ topic, schema, changed: (id, { n }) => void model.set(id, n), deleted: (id) => void model.delete(id) }));
      for (let n = 0; n < 10; n += 1) await box.upsert({ id: `i${n % 3}`, n });
      await box.delete("i0");
      await box.insert({ id: "end", n: 0 });
      await until("the read model", () => model.has("end") && !model.has("i0") && model.get("i1") === 7 && model.get("i2") === 8);
      assert.deepEqual([...model.keys()].sort(), ["end", "i1", "i2"]);
    });
  });
}

/** Reads more and more of a topic, until what is read satisfies. */
async function countUntil(bench: RelayBench, topic: string, isEnough: (keys: ReadonlySet<string>) => boolean) {
  for (let count = 6; ; count += 1) {
    const events = await bench.read(topic, count);
    if (isEnough(new Set(events.map(({ key }) => key)))) return events;
  }
}
