import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { newCorrelationId, type Registry } from "hexkit";
import { emptyBuckets, emptyCollections, expectEvents, openTestRegistry, publishEvents, recordEvents, settled } from "hexkit/testkit";
import { bareKafkajs, createTopic, servers, uniqueName } from "./kafka.ts";
import { databaseName, mongodbDsn, openMongo } from "./mongodb.ts";
import { variable } from "./servers.ts";

const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A service of its own, whose events go through Kafka and the rest through what is given. */
function open(protocols: object = {}, env: Record<string, string> = {}, name = uniqueName("service")): Promise<Registry> {
  return openTestRegistry(
    { service: { name }, protocols: { eventPublisher: "memory", eventSubscriber: { provider: "memory", retryDelayMs: 1 }, ...protocols } },
    {
      logger,
      env: {
        HEXKIT_EVENT_PUBLISHER: "kafka",
        HEXKIT_EVENT_SUBSCRIBER: "kafka",
        HEXKIT_KAFKA_BROKERS: servers.plain.join(","),
        HEXKIT_KAFKA_SESSION_TIMEOUT_MS: "6000",
        HEXKIT_KAFKA_HEARTBEAT_INTERVAL_MS: "200",
        ...env,
      },
    },
  );
}

const event = (n: number, key = `k${n}`) => ({ type: "tested", key, payload: { n } });
const numbers = Array.from({ length: 40 }, (_, n) => n);

describe("the test kit on real servers", () => {
  it("Kafka: everything published is handled once settled resolves, retries, dead letters and what handlers publish included", async () => {
    await using registry = await open();
    const [first, second, results] = [uniqueName(), uniqueName(), uniqueName()];
    const letters: unknown[] = [];
    const subscriber = registry.get("eventSubscriber");
    const handOn = (topic: string) => ({
      types: ["tested"],
      consume: async ({ key, payload }: { key: string; payload: unknown }) => {
        if (key === "bad") throw new Error("no");
        await registry.get("eventPublisher").publish({ topic, type: "tested", key, payload: payload as never });
      },
    });
    subscriber.subscribe({ topics: [first], ...handOn(second) }, { maxRetries: 2, deadLetter: true });
    subscriber.subscribe({ topics: [second], ...handOn(results) }, { group: uniqueName("group") });
    subscriber.subscribeDeadLetters(({ payload }) => void letters.push(payload));
    for (const round of [1, 2]) {
      const expected = numbers.map((n) => event(n));
      await expectEvents(registry, results, expected, async () => {
        await publishEvents(registry, first, [...expected, event(round, "bad")]);
        await settled(registry, { timeoutMs: 60_000 });
      });
    }
    assert.deepEqual(letters, [{ n: 1 }, { n: 2 }]);
  });

  it("Kafka: other members of the group count", async () => {
    const name = uniqueName("service");
    await using one = await open({}, {}, name);
    await using two = await open({}, {}, name);
    const topic = uniqueName();
    await createTopic(topic, 4);
    const seen: unknown[] = [];
    for (const registry of [one, two]) {
      registry.get("eventSubscriber").subscribe({ topics: [topic], types: ["tested"], consume: ({ payload }) => void seen.push(payload) });
    }
    await publishEvents(
      one,
      topic,
      numbers.map((n) => event(n)),
    );
    await settled(one, { timeoutMs: 60_000 });
    assert.equal(seen.length, numbers.length);
  });

  it("Kafka: the marks that transactions leave in a topic hold nothing up", async () => {
    await using registry = await open();
    const topic = uniqueName();
    await createTopic(topic, 1);
    const seen: unknown[] = [];
    registry.get("eventSubscriber").subscribe({ topics: [topic], types: ["tested"], consume: ({ payload }) => void seen.push(payload) });
    const recording = await recordEvents(registry, topic);
    const producer = bareKafkajs().producer({ transactionalId: randomUUID(), idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    try {
      for (const outcome of ["commit", "abort"] as const) {
        const transaction = await producer.transaction();
        const headers = { type: "tested", event_id: randomUUID(), correlation_id: newCorrelationId() };
        await transaction.send({ topic, messages: [{ key: "k", value: JSON.stringify({ outcome }), headers }] });
        await transaction[outcome]();
      }
    } finally {
      await producer.disconnect();
    }
    await settled(registry, { timeoutMs: 60_000 });
    assert.deepEqual(seen, [{ outcome: "commit" }]);
    expectEvents(await recording.stop(), [{ type: "tested", payload: { outcome: "commit" } }]);
  });

  it("MongoDB and Kafka: outboxes have published, and their events are handled; collections are emptied", async () => {
    const database = databaseName();
    await using mongo = await openMongo(database);
    const env = {
      HEXKIT_DAO: "mongodb",
      HEXKIT_MIGRATIONS: "mongodb",
      HEXKIT_MONGODB_DSN: mongodbDsn(),
      HEXKIT_MONGODB_DATABASE: database,
      HEXKIT_OUTBOX_PUBLISH_WAIT_MS: "0",
    };
    await using registry = await open({ dao: "memory", migrations: "memory", outbox: {} }, env);
    const topic = uniqueName();
    const seen: unknown[] = [];
    registry.get("eventSubscriber").subscribe({ topics: [topic], types: ["upserted"], consume: ({ key }) => void seen.push(key) });
    await registry.get("migrations").run({ target: 1, steps: [] });
    const schema = { type: "object", required: ["id"], properties: { id: { type: "string" } } } as const;
    const users = await registry.get("outbox").open({ name: "users", idField: "id", schema, topic, toEvent: ({ id }) => ({ id }) });
    const plain = await registry.get("dao").open({ name: "plain", idField: "id", schema });
    for (const id of ["a", "b", "c"]) await users.upsert({ id });
    await plain.insert({ id: "x" });
    await settled(registry, { timeoutMs: 60_000 });
    assert.deepEqual(seen.sort(), ["a", "b", "c"]);

    await emptyCollections(registry, ["plain", "missing"]);
    assert.deepEqual([await users.count(), await plain.count()], [3, 0]);
    await emptyCollections(registry, "all");
    assert.equal(await users.count(), 0);
    assert.equal(await registry.get("migrations").version(), 1, "what migrations remember stays");
    const leases = mongo.client.db(database).collection("hexkit_leases");
    assert.ok((await leases.countDocuments()) > 0, "leases stay, since they count");
    await users.upsert({ id: "d" });
    await settled(registry, { timeoutMs: 60_000 });
    assert.deepEqual(seen, ["a", "b", "c", "d"]);
  });

  it("S3: buckets are emptied, open uploads included", async () => {
    const env = {
      HEXKIT_OBJECT_STORAGE: "s3",
      HEXKIT_S3_ENDPOINT: variable("MINIO_ENDPOINT"),
      HEXKIT_S3_ACCESS_KEY_ID: variable("MINIO_ACCESS_KEY_ID"),
      HEXKIT_S3_SECRET_ACCESS_KEY: variable("MINIO_SECRET_ACCESS_KEY"),
      HEXKIT_S3_REGION: variable("MINIO_REGION"),
    };
    await using registry = await openTestRegistry({ protocols: { objectStorage: "memory" } }, { env, logger });
    const storage = registry.get("objectStorage");
    const bucket = `testkit-${randomUUID().slice(0, 8)}`;
    await storage.createBucket(bucket);
    for (const n of numbers) await storage.put(bucket, `folder/${n}`, "content");
    const upload = await storage.multipart.start(bucket, "big");
    await emptyBuckets(registry, [bucket]);
    for await (const { key } of storage.list(bucket)) assert.fail(`${key} is still there`);
    await assert.rejects(storage.multipart.listParts(upload), { code: "ERR_HEXKIT_UPLOAD_NOT_FOUND" });
    await storage.deleteBucket(bucket);
  });
});
