import {
  type CallOptions,
  type Clock,
  type EventSink,
  type EventSource,
  type EventSubscriberDriver,
  type JoinRequest,
  type ProviderContext,
  type SourceRecord,
  type TopicPartition,
  Troubles,
  untilAborted,
} from "../../core/index.ts";
import { Assignment, ownerOf } from "./assignment.ts";
import { Attempts } from "./attempts.ts";
import type { Cluster } from "./cluster.ts";
import { Commits } from "./commits.ts";
import type { KafkaClient } from "./connect.ts";
import { describe, isPassing } from "./errors.ts";
import { Fetcher } from "./fetcher.ts";
import { Group, type Membership, meansLost, meansRebalance } from "./group.ts";
import { StartingPositions } from "./positions.ts";
import { KafkaTopicAccess } from "./topic-access.ts";
import { awaitTopics, TopicWatch } from "./topics.ts";

const leaveMs = 1_000;

export class KafkaSubscriberDriver implements EventSubscriberDriver {
  readonly topics: KafkaTopicAccess;
  readonly #client: KafkaClient;
  readonly #context: ProviderContext;

  constructor(client: KafkaClient, context: ProviderContext) {
    this.topics = new KafkaTopicAccess(client, context.clock);
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
  readonly #positions: StartingPositions;
  readonly #troubles: Troubles;
  readonly #leaving = new AbortController();
  #assignment: Assignment | undefined;
  #commits: Commits | undefined;
  #running: Promise<void> | undefined;
  #left: Promise<void> | undefined;

  constructor(client: KafkaClient, context: ProviderContext, request: JoinRequest, sink: EventSink) {
    this.#client = client;
    this.#context = context;
    this.#clock = context.clock;
    this.#request = request;
    this.#sink = sink;
    this.#cluster = client.newCluster(request.clientId);
    this.#group = new Group(this.#cluster, request, client.options);
    this.#positions = new StartingPositions(this.#cluster, this.#group, request, client.options.autoCreateTopics);
    this.#troubles = new Troubles(sink, describe);
  }

  async start(): Promise<void> {
    this.#client.sources.add(this);
    // Before the caller goes on: what it publishes next is later than "latest".
    await this.#positions.noteEnds().catch(() => {});
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
      if (owned === undefined) continue;
      owned.paused = false;
      // Not within the caller, who may be in the middle of something.
      queueMicrotask(() => owned.release(this.#sink));
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
    if (moved) await untilAborted(this.#commits?.soon() ?? Promise.resolve(), signal);
  }

  lag(): number | undefined {
    let sum = 0;
    for (const { lag } of this.#assignment?.partitions.values() ?? []) {
      if (lag === undefined) return undefined;
      sum += lag;
    }
    return this.#assignment === undefined ? undefined : sum;
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

  #attempts(cause: string, what: string): Attempts {
    return new Attempts(this.#troubles, this.#clock, cause, what);
  }

  /** Joins, serves the assignment until it ends, and again. */
  async #run(): Promise<void> {
    const { signal } = this.#leaving;
    const { autoCreateTopics } = this.#client.options;
    const attempts = this.#attempts(`group ${this.#request.group}`, "cannot join");
    if (autoCreateTopics) await awaitTopics(this.#cluster, this.#request.topics, this.#clock, signal);
    while (!signal.aborted) {
      try {
        await this.#positions.noteEnds();
        const membership = await this.#group.join();
        attempts.succeeded();
        const error = await this.#serve(membership);
        if (error !== undefined) throw error;
      } catch (error) {
        if (signal.aborted) break;
        if (!isPassing(error)) {
          void this.leave();
          this.#sink.failed(error);
          break;
        }
        await attempts.failed(error, signal);
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
    const beating = this.#beat(assignment);
    let watching: Promise<void> | undefined;
    try {
      const positioned = await this.#position(assignment, membership.partitions);
      if (positioned && !signal.aborted) {
        this.#assignment = assignment;
        this.#commits = new Commits(assignment, this.#group, this.#attempts("acknowledgements", "cannot be stored"), signal);
        this.#sink.assigned([...assignment.partitions.values()].map((owned) => owned.at));
        watching = this.#watch(assignment, membership.counts).catch((error) => assignment.end({ lost: false, error }));
      }
      const end = await assignment.ended;
      if (positioned && !signal.aborted) await this.#giveUp(assignment, end.lost);
      return end.error;
    } finally {
      signal.removeEventListener("abort", leave);
      assignment.end({ lost: true });
      this.#assignment = undefined;
      this.#commits = undefined;
      // The next assignment's requests would wait behind one that waits for records.
      this.#cluster.drop("fetch");
      await Promise.all([beating, watching]);
    }
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
    const attempts = this.#attempts(`coordinator of group ${this.#request.group}`, "does not answer");
    await this.#clock.sleep(heartbeatIntervalMs, signal);
    while (!signal.aborted) {
      try {
        await this.#group.heartbeat(assignment.generationId);
        attempts.succeeded();
      } catch (error) {
        if (signal.aborted) break;
        if (meansRebalance(error)) assignment.end({ lost: false });
        else if (meansLost(error)) assignment.end({ lost: true });
        else if (!isPassing(error)) assignment.end({ lost: false, error });
        else {
          await attempts.failed(error, signal, heartbeatIntervalMs);
          continue;
        }
      }
      await this.#clock.sleep(heartbeatIntervalMs, signal);
    }
    attempts.succeeded();
  }

  /** Reads the partitions, from whoever leads them, until the assignment ends. */
  async #watch(assignment: Assignment, counts: ReadonlyMap<string, number>): Promise<void> {
    const { codecs, options } = this.#client;
    const fetcher = new Fetcher(this.#cluster, assignment, {
      sink: this.#sink,
      troubles: this.#troubles,
      clock: this.#clock,
      logger: this.#context.logger,
      maxPartitionBytes: Math.max(options.maxMessageBytes, 1_048_576),
      decompress: (codecId, records) => codecs.decompress(codecId, records),
    });
    const watch = new TopicWatch(this.#cluster, this.#request.topics, options.autoCreateTopics, this.#troubles, this.#clock);
    await watch.run(assignment, counts, (leaders) => fetcher.lead(leaders));
  }

  /** Finds out where to begin. Resolves with whether it did before the assignment ended. */
  async #position(assignment: Assignment, partitions: readonly TopicPartition[]): Promise<boolean> {
    const { signal } = assignment.fetching;
    const attempts = this.#attempts("positions", "cannot be read");
    while (!signal.aborted) {
      try {
        for (const owned of await this.#positions.of(assignment, partitions)) assignment.add(owned);
        attempts.succeeded();
        return !signal.aborted;
      } catch (error) {
        if (signal.aborted) break;
        if (meansLost(error)) assignment.end({ lost: true });
        else if (!isPassing(error)) assignment.end({ lost: false, error });
        else await attempts.failed(error, signal);
      }
    }
    return false;
  }
}
