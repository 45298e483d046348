import { type Clock, type EventSink, OffsetTracker, type SourceRecord, type TopicPartition, type Troubles } from "hexkit";
import type { Delivered, NatsClient, Reader } from "./client.ts";
import { isPassing } from "./errors.ts";
import type { GroupStore } from "./group-store.ts";
import { decodeRecord } from "./records.ts";
import type { Topics } from "./topics.ts";

export interface PartitionSurroundings {
  readonly client: NatsClient;
  readonly topics: Topics;
  readonly store: GroupStore;
  readonly clock: Clock;
  readonly sink: EventSink;
  readonly troubles: Troubles;
  /** It is another member's. */
  lost(partition: Partition): void;
  /** Reading it is impossible, now and later. */
  failed(error: unknown): void;
}

const pauseMs = { first: 100, most: 2_000 };

/** One partition in the hands of this member: reads it in order, and remembers how far everything is settled. */
export class Partition {
  readonly at: TopicPartition;
  /** Given up: nothing more is delivered, and what is settled is still remembered. */
  revoking = false;
  lag: number | undefined;
  readonly #with: PartitionSurroundings;
  /** Whose the stored position is: of this assignment, not of the member's next one. */
  readonly #owner = crypto.randomUUID();
  readonly #tracker = new OffsetTracker();
  readonly #closed = new AbortController();
  /** What the member acknowledges must have been delivered by this very assignment. */
  #start = 0;
  #next = 0;
  /** Of the stored position. */
  #sequence = 0;
  #stored = 0;
  #committing: Promise<void> | undefined;
  #paused = false;
  #wake: (() => void) | undefined;
  #fetching: { close(): Promise<unknown> } | undefined;
  #reader: Reader | undefined;
  #running: Promise<void> | undefined;

  constructor(at: TopicPartition, surroundings: PartitionSurroundings) {
    this.at = at;
    this.#with = surroundings;
  }

  /** Makes the position its own: whoever had it before can store none any more. */
  async open(): Promise<void> {
    const { store, topics, client } = this.#with;
    const { topic, partition } = this.at;
    for (;;) {
      const found = await store.position(topic, partition);
      let next = found?.value.next ?? 1;
      const end = ((await client.stream(topics.stream(topic)))?.lastSequence ?? 0) + 1;
      // The stream was deleted and made anew: positions in the old one mean nothing.
      if (next > end) next = 1;
      const sequence = await store.writePosition(topic, partition, { next, owner: this.#owner }, found?.sequence ?? 0);
      if (sequence === undefined) continue;
      this.#sequence = sequence;
      this.#start = next;
      this.#next = next;
      this.#stored = next;
      return;
    }
  }

  start(): void {
    this.#running = this.#run();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wake?.();
  }

  /** Reads anew: what was on its way may be lost. */
  restart(): void {
    void this.#fetching?.close();
  }

  /** Resolves once everything that is settled up to now, without a gap, is stored; or the partition is somebody else's. */
  async acknowledge(records: readonly SourceRecord[]): Promise<void> {
    for (const { offset } of records) if (offset >= this.#start && offset < this.#next) this.#tracker.settle(offset);
    while (!this.#closed.signal.aborted && (this.#tracker.position ?? 0) > this.#stored) {
      this.#committing ??= this.#commit().finally(() => {
        this.#committing = undefined;
      });
      await this.#committing;
    }
  }

  /** Delivers and stores nothing more. */
  async close(): Promise<void> {
    this.#closed.abort();
    this.#wake?.();
    this.restart();
    await this.#running;
  }

  async #commit(): Promise<void> {
    const { store, lost } = this.#with;
    const { topic, partition } = this.at;
    const next = this.#tracker.position as number;
    let sequence = await store.writePosition(topic, partition, { next, owner: this.#owner }, this.#sequence);
    if (sequence === undefined) {
      // Either somebody else has it, or the answer to an earlier write of mine was lost.
      const found = await store.position(topic, partition);
      if (found?.value.owner !== this.#owner) {
        lost(this);
        return;
      }
      sequence = await store.writePosition(topic, partition, { next, owner: this.#owner }, found.sequence);
      if (sequence === undefined) return;
    }
    this.#sequence = sequence;
    this.#stored = next;
  }

  async #run(): Promise<void> {
    const { client, clock, troubles, topics, failed } = this.#with;
    const { signal } = this.#closed;
    const { topic, partition } = this.at;
    const subject = topics.subject(topic, partition);
    for (let failures = 0; !signal.aborted; ) {
      try {
        this.#reader = await client.read(topics.stream(topic), subject, this.#next);
        this.lag = this.#reader.pending;
        troubles.clear(subject);
        await this.#read(this.#reader);
        failures = 0;
      } catch (error) {
        if (signal.aborted) break;
        if (!isPassing(error)) {
          failed(error);
          break;
        }
        failures += 1;
        // The first may be a reader that the server has forgotten, or a connection that is back at once.
        if (failures > 1) troubles.raise(subject, "cannot be read", error);
        await clock.sleep(Math.min(pauseMs.first * 2 ** (failures - 1), pauseMs.most), signal);
      } finally {
        await this.#reader?.close().catch(() => {});
        this.#reader = undefined;
      }
    }
    troubles.clear(subject);
  }

  /** Delivers until the reader has to be made anew, because it was interrupted or something is missing. */
  async #read(reader: Reader): Promise<void> {
    const { signal } = this.#closed;
    for (let delivery = 0; !signal.aborted; ) {
      let interrupted = false;
      const fetched = await reader.fetch();
      this.#fetching = {
        close: () => {
          interrupted = true;
          return fetched.close();
        },
      };
      try {
        if (signal.aborted) return;
        for await (const message of fetched) {
          // Of a fetch that waits for messages, the server sends them also after the pause: they wait here.
          while (this.#paused && !signal.aborted) await this.#resumed();
          if (signal.aborted || message.delivery !== delivery + 1) return;
          delivery += 1;
          this.#deliver(message);
        }
        if (interrupted) return;
      } finally {
        this.#fetching = undefined;
        void fetched.close();
      }
    }
  }

  #resumed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #deliver(message: Delivered): void {
    if (this.revoking) return;
    const { sequence: offset, timestampMs, pending } = message;
    this.#tracker.delivered(offset);
    this.#next = offset + 1;
    this.lag = pending;
    this.#with.sink.records(this.at, [{ ...this.at, ...decodeRecord(message), offset, timestampMs }]);
  }
}
