import type {
  CallOptions,
  Clock,
  EventSink,
  EventSource,
  EventSubscriberDriver,
  JoinRequest,
  ProviderContext,
  SourceRecord,
  TopicPartition,
} from "../../core/index.ts";
import { Assignment, OwnedPartition, ownerOf } from "./assignment.ts";
import type { Cluster } from "./cluster.ts";
import { type KafkaClient, untilAborted } from "./connect.ts";
import { isPassing } from "./errors.ts";
import { Fetcher, listOffsets } from "./fetcher.ts";
import { Group, type Membership, meansLost, meansRebalance, type Position } from "./group.ts";
import { Troubles } from "./troubles.ts";

const retryMs = 100;
const maxRetryMs = 2_000;
/** Failures in a row before anyone is told: a new group's coordinator takes a moment to appear. */
const quietFailures = 3;
const missingTopicMs = 1_000;
const newPartitionsMs = 30_000;
const leaveMs = 1_000;

export class KafkaSubscriberDriver implements EventSubscriberDriver {
  readonly #client: KafkaClient;
  readonly #context: ProviderContext;

  constructor(client: KafkaClient, context: ProviderContext) {
    this.#client = client;
    this.#context = context;
  }

  async join(request: JoinRequest, sink: EventSink): Promise<EventSource> {
    const source = new KafkaSource(this.#client, this.#context, request, sink);
    await source.start();
    return source;
  }
}

class KafkaSource implements EventSource {
  readonly #client: KafkaClient;
  readonly #context: ProviderContext;
  readonly #clock: Clock;
  readonly #request: JoinRequest;
  readonly #sink: EventSink;
  readonly #cluster: Cluster;
  readonly #group: Group;
  readonly #troubles: Troubles;
  readonly #leaving = new AbortController();
  /** Ends of the partitions when this source began, for `from: "latest"`. A partition that is newer is read from its first record. */
  #ends: ReadonlyMap<string, number> | undefined;
  #assignment: Assignment | undefined;
  #running: Promise<void> | undefined;
  #commit: { running: Promise<void>; next: Promise<void> | undefined } = { running: Promise.resolve(), next: undefined };
  #left: Promise<void> | undefined;

  constructor(client: KafkaClient, context: ProviderContext, request: JoinRequest, sink: EventSink) {
    this.#client = client;
    this.#context = context;
    this.#clock = context.clock;
    this.#request = request;
    this.#sink = sink;
    this.#cluster = client.newCluster(request.clientId);
    this.#group = new Group(this.#cluster, request, client.options);
    this.#troubles = new Troubles(sink);
  }

  async start(): Promise<void> {
    this.#client.sources.add(this);
    // Before the caller goes on: what it publishes next is later than "latest".
    if (this.#request.from === "latest") await this.#noteEnds().catch(() => {});
    this.#running = this.#run();
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const at of partitions) {
      const owned = this.#assignment?.partition(at);
      if (owned) owned.paused = true;
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const at of partitions) {
      const owned = this.#assignment?.partition(at);
      if (owned) owned.paused = false;
    }
    this.#assignment?.wake();
  }

  async acknowledge(records: readonly SourceRecord[], { signal }: CallOptions): Promise<void> {
    let moved = false;
    for (const record of records) {
      const owned = ownerOf(record, this.#assignment);
      if (owned === undefined || owned.assignment.owning.signal.aborted) continue;
      if (record.offset < owned.start || record.offset >= owned.position) continue;
      if (owned.tracker.settle(record.offset)) moved = true;
    }
    if (moved) await untilAborted(this.#commitSoon(), signal);
  }

  lag(): number | undefined {
    let lag = 0;
    for (const { highWatermark, position } of this.#assignment?.partitions.values() ?? []) {
      if (highWatermark === undefined) return undefined;
      lag += Math.max(0, highWatermark - position);
    }
    return this.#assignment === undefined ? undefined : lag;
  }

  leave(): Promise<void> {
    this.#left ??= this.#leave();
    return this.#left;
  }

  async #leave(): Promise<void> {
    this.#troubles.silence();
    this.#leaving.abort();
    this.#cluster.drop("fetch");
    const timer = new AbortController();
    await Promise.race([this.#group.leave().catch(() => {}), this.#clock.sleep(leaveMs, timer.signal)]);
    timer.abort();
    this.#cluster.close();
    await this.#running;
    this.#client.sources.delete(this);
  }

  /** Joins, serves the assignment until it ends, and again. */
  async #run(): Promise<void> {
    const { signal } = this.#leaving;
    for (let failures = 0; !signal.aborted; ) {
      try {
        if (this.#request.from === "latest" && this.#ends === undefined) await this.#noteEnds();
        const membership = await this.#group.join();
        const error = await this.#serve(membership);
        failures = 0;
        if (error !== undefined) throw error;
      } catch (error) {
        if (signal.aborted) break;
        if (!isPassing(error)) {
          void this.leave();
          this.#sink.failed(error);
          break;
        }
        failures += 1;
        if (failures >= quietFailures) this.#troubles.raise(`group ${this.#request.group}`, "cannot join", error);
        await this.#clock.sleep(Math.min(retryMs * 2 ** (failures - 1), maxRetryMs), signal);
      }
    }
  }

  /** Holds an assignment from the join until it is given up. Resolves with the error that ended it, if one did. */
  async #serve(membership: Membership): Promise<unknown> {
    const assignment = new Assignment(membership);
    const { signal } = this.#leaving;
    if (signal.aborted) return undefined;
    const leave = (): void => assignment.end({ lost: true });
    signal.addEventListener("abort", leave, { once: true });
    this.#troubles.clear(`group ${this.#request.group}`);
    const beating = this.#beat(assignment);
    const watching = this.#watch(assignment, membership.counts).catch((error) => assignment.end({ lost: false, error }));
    try {
      const positioned = await this.#position(assignment, membership.partitions);
      if (positioned && !signal.aborted) this.#deliver(assignment);
      const end = await assignment.ended;
      if (positioned && !signal.aborted) await this.#giveUp(assignment, end.lost);
      return end.error;
    } finally {
      signal.removeEventListener("abort", leave);
      assignment.end({ lost: true });
      this.#assignment = undefined;
      await Promise.all([beating, watching]);
    }
  }

  #deliver(assignment: Assignment): void {
    this.#assignment = assignment;
    this.#sink.assigned([...assignment.partitions.values()].map((owned) => owned.at));
    assignment.wake();
  }

  /** Hands back what runs on a rebalance, while heartbeats go on; the group waits no longer than the rebalance timeout. */
  async #giveUp(assignment: Assignment, lost: boolean): Promise<void> {
    const partitions = [...assignment.partitions.values()].map((owned) => owned.at);
    if (partitions.length === 0) return;
    const timer = new AbortController();
    const stop = (): void => timer.abort();
    this.#leaving.signal.addEventListener("abort", stop, { once: true });
    const patience = this.#clock.sleep(this.#client.options.rebalanceTimeoutMs * 0.8, timer.signal);
    await Promise.race([this.#sink.revoked(partitions, { lost }), patience]);
    this.#leaving.signal.removeEventListener("abort", stop);
    timer.abort();
  }

  /** Keeps the membership alive for as long as the assignment is held, whatever the handlers do. */
  async #beat(assignment: Assignment): Promise<void> {
    const { heartbeatIntervalMs } = this.#client.options;
    const { signal } = assignment.owning;
    const trouble = `coordinator of group ${this.#request.group}`;
    for (let failures = 0; !signal.aborted; ) {
      await this.#clock.sleep(failures === 0 ? heartbeatIntervalMs : Math.min(retryMs * 2 ** failures, heartbeatIntervalMs), signal);
      if (signal.aborted) break;
      try {
        await this.#group.heartbeat(assignment.generationId);
        failures = 0;
        this.#troubles.clear(trouble);
      } catch (error) {
        if (signal.aborted) break;
        if (meansRebalance(error)) assignment.end({ lost: false });
        else if (meansLost(error)) assignment.end({ lost: true });
        else if (!isPassing(error)) assignment.end({ lost: false, error });
        else {
          failures += 1;
          if (failures >= quietFailures) this.#troubles.raise(trouble, "does not answer", error);
          continue;
        }
        failures = 0;
      }
    }
    this.#troubles.clear(trouble);
  }

  /** Watches for topics that appear and partitions that are added, and tells the fetcher who leads. */
  async #watch(assignment: Assignment, counts: ReadonlyMap<string, number>): Promise<void> {
    const { signal } = assignment.fetching;
    const troubles = this.#troubles;
    const fetcher = new Fetcher(this.#cluster, assignment, {
      sink: this.#sink,
      troubles,
      clock: this.#clock,
      logger: this.#context.logger,
      maxPartitionBytes: Math.max(this.#client.options.maxMessageBytes, 1_048_576),
    });
    const topics = assignment.leads ? [...counts.keys()] : this.#request.topics;
    while (!signal.aborted) {
      if (this.#assignment !== assignment) {
        // Not delivered yet.
        await assignment.sleep();
        continue;
      }
      let restless = true;
      try {
        const found = await this.#cluster.topics(topics, this.#client.options.autoCreateTopics);
        if (signal.aborted) break;
        const leaders = new Map([...found].map(([name, topic]) => [name, topic.leaders]));
        const missing = this.#request.topics.filter((topic) => (leaders.get(topic)?.length ?? 0) === 0);
        for (const topic of this.#request.topics) {
          if (missing.includes(topic)) troubles.raise(`topic ${topic}`, "does not exist", found.get(topic)?.error);
          else troubles.clear(`topic ${topic}`);
        }
        const denied = missing.map((topic) => found.get(topic)?.error).find((error) => error !== undefined && !isPassing(error));
        if (denied !== undefined) throw denied;
        const changed = topics.some((topic) => (leaders.get(topic)?.length ?? 0) > (counts.get(topic) ?? 0));
        if (assignment.leads && changed) assignment.end({ lost: false });
        else fetcher.lead(leaders);
        restless = missing.length > 0 || [...assignment.partitions.values()].some((owned) => owned.leader < 0);
      } catch (error) {
        if (!isPassing(error)) throw error;
      }
      await this.#clock.sleep(restless ? missingTopicMs : newPartitionsMs, signal);
    }
  }

  /** Finds out where to begin. Resolves with whether it did before the assignment ended. */
  async #position(assignment: Assignment, partitions: readonly TopicPartition[]): Promise<boolean> {
    const { signal } = assignment.fetching;
    for (let failures = 0; !signal.aborted; ) {
      try {
        for (const owned of await this.#startingPoints(assignment, partitions)) assignment.add(owned);
        this.#troubles.clear("positions");
        return !signal.aborted;
      } catch (error) {
        if (signal.aborted) break;
        if (meansLost(error)) assignment.end({ lost: true });
        else if (!isPassing(error)) assignment.end({ lost: false, error });
        failures += 1;
        if (failures >= quietFailures) this.#troubles.raise("positions", "cannot be read", error);
        await this.#clock.sleep(Math.min(retryMs * 2 ** (failures - 1), maxRetryMs), signal);
      }
    }
    return false;
  }

  async #startingPoints(assignment: Assignment, partitions: readonly TopicPartition[]): Promise<OwnedPartition[]> {
    if (partitions.length === 0) return [];
    const committed = await this.#group.positions(partitions);
    const at = (places: readonly Position[], { topic, partition }: TopicPartition): number | undefined =>
      places.find((place) => place.topic === topic && place.partition === partition)?.offset;
    const fresh = partitions.filter((place) => at(committed, place) === undefined);
    const starts = fresh.length === 0 ? [] : await this.#firstPositions(fresh);
    // Remembered at once, or a restart before the first acknowledgement would begin at another "latest".
    if (this.#ends !== undefined && starts.length > 0) await this.#group.commit(assignment.memberId, assignment.generationId, starts);
    return partitions.map((place) => {
      const known = at(committed, place);
      return new OwnedPartition(assignment, { topic: place.topic, partition: place.partition }, known ?? at(starts, place) ?? 0, known);
    });
  }

  async #firstPositions(partitions: readonly TopicPartition[]): Promise<Position[]> {
    const found = await this.#cluster.topics([...new Set(partitions.map(({ topic }) => topic))], false);
    const leaders = new Map([...found].map(([name, topic]) => [name, topic.leaders]));
    const first = await listOffsets(this.#cluster, partitions, leaders, "earliest");
    return first.map((place) => ({ ...place, offset: Math.max(place.offset, this.#ends?.get(`${place.topic}/${place.partition}`) ?? 0) }));
  }

  async #noteEnds(): Promise<void> {
    const found = await this.#cluster.topics(this.#request.topics, this.#client.options.autoCreateTopics);
    const leaders = new Map([...found].map(([name, topic]) => [name, topic.leaders]));
    const partitions = [...leaders].flatMap(([topic, nodes]) => nodes.map((_, partition) => ({ topic, partition })));
    const ends = await listOffsets(this.#cluster, partitions, leaders, "latest");
    this.#ends = new Map(ends.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]));
  }

  /** One commit at a time; what is settled meanwhile shares the next. */
  #commitSoon(): Promise<void> {
    this.#commit.next ??= this.#commit.running
      .catch(() => {})
      .then(() => {
        this.#commit.next = undefined;
        this.#commit.running = this.#commitNow();
        return this.#commit.running;
      });
    return this.#commit.next;
  }

  async #commitNow(): Promise<void> {
    const assignment = this.#assignment;
    if (assignment === undefined) return;
    const { signal } = assignment.owning;
    for (let failures = 0; !signal.aborted; failures += 1) {
      const due = [...assignment.partitions.values()].filter(
        ({ tracker, committed }) => tracker.position !== undefined && tracker.position !== committed,
      );
      if (due.length === 0) return;
      const positions = due.map(({ at, tracker }) => ({ ...at, offset: tracker.position as number }));
      try {
        await this.#group.commit(assignment.memberId, assignment.generationId, positions);
        due.forEach((owned, index) => {
          owned.committed = positions[index]?.offset;
        });
        return;
      } catch (error) {
        if (meansLost(error)) assignment.end({ lost: true });
        else if (meansRebalance(error)) return assignment.end({ lost: false });
        else if (!isPassing(error)) throw error;
        else await this.#clock.sleep(Math.min(retryMs * 2 ** failures, maxRetryMs), signal);
      }
    }
    // Passed over if they are another member's now; a source that left cannot say so.
    if (this.#leaving.signal.aborted) throw new Error("the source left its group before the broker remembered what was acknowledged");
  }
}
