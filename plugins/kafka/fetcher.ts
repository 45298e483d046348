import type { Clock, EventSink, Logger, TopicPartition, Troubles } from "../../core/index.ts";
import type { Assignment, OwnedPartition } from "./assignment.ts";
import { Attempts } from "./attempts.ts";
import type { Cluster } from "./cluster.ts";
import { isPassing } from "./errors.ts";
import { byTopic } from "./group.ts";
import { leadersOf, listOffsets } from "./positions.ts";
import type { Requests } from "./protocol.ts";
import { decodeBatches } from "./records.ts";

const maxWaitMs = 500;
/** While partitions of a broker rest: how long one that is resumed may wait for the request under way. */
const pausedWaitMs = 100;
const maxBytes = 10_485_760;

type FetchedPartition = Requests["fetch"][1][number]["partitions"][number];

export interface FetcherSurroundings {
  readonly sink: EventSink;
  readonly troubles: Troubles;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly maxPartitionBytes: number;
  decompress(codecId: number, records: Buffer): Promise<Buffer>;
}

/** Reads the partitions of one assignment: one loop per broker, so that a slow or lost one holds up only what it leads. */
export class Fetcher {
  readonly #cluster: Cluster;
  readonly #assignment: Assignment;
  readonly #sink: EventSink;
  readonly #troubles: Troubles;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #maxPartitionBytes: number;
  readonly #decompress: FetcherSurroundings["decompress"];
  readonly #loops = new Map<number, Promise<void>>();

  constructor(cluster: Cluster, assignment: Assignment, surroundings: FetcherSurroundings) {
    this.#cluster = cluster;
    this.#assignment = assignment;
    this.#sink = surroundings.sink;
    this.#troubles = surroundings.troubles;
    this.#clock = surroundings.clock;
    this.#logger = surroundings.logger;
    this.#maxPartitionBytes = surroundings.maxPartitionBytes;
    this.#decompress = surroundings.decompress;
  }

  /** Takes over who leads what, and reads from there. */
  lead(leaders: ReadonlyMap<string, readonly number[]>): void {
    for (const owned of this.#assignment.partitions.values()) {
      owned.leader = leaders.get(owned.at.topic)?.[owned.at.partition] ?? -1;
      if (owned.leader >= 0 && !this.#loops.has(owned.leader)) this.#start(owned.leader);
    }
    this.#assignment.wake();
  }

  #start(node: number): void {
    const loop = this.#read(node).catch((error) => this.#assignment.end({ lost: false, error }));
    this.#loops.set(
      node,
      loop.finally(() => this.#loops.delete(node)),
    );
  }

  async #read(node: number): Promise<void> {
    const { signal } = this.#assignment.fetching;
    const attempts = new Attempts(this.#troubles, this.#clock, `broker ${node}`, "cannot read");
    let turn = 0;
    // Kafka 4.3 does not wake the first request for a partition when its first record comes: it lasts as long as it may.
    let first = true;
    while (!signal.aborted) {
      const led = [...this.#assignment.partitions.values()].filter((owned) => owned.leader === node);
      if (led.length === 0) break;
      // What rests is read ahead, so that it can go on at once; not all of it, for there may be many.
      const room = led.reduce((bytes, owned) => bytes + owned.aheadBytes, 0) < maxBytes;
      const wanted = led.filter((owned) => !owned.paused || (room && owned.aheadBytes === 0));
      if (wanted.length === 0) {
        await this.#assignment.sleep();
        continue;
      }
      try {
        // Another one first each time: the answer may be full before the last has had its turn.
        turn = (turn + 1) % wanted.length;
        const waitMs = first ? 0 : wanted.length < led.length ? pausedWaitMs : maxWaitMs;
        const answer = await this.#fetch(node, [...wanted.slice(turn), ...wanted.slice(0, turn)], waitMs);
        first = false;
        for (const { topic, partitions } of answer) {
          for (const fetched of partitions) await this.#take(node, { topic, partition: fetched.partition }, fetched);
        }
        attempts.succeeded();
      } catch (error) {
        if (signal.aborted) break;
        if (!isPassing(error)) throw error;
        await attempts.failed(error, signal);
        if (!signal.aborted) await this.#findLeaders();
      }
    }
    attempts.succeeded();
  }

  #fetch(node: number, wanted: readonly OwnedPartition[], waitMs: number): Promise<Requests["fetch"][1]> {
    return this.#cluster.broker(node, "fetch", "fetch", {
      maxWaitMs: waitMs,
      maxBytes,
      topics: byTopic(
        wanted.map((owned) => ({ ...owned.at, owned })),
        ({ partition, owned }) => ({ partition, fetchOffset: owned.position, maxBytes: this.#maxPartitionBytes }),
      ),
    });
  }

  async #take(node: number, at: TopicPartition, fetched: FetchedPartition): Promise<void> {
    const owned = this.#assignment.partition(at);
    // Moved to another broker meanwhile, and read there.
    if (owned === undefined || owned.leader !== node) return;
    const error = this.#cluster.wire.error(fetched.errorCode) as (Error & { type?: string }) | undefined;
    if (error?.type === "OFFSET_OUT_OF_RANGE") return this.#startOver(owned);
    if (error !== undefined) throw error;
    owned.highWatermark = fetched.highWatermark;
    const { records, nextOffset } = await decodeBatches(fetched.batches, owned.position, fetched.aborted, this.#decompress);
    if (this.#assignment.fetching.signal.aborted) return;
    owned.read(records, nextOffset, fetched.batches.length);
    owned.release(this.#sink);
  }

  /** What the group has read up to is no longer there. From the earliest on, since the latest would skip what nobody has seen. */
  async #startOver(owned: OwnedPartition): Promise<void> {
    const [found] = await listOffsets(this.#cluster, [owned.at], new Map([[owned.at.topic, leaderAt(owned)]]), "earliest");
    if (found === undefined || this.#assignment.fetching.signal.aborted) return;
    this.#logger.warn({ ...owned.at, from: owned.position, to: found.offset }, "position out of range, going on from the earliest record");
    owned.position = found.offset;
  }

  async #findLeaders(): Promise<void> {
    const topics = [...new Set([...this.#assignment.partitions.values()].map((owned) => owned.at.topic))];
    const found = await this.#cluster.topics(topics, false).catch(() => undefined);
    if (found !== undefined) this.lead(leadersOf(new Map([...found].filter(([, { leaders }]) => leaders.length > 0))));
  }
}

function leaderAt(owned: OwnedPartition): readonly number[] {
  const leaders: number[] = [];
  leaders[owned.at.partition] = owned.leader;
  return leaders;
}
