import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { Kafka, logLevel, Partitioners } from "kafkajs";
import {
  type Clock,
  type EventPublisherDriver,
  type EventSink,
  type EventSource,
  type EventSubscriberDriver,
  type Logger,
  type OutgoingRecord,
  type ProviderContext,
  type SourceRecord,
  type SourceTrouble,
  systemClock,
  type TopicPartition,
} from "../../core/index.ts";
import type { Cluster } from "../../plugins/kafka/cluster.ts";
import { Codecs } from "../../plugins/kafka/codecs.ts";
import { connect } from "../../plugins/kafka/connect.ts";
import { KafkaPublisherDriver } from "../../plugins/kafka/event-publisher.ts";
import { KafkaSubscriberDriver } from "../../plugins/kafka/event-subscriber.ts";
import type { KafkaOptions } from "../../plugins/kafka/options.ts";
import type { EventBroker, RawRecord } from "../../testkit/conformance/index.ts";
import { variable } from "./servers.ts";
import { createTopicAs } from "./topics.ts";

/** How long a test waits for what must happen. */
const patienceMs = 60_000;

export const servers = {
  get plain(): string[] {
    return variable("KAFKA_BROKERS").split(",");
  },
  get saslPlaintext(): string[] {
    return variable("KAFKA_SASL_PLAINTEXT").split(",");
  },
  get tls(): string[] {
    return variable("KAFKA_SSL").split(",");
  },
  get saslTls(): string[] {
    return variable("KAFKA_SASL_SSL").split(",");
  },
  get mutualTls(): string[] {
    return variable("KAFKA_MTLS").split(",");
  },
  get user(): { username: string; password: string } {
    return { username: variable("KAFKA_USER"), password: variable("KAFKA_PASSWORD") };
  },
  get ca(): string {
    return readFileSync(variable("KAFKA_CA_FILE"), "utf8");
  },
  get clientCertificate(): { cert: string; key: string } {
    return {
      cert: readFileSync(variable("KAFKA_CLIENT_CERT_FILE"), "utf8"),
      key: readFileSync(variable("KAFKA_CLIENT_KEY_FILE"), "utf8"),
    };
  },
};

/** The options with their defaults, as the configuration would hand them over. Sessions are short, so that a test can outlive one. */
function kafkaOptions(options: Partial<KafkaOptions> = {}): KafkaOptions {
  return {
    brokers: servers.plain,
    compression: "none",
    maxMessageBytes: 1_048_576,
    autoCreateTopics: true,
    connectTimeoutMs: 5_000,
    requestTimeoutMs: 30_000,
    sessionTimeoutMs: 6_000,
    heartbeatIntervalMs: 200,
    rebalanceTimeoutMs: 30_000,
    ...options,
  };
}

export interface LogLine {
  readonly level: string;
  readonly fields: object;
  readonly message: string;
}

export interface Provider extends AsyncDisposable {
  readonly publisher: EventPublisherDriver;
  readonly subscriber: EventSubscriberDriver;
  readonly cluster: Cluster;
  readonly lines: readonly LogLine[];
  ping(signal?: AbortSignal): Promise<void>;
}

/** The bare drivers over a connected provider. */
export async function openProvider(
  options: Partial<KafkaOptions> = {},
  { clock = systemClock, codecs = new Codecs() }: { clock?: Clock; codecs?: Codecs } = {},
): Promise<Provider> {
  const lines: LogLine[] = [];
  const closing = new AbortController();
  const context: ProviderContext = {
    provider: "events",
    plugin: "kafka",
    service: { name: "tested", instance: "001" },
    logger: recordingLogger(lines),
    clock,
    signal: closing.signal,
    scope: {},
  };
  const client = await connect(kafkaOptions(options), context, codecs);
  return {
    publisher: new KafkaPublisherDriver(client, context),
    subscriber: new KafkaSubscriberDriver(client, context),
    cluster: client.cluster,
    lines,
    ping: (signal = closing.signal) => client.ping(signal),
    [Symbol.asyncDispose]: async () => {
      closing.abort();
      await client.close();
    },
  };
}

function recordingLogger(lines: LogLine[]): Logger {
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

export function uniqueName(what = "topic"): string {
  return `${what}-${randomUUID()}`;
}

/** Waits until `condition` holds; fails, naming `what`, when that takes too long. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${patienceMs} ms for ${what}`);
    await systemClock.sleep(5);
  }
}

/** kafkajs as its makers meant it: the independent client that looks at what the plugin did. */
export function bareKafkajs(brokers = servers.plain): Kafka {
  return new Kafka({ clientId: "bare", brokers, logLevel: logLevel.NOTHING });
}

/** Resolves when every partition has a leader. */
export async function createTopic(topic: string, partitions = 1, brokers = servers.plain): Promise<void> {
  const admin = bareKafkajs(brokers).admin();
  try {
    await admin.connect();
    await createTopicAs(admin, topic, partitions);
  } finally {
    await admin.disconnect();
  }
}

export async function committedOffsets(group: string, topic: string): Promise<Map<number, number>> {
  const admin = bareKafkajs().admin();
  await admin.connect();
  const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
  await admin.disconnect();
  return new Map(found?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
}

/** The broker as the conformance suites want it. */
export async function openEventBroker(options: Partial<KafkaOptions> = {}): Promise<EventBroker> {
  const kafka = bareKafkajs();
  const admin = kafka.admin();
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  const raised = (compression: KafkaOptions["compression"]) => ({ ...kafkaOptions(), compression, maxMessageBytes: 10_000_000 });
  await Promise.all([admin.connect(), producer.connect()]);
  return {
    options: { ...kafkaOptions(), ...options },
    ways: {
      "several addresses, the first of which is dead": { ...kafkaOptions(), brokers: ["127.0.0.1:1", ...servers.plain] },
      "TLS with a client certificate": {
        ...kafkaOptions(),
        brokers: servers.mutualTls,
        tls: { enabled: true, ca: servers.ca, ...servers.clientCertificate },
      },
    },
    raised: {
      payloadBytes: 3_000_000,
      uncompressed: raised("none"),
      compressed: Object.fromEntries((["gzip", "snappy", "lz4", "zstd"] as const).map((codec) => [codec, raised(codec)])),
    },
    createTopic: (topic, partitions) => createTopicAs(admin, topic, partitions),
    append: async (topic, records) => {
      await producer.send({ topic, messages: records.map(toMessage) });
    },
    close: async () => {
      await Promise.all([admin.disconnect(), producer.disconnect()]);
    },
  };
}

function toMessage({ key, value, headers = [] }: RawRecord): {
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, Buffer[]>;
} {
  const bytes = (content: string | Uint8Array): Buffer => Buffer.from(content as string);
  const grouped: Record<string, Buffer[]> = {};
  for (const [name, content] of headers) {
    if (content === null) throw new Error("kafkajs cannot write a header that is null");
    grouped[name] = [...(grouped[name] ?? []), bytes(content)];
  }
  return { key: key === null ? null : bytes(key), value: value === null ? null : bytes(value), headers: grouped };
}

export function outgoing(topic: string, key: string, value: string, headers: OutgoingRecord["headers"] = []): OutgoingRecord {
  return { topic, key, value, headers };
}

/** Sends as core does: in order per lane, with retries of what may pass. Fails with what does not. */
export async function sendAll(publisher: EventPublisherDriver, records: readonly OutgoingRecord[]): Promise<void> {
  const deadline = Date.now() + patienceMs;
  const passes = (error: unknown): boolean => Date.now() < deadline && (error as { retriable?: boolean }).retriable !== false;
  for (let left = records; left.length > 0; ) {
    try {
      for (const topic of new Set(left.map((record) => record.topic))) await publisher.prepare(topic, {});
    } catch (error) {
      if (!passes(error)) throw error;
      await systemClock.sleep(100);
      continue;
    }
    const lanes = new Map<string, OutgoingRecord[]>();
    for (const record of left) lanes.set(publisher.lane(record), [...(lanes.get(publisher.lane(record)) ?? []), record]);
    const outcomes = await Promise.all([...lanes].map(async ([lane, batch]) => [batch, await publisher.send(lane, batch, {})] as const));
    const failed = outcomes.flatMap(([batch, sent]) =>
      batch.flatMap((record, index) => (sent[index]?.error === undefined ? [] : [{ record, error: sent[index].error }])),
    );
    const [first] = failed;
    if (first !== undefined && !passes(first.error)) throw first.error;
    left = failed.map(({ record }) => record);
  }
}

/** A member of a group that notes what its source tells it. */
export class Reader implements EventSink {
  readonly seen: SourceRecord[] = [];
  readonly troubles: (SourceTrouble | undefined)[] = [];
  readonly failures: unknown[] = [];
  readonly revocations: { partitions: readonly TopicPartition[]; lost: boolean }[] = [];
  assignments = 0;
  held: readonly TopicPartition[] = [];
  /** What had been seen before the last assignment. */
  seenBefore = 0;
  source!: EventSource;
  /** What is done with records, and before partitions are given up. */
  onRecords: (records: readonly SourceRecord[]) => void = () => {};
  onRevoked: () => Promise<void> = async () => {};

  static async join(
    driver: EventSubscriberDriver,
    group: string,
    topics: readonly string[],
    setup: (reader: Reader) => void = () => {},
  ): Promise<Reader> {
    const reader = new Reader();
    setup(reader);
    reader.source = await driver.join({ group, clientId: "tested.001", topics, from: "earliest" }, reader);
    return reader;
  }

  assigned(partitions: readonly TopicPartition[]): void {
    this.assignments += 1;
    this.held = partitions;
    this.seenBefore = this.seen.length;
  }

  records(_partition: TopicPartition, records: readonly SourceRecord[]): void {
    this.seen.push(...records);
    this.onRecords(records);
  }

  async revoked(partitions: readonly TopicPartition[], { lost }: { lost: boolean }): Promise<void> {
    this.revocations.push({ partitions, lost });
    await this.onRevoked();
    this.held = [];
  }

  trouble(trouble: SourceTrouble | undefined): void {
    this.troubles.push(trouble);
  }

  failed(error: unknown): void {
    this.failures.push(error);
  }

  get values(): string[] {
    return this.seen.map(({ value }) => text(value));
  }
}

export function text(bytes: Uint8Array | null | undefined): string {
  return bytes === null || bytes === undefined ? String(bytes) : Buffer.from(bytes).toString("utf8");
}
