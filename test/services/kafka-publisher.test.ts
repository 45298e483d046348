import assert from "node:assert/strict";
import { test } from "node:test";
import { partitionOf } from "../../plugins/kafka/partitioner.ts";
import { bareKafkajs, createTopic, openProvider, outgoing, Reader, sendAll, text, uniqueName, until } from "./kafka.ts";

const isCode =
  (type: string) =>
  (error: unknown): boolean =>
    (error as { type?: string }).type === type;

test("records arrive as they were sent, headers in order and repeated", async () => {
  await using provider = await openProvider();
  const topic = uniqueName();
  await createTopic(topic);
  const headers = [
    ["b", "1"],
    ["a", ""],
    ["b", "2"],
    ["7", "x"],
  ] as const;
  await sendAll(provider.publisher, [outgoing(topic, "", "{}", headers), outgoing(topic, "k", '"\\u00e4"')]);
  const reader = await Reader.join(provider.subscriber, uniqueName("group"), [topic]);
  await until("both records", () => reader.seen.length === 2);
  await reader.source.leave();
  const [first, second] = reader.seen;
  assert.deepEqual([first?.offset, text(first?.key), text(first?.value)], [0, "", "{}"]);
  assert.deepEqual(
    first?.headers.map(([name, value]) => [name, text(value)]),
    headers,
  );
  assert.deepEqual([second?.offset, text(second?.key), text(second?.value), second?.headers.length], [1, "k", '"\\u00e4"', 0]);
});

test("a missing topic is created by the broker where that is wanted", async () => {
  await using provider = await openProvider();
  const topic = uniqueName();
  await sendAll(provider.publisher, [outgoing(topic, "k", "1")]);
  const reader = await Reader.join(provider.subscriber, uniqueName("group"), [topic]);
  await until("the record", () => reader.seen.length === 1);
  await reader.source.leave();
});

test("a missing topic is an error at once where the broker must not create it", async () => {
  await using provider = await openProvider({ autoCreateTopics: false });
  const begin = performance.now();
  await assert.rejects(provider.publisher.prepare(uniqueName(), {}), isCode("UNKNOWN_TOPIC_OR_PARTITION"));
  const tookMs = performance.now() - begin;
  assert.ok(tookMs < 2_000, `${tookMs} ms`);
});

test("a topic's name that Kafka does not allow is refused", async () => {
  await using provider = await openProvider();
  await assert.rejects(provider.publisher.prepare("not a topic!", {}), isCode("INVALID_TOPIC_EXCEPTION"));
});

test("a lane is the partition that kafkajs's default partitioner, and so Java's, would choose", async () => {
  await using provider = await openProvider();
  const topic = uniqueName();
  await createTopic(topic, 7);
  const keys = Array.from({ length: 100 }, (_, index) => `key-${index}-${"x".repeat(index % 9)}`);
  const producer = bareKafkajs().producer();
  await producer.connect();
  await producer.send({ topic, messages: keys.map((key) => ({ key, value: key })) });
  await producer.disconnect();
  await provider.publisher.prepare(topic, {});
  const reader = await Reader.join(provider.subscriber, uniqueName("group"), [topic]);
  await until("all records", () => reader.seen.length === keys.length);
  await reader.source.leave();
  for (const record of reader.seen) {
    assert.equal(provider.publisher.lane(outgoing(topic, text(record.key), "1")), `${topic}/${record.partition}`, text(record.key));
    assert.equal(partitionOf(record.key as Uint8Array, 7), record.partition);
  }
});

test("many small records whose sum exceeds the broker's limit are sent as several batches, in order", async () => {
  await using provider = await openProvider();
  const topic = uniqueName();
  await createTopic(topic);
  const records = Array.from({ length: 300 }, (_, index) => outgoing(topic, "k", `"${index}${".".repeat(10_000)}"`));
  await sendAll(provider.publisher, records);
  const reader = await Reader.join(provider.subscriber, uniqueName("group"), [topic]);
  await until("all records", () => reader.seen.length === records.length);
  await reader.source.leave();
  assert.deepEqual(
    reader.values,
    records.map((record) => record.value),
  );
});

test("of one send, only the record that the broker finds too large fails, and what has its key", async () => {
  await using provider = await openProvider({ maxMessageBytes: 10_000_000 });
  const topic = uniqueName();
  await createTopic(topic);
  const large = `"${"x".repeat(1_100_000)}"`;
  const records = [
    outgoing(topic, "a", "1"),
    outgoing(topic, "b", large),
    outgoing(topic, "a", "2"),
    outgoing(topic, "b", "3"),
    outgoing(topic, "c", "4"),
  ];
  // A fresh leader may refuse the first batch for a moment.
  await sendAll(provider.publisher, [outgoing(topic, "z", "0")]);
  const outcomes = await provider.publisher.send(`${topic}/0`, records, {});
  assert.deepEqual(
    outcomes.map(({ error }) => (error as { type?: string } | undefined)?.type),
    [undefined, "MESSAGE_TOO_LARGE", undefined, "MESSAGE_TOO_LARGE", undefined],
  );
  const reader = await Reader.join(provider.subscriber, uniqueName("group"), [topic]);
  await until("the others", () => reader.seen.length === 4);
  await reader.source.leave();
  assert.deepEqual(reader.values, ["0", "1", "2", "4"]);
});

test("kafkajs reads gzip batches", async () => {
  await using provider = await openProvider({ compression: "gzip" });
  const topic = uniqueName();
  await createTopic(topic);
  const text = "x".repeat(10_000);
  await sendAll(provider.publisher, [outgoing(topic, "k", text, [["h", "1"]])]);
  const consumer = bareKafkajs().consumer({ groupId: uniqueName("group"), maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const value = await new Promise<string>((resolve) => {
    void consumer.run({ eachMessage: async ({ message }) => resolve(String(message.value)) });
  });
  await consumer.disconnect();
  assert.equal(value, text);
});

test("a call ends when its signal aborts, without waiting for the broker", async () => {
  await using provider = await openProvider();
  const aborted = AbortSignal.abort(new Error("enough"));
  await assert.rejects(provider.publisher.prepare(uniqueName(), { signal: aborted }), /enough/);
  const topic = uniqueName();
  await sendAll(provider.publisher, [outgoing(topic, "k", "1")]);
  const lane = provider.publisher.lane(outgoing(topic, "k", "2"));
  const [outcome] = await provider.publisher.send(lane, [outgoing(topic, "k", "2")], { signal: aborted });
  assert.match(String(outcome?.error), /enough/);
});
