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
} from "hexkit";
import type { NatsClient } from "./client.ts";
import { isPassing } from "./errors.ts";
import { type Plan, partitionOf, placeOf } from "./group.ts";
import { Member } from "./member.ts";
import { Partition } from "./partition.ts";

/** What leaving may take. Whoever does not manage is missed after `sessionTimeoutMs`. */
const leaveMs = 2_000;

export class NatsSubscriberDriver implements EventSubscriberDriver {
  readonly #client: NatsClient;
  readonly #context: ProviderContext;

  constructor(client: NatsClient, context: ProviderContext) {
    this.#client = client;
    this.#context = context;
  }

  async join(request: JoinRequest, sink: EventSink): Promise<EventSource> {
    return new NatsSource(this.#client, this.#context, request, sink);
  }
}

/** The partitions of one member: opens what becomes its own, and gives up what others are to have. */
class NatsSource implements EventSource {
  readonly #client: NatsClient;
  readonly #clock: Clock;
  readonly #sink: EventSink;
  readonly #troubles: Troubles;
  readonly #member: Member;
  readonly #partitions = new Map<string, Partition>();
  /** Places that are being opened. */
  readonly #opening = new Set<string>();
  /** Places that were let go of, until the others know. */
  readonly #released = new Set<string>();
  /** What is mine by the group's state. */
  #mine: ReadonlySet<string> = new Set();
  /** Whether the sink has been told of the first share, or is about to. */
  #announced = false;
  readonly #unlisten: () => void;
  #left: Promise<void> | undefined;

  constructor(client: NatsClient, { clock }: ProviderContext, request: JoinRequest, sink: EventSink) {
    this.#client = client;
    this.#clock = clock;
    this.#sink = sink;
    this.#troubles = new Troubles(sink);
    client.sources.add(this);
    this.#unlisten = client.onConnection((connected) => this.#connection(connected));
    this.#member = new Member({
      client,
      clock,
      request,
      troubles: this.#troubles,
      released: this.#released,
      apply: (next) => this.#apply(next),
      concerns: ({ mine, excess }) =>
        mine.length < this.#mine.size || [...excess].some((place) => this.#partitions.get(place)?.revoking === false),
      missed: () => {
        for (const partition of [...this.#partitions.values()]) this.#lose(partition);
      },
      failed: (error) => this.#fail(error),
    });
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const at of partitions) this.#find(at)?.pause();
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const at of partitions) this.#find(at)?.resume();
  }

  async acknowledge(records: readonly SourceRecord[], { signal }: CallOptions): Promise<void> {
    const settled = new Map<Partition, SourceRecord[]>();
    for (const record of records) {
      const partition = this.#find(record);
      const before = partition && settled.get(partition);
      if (before !== undefined) before.push(record);
      else if (partition !== undefined) settled.set(partition, [record]);
    }
    await untilAborted(Promise.all([...settled].map(([partition, each]) => partition.acknowledge(each))), signal);
  }

  lag(): number | undefined {
    let sum = 0;
    for (const { lag } of this.#partitions.values()) {
      if (lag === undefined) return undefined;
      sum += lag;
    }
    return sum;
  }

  leave(): Promise<void> {
    this.#left ??= this.#leave();
    return this.#left;
  }

  async #leave(): Promise<void> {
    this.#troubles.silence();
    this.#unlisten();
    const closing = [...this.#partitions.values()].map((partition) => partition.close());
    this.#partitions.clear();
    const timer = new AbortController();
    const farewell = Promise.all([this.#member.leave(), ...closing]).catch(() => {});
    await Promise.race([farewell, this.#clock.sleep(leaveMs, timer.signal)]);
    timer.abort();
    this.#client.sources.delete(this);
  }

  #fail(error: unknown): void {
    if (this.#left !== undefined) return;
    void this.leave();
    this.#sink.failed(error);
  }

  #connection(connected: boolean): void {
    if (!connected) {
      this.#troubles.raise("the connection to the servers", "lost");
      return;
    }
    this.#troubles.clear("the connection to the servers");
    this.#member.wake();
    for (const partition of this.#partitions.values()) partition.restart();
  }

  #apply({ mine, excess }: Plan): void {
    this.#mine = new Set(mine);
    for (const [place, partition] of this.#partitions) if (!this.#mine.has(place)) this.#lose(partition);
    const missing = mine.filter((place) => !this.#partitions.has(place) && !this.#opening.has(place) && !excess.has(place));
    // Not waited for: signs of life must go on.
    if (missing.length > 0 || !this.#announced) void this.#take(missing);
    for (const place of excess) {
      const partition = this.#partitions.get(place);
      if (partition !== undefined && !partition.revoking) void this.#giveUp(place, partition);
      else if (partition === undefined && !this.#opening.has(place)) this.#released.add(place);
    }
  }

  async #take(places: readonly string[]): Promise<void> {
    const first = !this.#announced;
    this.#announced = true;
    for (const place of places) this.#opening.add(place);
    try {
      const opened = await Promise.all(places.map((place) => this.#open(place)));
      if (this.#left !== undefined) return;
      this.#troubles.clear("positions");
      const mine = opened.filter(({ at }) => this.#mine.has(placeOf(at.topic, at.partition)));
      if (first || mine.length > 0) this.#sink.assigned(mine.map(({ at }) => at));
      for (const partition of mine) {
        this.#partitions.set(placeOf(partition.at.topic, partition.at.partition), partition);
        partition.start();
      }
    } catch (error) {
      if (first) this.#announced = false;
      // Tried again with the next step.
      if (isPassing(error)) this.#troubles.raise("positions", "cannot be read", error);
      else this.#fail(error);
    } finally {
      for (const place of places) this.#opening.delete(place);
    }
  }

  async #open(place: string): Promise<Partition> {
    const partition = new Partition(partitionOf(place), {
      client: this.#client,
      topics: this.#member.topics,
      store: this.#member.store,
      clock: this.#clock,
      sink: this.#sink,
      troubles: this.#troubles,
      lost: (lost) => this.#lose(lost),
      failed: (error) => this.#fail(error),
    });
    await partition.open();
    return partition;
  }

  async #giveUp(place: string, partition: Partition): Promise<void> {
    partition.revoking = true;
    await this.#sink.revoked([partition.at], { lost: false });
    if (this.#partitions.get(place) !== partition) return;
    this.#partitions.delete(place);
    void partition.close();
    this.#released.add(place);
    this.#member.wake();
  }

  #lose(partition: Partition): void {
    const place = placeOf(partition.at.topic, partition.at.partition);
    if (this.#partitions.get(place) !== partition) return;
    this.#partitions.delete(place);
    void partition.close();
    void this.#sink.revoked([partition.at], { lost: true });
    this.#member.wake();
  }

  #find({ topic, partition }: TopicPartition): Partition | undefined {
    return this.#partitions.get(placeOf(topic, partition));
  }
}
