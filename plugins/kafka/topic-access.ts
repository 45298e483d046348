import {
  type CallOptions,
  type Clock,
  type PartitionExtent,
  type PartitionPosition,
  type SourceRecord,
  type TopicAccess,
  type TopicPartition,
  untilAborted,
} from "../../core/index.ts";
import type { KafkaClient } from "./connect.ts";
import { isPassing } from "./errors.ts";
import { byTopic, Group } from "./group.ts";
import { leadersOf, listOffsets } from "./positions.ts";
import type { ConfigEntry } from "./protocol.ts";
import { decodeBatches } from "./records.ts";

/** Leaders move, and topics take a moment to be led: how often and with which pause a request is made again. */
const attempts = { most: 100, pauseMs: 100 };
const fetchWaitMs = 100;
const maxFetchBytes = 10_485_760;
/** How often a broker may answer a fetch with nothing before the rest counts as compacted away. */
const mostEmpty = 20;
const topicResource = 2;
const setForTopic = 1;
const cleanupPolicy = "cleanup.policy";
const deletionMs = 30_000;

/** Topics of a cluster, seen past any group: ListOffsets, Fetch, OffsetFetch, DeleteRecords. */
export class KafkaTopicAccess implements TopicAccess {
  readonly #client: KafkaClient;
  readonly #clock: Clock;
  readonly #groups = new Map<string, Group>();

  constructor(client: KafkaClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  list(options: CallOptions): Promise<readonly string[]> {
    return this.#patiently(options, async () => [...(await this.#client.cluster.topics(null, false)).keys()].filter(isOurs));
  }

  extents(topics: readonly string[], options: CallOptions): Promise<readonly PartitionExtent[]> {
    return this.#patiently(options, async () => {
      const leaders = await this.#leaders(topics);
      const places = [...leaders].flatMap(([topic, nodes]) => nodes.map((_, partition) => ({ topic, partition })));
      if (places.length === 0) return [];
      const { cluster } = this.#client;
      const [starts, ends] = await Promise.all([
        listOffsets(cluster, places, leaders, "earliest"),
        listOffsets(cluster, places, leaders, "latest"),
      ]);
      const offsets = new Map(starts.map((at) => [nameOf(at), at.offset]));
      return ends.map(({ topic, partition, offset: end }) => ({
        topic,
        partition,
        start: Math.min(end, offsets.get(nameOf({ topic, partition })) ?? end),
        end,
      }));
    });
  }

  async *read(extent: PartitionExtent, options: CallOptions): AsyncIterable<readonly SourceRecord[]> {
    const { topic, partition, end } = extent;
    let empty = 0;
    for (let next = extent.start; next < end && empty < mostEmpty; ) {
      const { records, nextOffset } = await this.#patiently(options, () => this.#fetch({ topic, partition }, next));
      empty = nextOffset > next ? 0 : empty + 1;
      next = nextOffset;
      const within = records.filter(({ offset }) => offset < end);
      if (within.length > 0) yield within;
    }
  }

  positions(group: string, topics: readonly string[], options: CallOptions): Promise<readonly PartitionPosition[]> {
    return this.#patiently(options, async () => {
      const places = [...(await this.#leaders(topics))].flatMap(([topic, nodes]) => nodes.map((_, partition) => ({ topic, partition })));
      return places.length === 0 ? [] : this.#group(group).positions(places);
    });
  }

  async clear(extents: readonly PartitionExtent[], options: CallOptions): Promise<void> {
    const topics = [...new Set(extents.filter(({ start, end }) => start < end).map(({ topic }) => topic))];
    for (const topic of topics) {
      const places = extents.filter((at) => at.topic === topic);
      const set = await this.#patiently(options, () => this.#configs(topic));
      // Only what may be deleted is deleted.
      const isCompacted = !(set.find(({ name }) => name === cleanupPolicy)?.value ?? "delete").split(",").includes("delete");
      if (isCompacted)
        await this.#configure(topic, [...set.filter(({ name }) => name !== cleanupPolicy), { name: cleanupPolicy, value: "delete" }]);
      try {
        await this.#patiently(options, () => this.#delete(topic, places));
      } finally {
        if (isCompacted) await this.#configure(topic, set);
      }
    }
  }

  /** Of topics that exist. */
  async #leaders(topics: readonly string[]): Promise<Map<string, readonly number[]>> {
    const found = await this.#client.cluster.topics(topics, false);
    for (const { error } of found.values()) if (error !== undefined && !isMissing(error)) throw error;
    return leadersOf(new Map([...found].filter(([, { leaders }]) => leaders.length > 0)));
  }

  async #fetch(at: TopicPartition, offset: number): Promise<{ records: readonly SourceRecord[]; nextOffset: number }> {
    const { cluster, codecs, wire } = this.#client;
    const leader = (await this.#leaders([at.topic])).get(at.topic)?.[at.partition] ?? -1;
    const answer = await cluster.broker(leader, "fetch", "fetch", {
      maxWaitMs: fetchWaitMs,
      maxBytes: maxFetchBytes,
      topics: [{ topic: at.topic, partitions: [{ partition: at.partition, fetchOffset: offset, maxBytes: maxFetchBytes }] }],
    });
    const fetched = answer[0]?.partitions[0];
    const error = wire.error(fetched?.errorCode ?? 5) as (Error & { type?: string }) | undefined;
    if (error?.type === "OFFSET_OUT_OF_RANGE") {
      // Deleted meanwhile.
      const [start] = await listOffsets(cluster, [at], await this.#leaders([at.topic]), "earliest");
      return { records: [], nextOffset: Math.max(offset + 1, start?.offset ?? 0) };
    }
    if (error !== undefined || fetched === undefined) throw error;
    const decoded = await decodeBatches(fetched.batches, offset, fetched.aborted, (id, body) => codecs.decompress(id, body));
    return { records: decoded.records.map((record) => ({ ...record, ...at })), nextOffset: decoded.nextOffset };
  }

  #group(name: string): Group {
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    const { cluster, options } = this.#client;
    const group = new Group(cluster, { group: name, clientId: "", topics: [], from: "earliest" }, options);
    this.#groups.set(name, group);
    return group;
  }

  async #delete(topic: string, places: readonly PartitionExtent[]): Promise<void> {
    const leaders = (await this.#leaders([topic])).get(topic) ?? [];
    const { cluster } = this.#client;
    const nodes = new Map<number, PartitionExtent[]>();
    for (const at of places) {
      const leader = leaders[at.partition] ?? -1;
      nodes.set(leader, [...(nodes.get(leader) ?? []), at]);
    }
    await Promise.all(
      [...nodes].map(async ([node, some]) => {
        const topics = byTopic(some, ({ partition, end }) => ({ partition, offset: String(end) }));
        const answer = await cluster.broker(node, "control", "deleteRecords", { topics, timeout: deletionMs });
        for (const { errorCode } of answer.topics.flatMap(({ partitions }) => partitions)) this.#check(errorCode);
      }),
    );
  }

  /** What is set for a topic itself, the defaults of the cluster excepted, but for its policy of cleaning up. */
  async #configs(topic: string): Promise<Pick<ConfigEntry, "name" | "value">[]> {
    const { resources } = await this.#client.cluster.anyBroker("describeConfigs", { resources: [{ type: topicResource, name: topic }] });
    for (const { errorCode } of resources) this.#check(errorCode);
    const entries = resources.flatMap(({ configEntries }) => configEntries);
    return entries
      .filter(({ source, name }) => source === setForTopic || name === cleanupPolicy)
      .map(({ name, value }) => ({ name, value }));
  }

  /** Not by the caller's signal: what was changed for a moment is changed back. */
  #configure(topic: string, configEntries: readonly Pick<ConfigEntry, "name" | "value">[]): Promise<void> {
    return this.#patiently({}, async () => {
      const resources = [{ type: topicResource, name: topic, configEntries }];
      const answer = await this.#client.cluster.anyBroker("alterConfigs", { resources, validateOnly: false });
      for (const { errorCode } of answer.resources) this.#check(errorCode);
    });
  }

  #check(errorCode: number): void {
    const error = this.#client.wire.error(errorCode);
    if (error !== undefined) throw error;
  }

  async #patiently<Result>({ signal }: CallOptions, work: () => Promise<Result>): Promise<Result> {
    for (let attempt = 1; ; attempt += 1) {
      signal?.throwIfAborted();
      try {
        return await untilAborted(work(), signal);
      } catch (error) {
        if (attempt === attempts.most || !isPassing(error) || signal?.aborted || this.#client.cluster.closed) throw error;
        await this.#clock.sleep(attempts.pauseMs, signal);
      }
    }
  }
}

/** What begins with two underscores is the broker's own. */
function isOurs(topic: string): boolean {
  return !topic.startsWith("__");
}

function isMissing(error: unknown): boolean {
  return (error as { type?: unknown }).type === "UNKNOWN_TOPIC_OR_PARTITION";
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
