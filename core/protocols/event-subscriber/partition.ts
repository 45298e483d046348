import { setMaxListeners } from "node:events";
import { bufferOf } from "./decode.ts";
import type { SourceRecord, TopicPartition } from "./driver.ts";
import type { BatchTranslator } from "./event-subscriber.ts";

/** A record in the hands of the engine. */
export interface Task {
  readonly record: SourceRecord;
  readonly partition: Partition;
  readonly sizeBytes: number;
  /** Tasks of one lane are handled one after the other. */
  readonly lane: string;
  /** The translator that takes it in batches, if one does. */
  readonly batch: BatchTranslator | undefined;
  /** Attempts that failed. */
  failures: number;
  /** What the first of them threw. */
  firstError: unknown;
  /** It had not begun when its partition began to drain, and is to run even so. */
  kept: boolean;
}

export interface Window {
  readonly maxInFlight: number;
  readonly maxBufferedBytes: number;
}

let assignments = 0;

/** One partition during one assignment: what is in flight, whether it is paused, whether handlers may begin or still count. */
export class Partition {
  readonly ref: TopicPartition;
  /** Differs between assignments of the same partition, so that their lanes do not mix. */
  readonly id: number;
  /** `open` · `draining`: only gaps are filled, what ends still counts · `gone`: nothing counts any more. */
  state: "open" | "draining" | "gone" = "open";
  paused = false;
  inFlight = 0;
  readonly #window: Window;
  readonly #abort = new AbortController();
  #bytes = 0;
  #running = 0;
  /** Tasks that are kept and have not begun. */
  #kept = 0;
  /** The highest offset of which a handler has begun. */
  #begun = -1;
  /** While draining, nothing begins at this offset or behind it. */
  #limit = Number.POSITIVE_INFINITY;
  #idle: (() => void)[] = [];

  constructor(ref: TopicPartition, window: Window) {
    assignments += 1;
    this.id = assignments;
    this.ref = { topic: ref.topic, partition: ref.partition };
    this.#window = window;
    // Every handler may listen to it at the same time.
    setMaxListeners(0, this.#abort.signal);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  take(record: SourceRecord, batch: BatchTranslator | undefined): Task {
    const { key, value } = record.text ?? record;
    const sizeBytes = (key?.length ?? 0) + (value?.length ?? 0);
    this.inFlight += 1;
    this.#bytes += sizeBytes;
    // Bytes one to one: two keys share a lane only if they are equal, whatever they hold.
    const name = typeof key === "string" ? key : key === null ? "" : bufferOf(key).toString("latin1");
    return { record, partition: this, sizeBytes, lane: `${this.id}/${name}`, batch, failures: 0, firstError: undefined, kept: false };
  }

  settled(task: Task): void {
    this.inFlight -= 1;
    this.#bytes -= task.sizeBytes;
  }

  get full(): boolean {
    return this.inFlight >= this.#window.maxInFlight || this.#bytes >= this.#window.maxBufferedBytes;
  }

  get roomy(): boolean {
    return this.inFlight <= this.#window.maxInFlight / 2 && this.#bytes <= this.#window.maxBufferedBytes / 2;
  }

  /** Whether a record is to be handled. While draining: one that lies before others that have begun, for they count only if it does. */
  admits({ offset }: SourceRecord): boolean {
    return this.state === "open" || (this.state === "draining" && offset < this.#limit);
  }

  /** The record will be delivered again, so that handling what lies behind it would be in vain. */
  giveUp({ offset }: SourceRecord): void {
    this.#limit = Math.min(this.#limit, offset);
  }

  drain(): void {
    if (this.state !== "open") return;
    this.state = "draining";
    this.#limit = Math.min(this.#limit, this.#begun);
  }

  /** The time to drain is over: nothing begins any more, not even to fill a gap. */
  drained(): void {
    this.#limit = -1;
  }

  /** Whether a task that waits is to go on waiting for its turn. While draining, the partition is not idle before it has had it. */
  keeps(task: Task): boolean {
    const kept = this.admits(task.record);
    if (this.state !== "open") this.#keep(task, kept);
    return kept;
  }

  #keep(task: Task, kept: boolean): void {
    if (task.kept === kept) return;
    task.kept = kept;
    this.#kept += kept ? 1 : -1;
    this.#wake();
  }

  /** A task begins. */
  enter(task: Task): void {
    this.#running += 1;
    this.#begun = Math.max(this.#begun, task.record.offset);
    this.#keep(task, false);
  }

  /** A task has ended. */
  exit(): void {
    this.#running -= 1;
    this.#wake();
  }

  #wake(): void {
    if (this.#idle.length > 0 && this.#isIdle) for (const wake of this.#idle.splice(0)) wake();
  }

  /** Resolves when nothing runs or is kept. */
  idle(): Promise<void> {
    return this.#isIdle ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  get #isIdle(): boolean {
    return this.#running === 0 && this.#kept === 0;
  }

  /** Handlers that still run are told to end; nothing that they do counts. */
  close(reason: string): void {
    this.state = "gone";
    this.#abort.abort(new Error(reason));
  }
}
