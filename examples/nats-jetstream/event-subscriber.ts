import {
  type CallOptions,
  type EventSink,
  type EventSource,
  type EventSubscriberDriver,
  type JoinRequest,
  type ProviderContext,
  type SourceRecord,
  type TopicPartition,
  untilAborted,
} from "hexkit";
import type { NatsClient } from "./client.ts";
import { isPassing } from "./errors.ts";
import { type GroupState, type Myself, type Plan, partitionOf, placeOf, plan, without } from "./group.ts";
import { GroupStore } from "./group-store.ts";
import { Partition } from "./partition.ts";
import { Topics } from "./topics.ts";
import { Troubles } from "./troubles.ts";

/** What leaving may take. Whoever does not manage is missed after `sessionTimeoutMs`. */
const leaveMs = 2_000;
/** How often topics are looked at again: they may have got more partitions. */
const topicsMs = 10_000;

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

/** One member of a group. It shares the partitions with the others by what they all write into the group's state. */
class NatsSource implements EventSource {
  readonly #id = crypto.randomUUID();
  readonly #client: NatsClient;
  readonly #clock: ProviderContext["clock"];
  readonly #request: JoinRequest;
  readonly #sink: EventSink;
  readonly #topics: Topics;
  readonly #store: GroupStore;
  readonly #troubles: Troubles;
  readonly #partitions = new Map<string, Partition>();
  /** Places that I have let go of, until the others know. */
  readonly #released = new Set<string>();
  /** Partitions of topics, and when they were looked at. */
  readonly #counts = new Map<string, number>();
  #countedMs = 0;
  /** Places that are being opened. */
  readonly #opening = new Set<string>();
  /** What is mine by the state. */
  #mine: ReadonlySet<string> = new Set();
  /** The last sign of life of each other member, and since when there is no newer one. */
  readonly #heard = new Map<string, { readonly beat: number; readonly sinceMs: number }>();
  #observedMs = 0;
  readonly #leaving = new AbortController();
  readonly #unwatch: (() => void)[];
  readonly #running: Promise<void>;
  /** Ends the pause between two steps. */
  #nap = new AbortController();
  /** Lets go of everything when my own signs of life have been missing for too long. */
  #guard = new AbortController();
  #joined = false;
  /** Whether the sink has been told of the first share, or is about to. */
  #announced = false;
  #left: Promise<void> | undefined;

  constructor(client: NatsClient, { clock }: ProviderContext, request: JoinRequest, sink: EventSink) {
    this.#client = client;
    this.#clock = clock;
    this.#request = request;
    this.#sink = sink;
    this.#topics = new Topics(client);
    this.#store = new GroupStore(client, request.group);
    this.#troubles = new Troubles(sink);
    client.sources.add(this);
    this.#unwatch = [client.onConnection((connected) => this.#connection(connected)), this.#store.watch((state) => this.#hear(state))];
    this.#running = this.#run();
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
      if (partition) settled.set(partition, [...(settled.get(partition) ?? []), record]);
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
    this.#leaving.abort();
    this.#guard.abort();
    this.#nap.abort();
    for (const stop of this.#unwatch) stop();
    const closing = [...this.#partitions.values()].map((partition) => partition.close());
    this.#partitions.clear();
    const timer = new AbortController();
    const farewell = this.#running.then(() => Promise.all([this.#farewell(), ...closing])).catch(() => {});
    await Promise.race([farewell, this.#clock.sleep(leaveMs, timer.signal)]);
    timer.abort();
    this.#client.sources.delete(this);
  }

  async #farewell(): Promise<void> {
    if (!this.#joined) return;
    for (;;) {
      const current = await this.#store.state();
      if (await this.#store.replaceState(current, without(current.value, this.#id))) break;
    }
    await this.#store.forget(this.#id);
  }

  /** Takes one step at each heartbeat, and whenever something has happened. */
  async #run(): Promise<void> {
    const { signal } = this.#leaving;
    const group = `group ${this.#request.group}`;
    while (!signal.aborted) {
      this.#nap = new AbortController();
      const { signal: awake } = this.#nap;
      try {
        await this.#step();
        this.#troubles.clear(group);
      } catch (error) {
        if (signal.aborted) break;
        if (!isPassing(error)) {
          this.#fail(error);
          break;
        }
        this.#troubles.raise(group, "cannot be reached", error);
      }
      await this.#clock.sleep(this.#client.options.heartbeatIntervalMs, signal.aborted ? signal : awake);
    }
  }

  #fail(error: unknown): void {
    if (this.#leaving.signal.aborted) return;
    void this.leave();
    this.#sink.failed(error);
  }

  async #step(): Promise<void> {
    if (!this.#joined) await this.#store.prepare();
    await this.#count();
    const sentMs = this.#clock.now();
    await this.#store.beat(this.#id);
    for (;;) {
      if (this.#leaving.signal.aborted) return;
      const current = await this.#store.state();
      await this.#observe(current.value);
      const me = this.#me(new Set(this.#released));
      const next = plan(current.value, me);
      if (next.changed && !(await this.#store.replaceState(current, next.state))) continue;
      for (const place of me.released) this.#released.delete(place);
      for (const id of me.dead) if (this.#heard.delete(id)) void this.#store.forget(id).catch(() => {});
      this.#joined = true;
      this.#beGuarded(sentMs);
      this.#apply(next);
      return;
    }
  }

  #me(released: ReadonlySet<string>): Myself {
    const { sessionTimeoutMs } = this.#client.options;
    const dead = [...this.#heard].filter(([, { sinceMs }]) => this.#clock.now() - sinceMs >= sessionTimeoutMs);
    return { id: this.#id, topics: this.#request.topics, counts: this.#counts, released, dead: new Set(dead.map(([id]) => id)) };
  }

  /** Looks for signs of life of the others, by my own clock; not each time, since everybody looks at everybody. */
  async #observe({ members }: GroupState): Promise<void> {
    const others = Object.keys(members).filter((id) => id !== this.#id);
    for (const id of this.#heard.keys()) if (!others.includes(id)) this.#heard.delete(id);
    const { sessionTimeoutMs } = this.#client.options;
    if (this.#clock.now() - this.#observedMs < sessionTimeoutMs / 6 && others.every((id) => this.#heard.has(id))) return;
    const beats = await Promise.all(others.map(async (id) => [id, await this.#store.lastBeat(id)] as const));
    this.#observedMs = this.#clock.now();
    for (const [id, beat] of beats) if (this.#heard.get(id)?.beat !== beat) this.#heard.set(id, { beat, sinceMs: this.#observedMs });
  }

  /** Somebody has written the state. Waits for no heartbeat if that concerns me. */
  #hear(state: GroupState): void {
    if (!this.#joined) return;
    const { changed, excess, mine } = plan(state, this.#me(this.#released));
    const toGive = [...excess].some((place) => this.#partitions.get(place)?.revoking === false);
    if (changed || toGive || mine.length < this.#mine.size) this.#nap.abort();
  }

  #connection(connected: boolean): void {
    if (connected) this.#troubles.clear("the connection");
    else this.#troubles.raise("the connection", "to the servers is lost");
    if (!connected) return;
    this.#nap.abort();
    for (const partition of this.#partitions.values()) partition.restart();
  }

  /** Others take over what is mine when nothing of me was heard for so long: by then I must not touch it any more. */
  #beGuarded(sentMs: number): void {
    this.#guard.abort();
    this.#guard = new AbortController();
    const { signal } = this.#guard;
    const restMs = sentMs + this.#client.options.sessionTimeoutMs - this.#clock.now();
    void this.#clock.sleep(Math.max(0, restMs), signal).then(() => {
      if (!signal.aborted) for (const partition of [...this.#partitions.values()]) this.#lose(partition);
    });
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
      if (this.#leaving.signal.aborted) return;
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
      topics: this.#topics,
      store: this.#store,
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
    this.#nap.abort();
  }

  #lose(partition: Partition): void {
    const place = placeOf(partition.at.topic, partition.at.partition);
    if (this.#partitions.get(place) !== partition) return;
    this.#partitions.delete(place);
    void partition.close();
    void this.#sink.revoked([partition.at], { lost: true });
    this.#nap.abort();
  }

  /** Looks how many partitions the topics have, and makes the missing ones if that is allowed. */
  async #count(): Promise<void> {
    const { autoCreateTopics } = this.#client.options;
    const old = this.#clock.now() - this.#countedMs >= topicsMs;
    const { topics, from } = this.#request;
    for (const topic of topics) {
      if (this.#counts.has(topic) && !old) continue;
      const count = await (autoCreateTopics ? this.#topics.demand(topic) : this.#topics.find(topic));
      if (count === undefined) this.#troubles.raise(`topic ${topic}`, "does not exist");
      else {
        this.#troubles.clear(`topic ${topic}`);
        this.#counts.set(topic, count);
        if (from === "latest" && !this.#joined) await this.#store.fixStarts(this.#topics, topic, count);
      }
    }
    if (old) this.#countedMs = this.#clock.now();
  }

  #find({ topic, partition }: TopicPartition): Partition | undefined {
    return this.#partitions.get(placeOf(topic, partition));
  }
}
