import {
  type CallOptions,
  type Clock,
  type EventPublisherDriver,
  type OutgoingRecord,
  type ProviderContext,
  type SendOutcome,
  untilAborted,
} from "../../core/index.ts";
import type { Cluster } from "./cluster.ts";
import type { KafkaClient } from "./connect.ts";
import { isPassing } from "./errors.ts";
import { partitionOf } from "./partitioner.ts";
import { encodeBatch, recordBytes } from "./records.ts";

/** How long a broker gets to create a topic before it counts as missing. */
const creationMs = 5_000;
const pollMs = 50;
/** After this long the partitions of a topic in use are looked up again, in case there are more of them. */
const maxAgeMs = 300_000;

interface TopicLeaders {
  leaders: readonly number[];
  /** When to look again. */
  staleAt: number;
}

export class KafkaPublisherDriver implements EventPublisherDriver {
  readonly maxRecordBytes: number;
  readonly #client: KafkaClient;
  readonly #cluster: Cluster;
  readonly #clock: Clock;
  readonly #topics = new Map<string, TopicLeaders>();
  readonly #lookups = new Map<string, Promise<void>>();

  constructor(client: KafkaClient, context: ProviderContext) {
    this.maxRecordBytes = client.options.maxMessageBytes;
    this.#client = client;
    this.#cluster = client.cluster;
    this.#clock = context.clock;
  }

  async prepare(topic: string, { signal }: CallOptions): Promise<void> {
    const known = this.#topics.get(topic);
    if (known === undefined || known.staleAt <= this.#clock.now()) await untilAborted(this.#lookUp(topic), signal);
  }

  lane(record: OutgoingRecord): string {
    const leaders = this.#topics.get(record.topic)?.leaders;
    if (leaders === undefined) throw new Error(`topic ${record.topic} has not been prepared`);
    return `${record.topic}/${partitionOf(Buffer.from(record.key), leaders.length)}`;
  }

  async send(lane: string, records: readonly OutgoingRecord[], { signal }: CallOptions): Promise<readonly SendOutcome[]> {
    const slash = lane.lastIndexOf("/");
    const topic = lane.slice(0, slash);
    const outcomes = new Map<OutgoingRecord, SendOutcome>();
    const failedKeys = new Map<string, unknown>();
    const batches = this.#split(records);
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
      const error = await untilAborted(this.#produce(topic, Number(lane.slice(slash + 1)), batch), signal).catch(
        (reason) => reason as unknown,
      );
      if (error !== undefined && batch.length > 1 && refusesContent(error)) {
        // The broker does not say which record it means.
        const half = Math.ceil(batch.length / 2);
        batches.unshift(batch.slice(0, half), batch.slice(half));
        continue;
      }
      for (const record of batch) {
        outcomes.set(record, { error });
        if (error !== undefined) failedKeys.set(record.key, error);
      }
      if (error === undefined) continue;
      if (!refusesContent(error)) this.#forget(topic);
      // What follows a failed record must not overtake it: all of it after a passing error, else what has the same key.
      for (const rest of batches) {
        for (const record of rest) {
          if (!refusesContent(error) || failedKeys.has(record.key)) outcomes.set(record, { error });
        }
      }
      const left = batches.map((rest) => rest.filter((record) => !outcomes.has(record))).filter((rest) => rest.length > 0);
      batches.splice(0, batches.length, ...left);
    }
    this.#refreshLater(topic);
    return records.map((record) => outcomes.get(record) as SendOutcome);
  }

  /** The broker's limit is on the whole batch, so that many small records may exceed it together. */
  #split(records: readonly OutgoingRecord[]): OutgoingRecord[][] {
    const batches: OutgoingRecord[][] = [];
    let bytes = Number.POSITIVE_INFINITY;
    for (const record of records) {
      const more = recordBytes(record);
      if (bytes + more > this.maxRecordBytes) {
        batches.push([]);
        bytes = 0;
      }
      batches.at(-1)?.push(record);
      bytes += more;
    }
    return batches;
  }

  /** Resolves with the error, if there is one. */
  async #produce(topic: string, partition: number, records: readonly OutgoingRecord[]): Promise<unknown> {
    const { wire, options, codec } = this.#client;
    const leader = this.#topics.get(topic)?.leaders[partition] ?? -1;
    // As "leader not available", and for a broker that has just become one and does not know the topic yet.
    const noLeader = wire.error(5);
    if (leader === -1) {
      this.#forget(topic);
      return noLeader;
    }
    const batch = await encodeBatch(records, this.#clock.now(), codec);
    const { errorCode } = await this.#cluster.broker(leader, "produce", "produce", {
      topic,
      partition,
      batch,
      timeoutMs: options.requestTimeoutMs,
    });
    const error = wire.error(errorCode) as (Error & { type?: string }) | undefined;
    return error?.type === "UNKNOWN_TOPIC_OR_PARTITION" ? noLeader : error;
  }

  #lookUp(topic: string): Promise<void> {
    const running = this.#lookups.get(topic);
    if (running !== undefined) return running;
    const lookup = this.#findTopic(topic).finally(() => this.#lookups.delete(topic));
    this.#lookups.set(topic, lookup);
    return lookup;
  }

  async #findTopic(topic: string): Promise<void> {
    const { autoCreateTopics } = this.#client.options;
    const until = this.#clock.now() + creationMs;
    for (;;) {
      const found = (await this.#cluster.topics([topic], autoCreateTopics)).get(topic);
      if (found !== undefined && found.leaders.length > 0) {
        this.#topics.set(topic, { leaders: found.leaders, staleAt: this.#clock.now() + maxAgeMs });
        return;
      }
      const error = found?.error ?? this.#client.wire.error(3);
      // A missing topic counts as passing while the broker may be creating it.
      const waits = autoCreateTopics ? isPassing(error) : (error as { type?: string }).type === "LEADER_NOT_AVAILABLE";
      if (!waits || this.#clock.now() >= until || this.#cluster.closed) throw error;
      await this.#clock.sleep(pollMs);
    }
  }

  #forget(topic: string): void {
    const known = this.#topics.get(topic);
    // The number of partitions stays known: records that wait have their lane already.
    if (known !== undefined) known.staleAt = 0;
  }

  #refreshLater(topic: string): void {
    const known = this.#topics.get(topic);
    if (known === undefined || known.staleAt === 0 || known.staleAt > this.#clock.now()) return;
    this.#lookUp(topic).catch(() => this.#forget(topic));
  }
}

/** Whether the broker refuses what was sent, as opposed to being unable to take it now. */
function refusesContent(error: unknown): boolean {
  const type = (error as { type?: string } | null)?.type;
  return type === "MESSAGE_TOO_LARGE" || type === "RECORD_LIST_TOO_LARGE" || type === "INVALID_RECORD";
}
