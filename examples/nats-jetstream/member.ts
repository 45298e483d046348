import type { Clock, JoinRequest, Troubles } from "hexkit";
import type { NatsClient } from "./client.ts";
import { isPassing } from "./errors.ts";
import { type GroupState, type Myself, type Plan, plan, without } from "./group.ts";
import { GroupStore } from "./group-store.ts";
import { Topics } from "./topics.ts";

/** How often topics are looked at again: they may have got more partitions. */
const topicsMs = 10_000;

export interface MemberSurroundings {
  readonly client: NatsClient;
  readonly clock: Clock;
  readonly request: JoinRequest;
  readonly troubles: Troubles;
  /** Places that I have let go of; emptied once the others know. */
  readonly released: Set<string>;
  /** What is mine has changed, or may have. */
  apply(next: Plan): void;
  /** Whether there is something to do for me. */
  concerns(next: Plan): boolean;
  /** Others may take over what is mine. */
  missed(): void;
  /** Going on is of no use. */
  failed(error: unknown): void;
}

/** One member of a group: gives signs of life, watches for those of the others, and agrees with them on who has what. */
export class Member {
  readonly topics: Topics;
  readonly store: GroupStore;
  readonly #id = crypto.randomUUID();
  readonly #with: MemberSurroundings;
  /** Partitions of topics, and when they were looked at. */
  readonly #counts = new Map<string, number>();
  #countedMs = 0;
  /** The last sign of life of each other member, and since when there is no newer one. */
  readonly #heard = new Map<string, { readonly beat: number; readonly sinceMs: number }>();
  #observedMs = 0;
  readonly #leaving = new AbortController();
  readonly #unwatch: () => void;
  readonly #running: Promise<void>;
  /** Ends the pause between two steps. */
  #nap = new AbortController();
  /** When the last of my signs of life that arrived was sent. */
  #livedMs = 0;
  #joined = false;

  constructor(surroundings: MemberSurroundings) {
    this.#with = surroundings;
    const { client, request } = surroundings;
    this.topics = new Topics(client);
    this.store = new GroupStore(client, request.group);
    this.#unwatch = this.store.watch((state) => this.#hear(state));
    this.#running = this.#run();
    void this.#live();
  }

  /** Takes the next step now. */
  wake(): void {
    this.#nap.abort();
  }

  /** Ends all that it does, at once; resolves when the others know. */
  async leave(): Promise<void> {
    this.#leaving.abort();
    this.#nap.abort();
    this.#unwatch();
    await this.#running;
    if (!this.#joined) return;
    for (;;) {
      const current = await this.store.state();
      if (await this.store.replaceState(current, without(current.value, this.#id))) break;
    }
    await this.store.forget(this.#id);
  }

  /** Takes one step at each heartbeat, and whenever something has happened. */
  async #run(): Promise<void> {
    const { signal } = this.#leaving;
    const { client, clock, troubles, request, failed } = this.#with;
    const group = `group ${request.group}`;
    while (!signal.aborted) {
      this.#nap = new AbortController();
      const { signal: awake } = this.#nap;
      try {
        await this.#step();
        troubles.clear(group);
      } catch (error) {
        if (signal.aborted) break;
        if (!isPassing(error)) {
          failed(error);
          break;
        }
        troubles.raise(group, "cannot be reached", error);
      }
      await clock.sleep(client.options.heartbeatIntervalMs, signal.aborted ? signal : awake);
    }
  }

  async #step(): Promise<void> {
    const { released } = this.#with;
    if (!this.#joined) await this.store.prepare();
    await this.#count();
    if (!this.#joined) await this.#beat();
    for (;;) {
      if (this.#leaving.signal.aborted) return;
      const current = await this.store.state();
      await this.#observe(current.value);
      const me = this.#me(new Set(released));
      const next = plan(current.value, me);
      if (next.changed && !(await this.store.replaceState(current, next.state))) continue;
      if (this.#leaving.signal.aborted) {
        this.#joined = true;
        return;
      }
      for (const place of me.released) released.delete(place);
      for (const id of me.dead) if (this.#heard.delete(id)) void this.store.forget(id).catch(() => {});
      this.#joined = true;
      this.#with.apply(next);
      return;
    }
  }

  #me(released: ReadonlySet<string>): Myself {
    const { client, clock, request } = this.#with;
    const dead = [...this.#heard].filter(([, { sinceMs }]) => clock.now() - sinceMs >= client.options.sessionTimeoutMs);
    return { id: this.#id, topics: request.topics, counts: this.#counts, released, dead: new Set(dead.map(([id]) => id)) };
  }

  /** Looks for signs of life of the others, by my own clock; not each time, since everybody looks at everybody. */
  async #observe({ members }: GroupState): Promise<void> {
    const { client, clock } = this.#with;
    const others = Object.keys(members).filter((id) => id !== this.#id);
    for (const id of this.#heard.keys()) if (!others.includes(id)) this.#heard.delete(id);
    if (clock.now() - this.#observedMs < client.options.sessionTimeoutMs / 6 && others.every((id) => this.#heard.has(id))) return;
    const beats = await Promise.all(others.map(async (id) => [id, await this.store.lastBeat(id)] as const));
    this.#observedMs = clock.now();
    for (const [id, beat] of beats) if (this.#heard.get(id)?.beat !== beat) this.#heard.set(id, { beat, sinceMs: this.#observedMs });
  }

  /** Somebody has written the state. Waits for no heartbeat if that concerns me. */
  #hear(state: GroupState): void {
    if (!this.#joined) return;
    const next = plan(state, this.#me(this.#with.released));
    if (next.changed || this.#with.concerns(next)) this.wake();
  }

  /** Gives signs of life, whatever the steps wait for. */
  async #live(): Promise<void> {
    const { client, clock } = this.#with;
    const { signal } = this.#leaving;
    const { heartbeatIntervalMs, sessionTimeoutMs } = client.options;
    while (!signal.aborted) {
      await clock.sleep(heartbeatIntervalMs, signal);
      if (!this.#joined || signal.aborted) continue;
      void this.#beat().catch(() => {});
      if (clock.now() - this.#livedMs >= sessionTimeoutMs - heartbeatIntervalMs) void this.#doubt();
    }
  }

  async #beat(): Promise<void> {
    const sentMs = this.#with.clock.now();
    await this.store.beat(this.#id);
    this.#livedMs = Math.max(this.#livedMs, sentMs);
  }

  /**
   * Others may take over what is mine when none of my signs of life arrived for so long: by then I must not touch it any more. A process that was
   * merely slow asks first.
   */
  async #doubt(): Promise<void> {
    const { client, clock, missed } = this.#with;
    this.#livedMs = clock.now();
    const alive = client.connected && (await this.store.state().catch(() => undefined))?.value.members[this.#id] !== undefined;
    if (!alive && !this.#leaving.signal.aborted) missed();
  }

  /** Looks how many partitions the topics have, and makes the missing ones if that is allowed. */
  async #count(): Promise<void> {
    const { client, clock, troubles, request } = this.#with;
    const old = clock.now() - this.#countedMs >= topicsMs;
    for (const topic of request.topics) {
      if (this.#counts.has(topic) && !old) continue;
      const count = await (client.options.autoCreateTopics ? this.topics.demand(topic) : this.topics.find(topic));
      if (count === undefined) troubles.raise(`topic ${topic}`, "does not exist");
      else {
        troubles.clear(`topic ${topic}`);
        this.#counts.set(topic, count);
        if (request.from === "latest" && !this.#joined) await this.store.fixStarts(this.topics, topic, count);
      }
    }
    if (old) this.#countedMs = clock.now();
  }
}
