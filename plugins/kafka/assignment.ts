import { type EventSink, OffsetTracker, type SourceRecord, type TopicPartition } from "../../core/index.ts";
import type { ReadRecord } from "./records.ts";

/** One partition in the hands of this member, from its assignment until it is given up. */
export class OwnedPartition {
  readonly at: TopicPartition;
  readonly tracker = new OffsetTracker();
  readonly assignment: Assignment;
  /** The offset to fetch next. */
  position: number;
  /** Where delivery began. */
  readonly start: number;
  /** What the group remembers; `undefined` if nothing. */
  committed: number | undefined;
  leader = -1;
  paused = false;
  highWatermark: number | undefined;
  /** Bytes that were read ahead while it is paused. */
  aheadBytes = 0;
  #ahead: readonly SourceRecord[] = [];

  constructor(assignment: Assignment, at: TopicPartition, start: number, committed: number | undefined) {
    this.assignment = assignment;
    this.at = at;
    this.start = start;
    this.position = start;
    this.committed = committed;
  }

  /** Records not yet delivered, if any answer has told. */
  get lag(): number | undefined {
    return this.highWatermark === undefined ? undefined : Math.max(0, this.highWatermark - this.position) + this.#ahead.length;
  }

  /** Takes what was read from `position` on, to be handed over by `release`. */
  read(records: readonly ReadRecord[], nextOffset: number, bytes: number): void {
    this.position = nextOffset;
    if (records.length === 0) return;
    this.#ahead = [...this.#ahead, ...records.map((record) => new DeliveredRecord(record, this))];
    this.aheadBytes += bytes;
  }

  /** Hands over what has been read, unless the partition is paused or nothing counts any more. */
  release(sink: EventSink): void {
    if (this.paused || this.#ahead.length === 0 || this.assignment.fetching.signal.aborted) return;
    const records = this.#ahead;
    this.#ahead = [];
    this.aheadBytes = 0;
    for (const { offset } of records) this.tracker.delivered(offset);
    sink.records(this.at, records);
  }
}

/** Knows which assignment it came with, so that a late acknowledgement is not taken for one of the next. */
class DeliveredRecord implements SourceRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: SourceRecord["headers"];
  readonly timestampMs: number;
  readonly #owner: OwnedPartition;

  constructor(record: ReadRecord, owner: OwnedPartition) {
    this.topic = owner.at.topic;
    this.partition = owner.at.partition;
    this.offset = record.offset;
    this.key = record.key;
    this.value = record.value;
    this.headers = record.headers;
    this.timestampMs = record.timestampMs;
    this.#owner = owner;
  }

  static ownerOf(record: SourceRecord): OwnedPartition | undefined {
    return #owner in record ? record.#owner : undefined;
  }
}

/** Why an assignment ends: a rebalance gives time to finish, a lost one is over already, an error ends the source. */
export type End = { readonly lost: boolean; readonly error?: unknown };

/** What this member holds between two rebalances. */
export class Assignment {
  readonly memberId: string;
  readonly generationId: number;
  readonly leads: boolean;
  readonly partitions = new Map<string, OwnedPartition>();
  /** Aborts when nothing more is to be fetched. */
  readonly fetching = new AbortController();
  /** Aborts when nothing can be acknowledged any more. */
  readonly owning = new AbortController();
  readonly ended: Promise<End>;
  #end!: (end: End) => void;
  #wake: (() => void)[] = [];

  constructor(membership: { readonly memberId: string; readonly generationId: number; readonly leads: boolean }) {
    this.memberId = membership.memberId;
    this.generationId = membership.generationId;
    this.leads = membership.leads;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** Stops fetching; the first reason counts, but a loss always takes effect. */
  end(end: End): void {
    if (end.lost) this.owning.abort();
    this.fetching.abort();
    this.#end(end);
    this.wake();
  }

  partition({ topic, partition }: TopicPartition): OwnedPartition | undefined {
    return this.partitions.get(keyOf(topic, partition));
  }

  add(owned: OwnedPartition): void {
    this.partitions.set(keyOf(owned.at.topic, owned.at.partition), owned);
  }

  /** Resolves at the next `wake`. */
  sleep(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  wake(): void {
    for (const resolve of this.#wake.splice(0)) resolve();
  }
}

/** The partition that delivered a record, or the one that now holds its place if the record is a copy. */
export function ownerOf(record: SourceRecord, current: Assignment | undefined): OwnedPartition | undefined {
  return DeliveredRecord.ownerOf(record) ?? current?.partition(record);
}

function keyOf(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}
