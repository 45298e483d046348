import { randomUUID } from "node:crypto";
import { type EventSubscriber, openRegistry, type Registry, type SubscriberSettings } from "hexkit";
import { type Consumer, Kafka, logLevel, Partitioners, type Producer } from "kafkajs";
import { withKafka } from "./broker.ts";
import { compare, show, spread } from "./stats.ts";
import { inParallel, inTurns, perSecond } from "./turns.ts";

const runs = 5;
const partitions = 3;
const concurrentEvents = 20_000;
const awaitedEvents = 2_000;
const storedEvents = 120_000;
const waitingEvents = 20_000;
/** 256 bytes of JSON. */
const payload = { text: "x".repeat(245) };
const type = "measured";
const keys = 64;

/** Publishing and consuming through a registry and by kafkajs alone, in turns, on `HEXKIT_TEST_KAFKA_BROKERS` or a broker of its own. */
export async function benchKafka(): Promise<void> {
  await withKafka(async (brokers) => {
    const kafka = new Kafka({ clientId: "bench", brokers: [...brokers], logLevel: logLevel.NOTHING });
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await using registry = await openKafka(brokers);
    await producer.connect();
    try {
      await benchPublish(kafka, producer, registry);
      await benchConsume(kafka, producer, registry);
    } finally {
      await producer.disconnect();
    }
  });
}

function openKafka(brokers: readonly string[]): Promise<Registry> {
  return openRegistry({
    config: {
      service: { name: "bench" },
      log: { level: "silent" },
      providers: { kafka: { plugin: "kafka", options: { brokers: [...brokers] } } },
      protocols: { eventPublisher: "kafka", eventSubscriber: "kafka" },
    },
    env: {},
  });
}

async function benchPublish(kafka: Kafka, producer: Producer, registry: Registry): Promise<void> {
  const publisher = registry.get("eventPublisher");
  const topic = await newTopic(kafka);
  const ours = (index: number): Promise<void> => publisher.publish({ topic, type, key: `key-${index % keys}`, payload });
  const bare = (index: number): Promise<unknown> => producer.send({ topic, messages: [message(index)] });
  await perSecond(2_000, () => inParallel(2_000, 100, ours));
  await perSecond(2_000, () => inParallel(2_000, 100, bare));
  for (const [what, count, callers] of [
    ["publish, 100 callers", concurrentEvents, 100],
    ["publish, one awaited", awaitedEvents, 1],
  ] as const) {
    const figures = await inTurns(
      () => perSecond(count, () => inParallel(count, callers, ours)),
      () => perSecond(count, () => inParallel(count, callers, bare)),
    );
    console.log(`kafka: ${what.padEnd(22)} ${compare(figures, "kafkajs send", "/s")}`);
  }
}

async function benchConsume(kafka: Kafka, producer: Producer, registry: Registry): Promise<void> {
  const subscriber = registry.get("eventSubscriber");
  const topic = await newTopic(kafka);
  for (let at = 0; at < storedEvents; at += 1_000) {
    await producer.send({ topic, messages: Array.from({ length: 1_000 }, (_, index) => message(at + index)) });
  }
  const empty = await inTurns(
    () => consumeOurs(subscriber, topic, storedEvents, () => {}, {}),
    () => consumeBare(kafka, topic, storedEvents),
  );
  console.log(`kafka: ${"consume, empty handler".padEnd(22)} ${compare(empty, "kafkajs eachBatch", "/s")}`);
  const waits = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
  const slow: number[] = [];
  for (let run = 0; run < runs; run += 1) slow.push(await consumeOurs(subscriber, topic, waitingEvents, waits, { concurrency: 64 }));
  console.log(`kafka: ${"consume, handler 5 ms".padEnd(22)} ${show(spread(slow), "/s", 0)}, 64 keys, concurrency 64`);
}

/** Events a second from the first one handled until `count` are. */
function consumeOurs(
  subscriber: EventSubscriber,
  topic: string,
  count: number,
  handle: () => void | Promise<void>,
  settings: Partial<SubscriberSettings>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const clock = stopwatch(count);
    const subscription = subscriber.subscribe(
      {
        topics: [topic],
        types: [type],
        consume: async () => {
          clock.begin();
          const waiting = handle();
          if (waiting !== undefined) await waiting;
          if (clock.counted()) void subscription.stop().then(() => resolve(clock.perSecond()));
        },
      },
      { ...settings, group: randomUUID() },
    );
    subscription.done.catch(reject);
  });
}

/** The same by kafkajs: decodes JSON and headers, hands each to a function, commits once per batch. */
async function consumeBare(kafka: Kafka, topic: string, count: number): Promise<number> {
  const consumer: Consumer = kafka.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 500 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const clock = stopwatch(count);
  const decoded = { last: undefined as unknown };
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: partitions,
        eachBatch: async ({ batch, resolveOffset }) => {
          let end = false;
          for (const each of batch.messages) {
            clock.begin();
            const headers = Object.fromEntries(Object.entries(each.headers ?? {}).map(([name, value]) => [name, String(value)]));
            decoded.last = { key: String(each.key), payload: JSON.parse(String(each.value)), headers };
            resolveOffset(each.offset);
            end = clock.counted() || end;
          }
          await consumer.commitOffsets([{ topic, partition: batch.partition, offset: String(BigInt(batch.lastOffset()) + 1n) }]);
          if (end) resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  return clock.perSecond();
}

/** Measures from the first event until the last is counted. */
function stopwatch(count: number): { begin(): void; counted(): boolean; perSecond(): number } {
  let left = count;
  let started: number | undefined;
  let ended = 0;
  return {
    begin: () => {
      started ??= performance.now();
    },
    counted: () => {
      left -= 1;
      if (left === 0) ended = performance.now();
      return left === 0;
    },
    perSecond: () => (count * 1_000) / (ended - (started as number)),
  };
}

function message(index: number): { key: string; value: string; headers: Record<string, string> } {
  const headers = { type, event_id: randomUUID(), correlation_id: randomUUID() };
  return { key: `key-${index % keys}`, value: JSON.stringify(payload), headers };
}

async function newTopic(kafka: Kafka): Promise<string> {
  const topic = randomUUID();
  const admin = kafka.admin();
  try {
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: true });
    // A leader that is named may not know it yet: only one that answers takes records.
    await admin.fetchTopicOffsets(topic);
  } finally {
    await admin.disconnect();
  }
  return topic;
}
