import { setMaxListeners } from "node:events";
import type { SourceRecord, TopicPartition } from "./driver.ts";

/** A record in the hands of the engine. */
export interface Task {
  readonly record: SourceRecord;
  readonly partition: Partition;
  readonly sizeBytes: number;
}

interface Window {
  readonly maxInFlight: number;
  readonly maxBufferedBytes: number;
}

let assignments = 0;

/** One partition during one assignment: what is in flight, whether it is paused, whether handlers may begin or still count. */
export class Partition {
  readonly ref: TopicPartition;
  /** Differs between assignments of the same partition, so that their lanes do not mix. */
  readonly id: number;
  /** `open` · `draining`: nothing new begins, what ends still counts · `gone`: nothing counts any more. */
  state: "open" | "draining" | "gone" = "open";
  paused = false;
  inFlight = 0;
  readonly #window: Window;
  readonly #abort = new AbortController();
  #bytes = 0;
  #running = 0;
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

  take(record: SourceRecord): Task {
    const sizeBytes = (record.key?.length ?? 0) + (record.value?.length ?? 0);
    this.inFlight += 1;
    this.#bytes += sizeBytes;
    return { record, partition: this, sizeBytes };
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

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      if (this.#running === 0) for (const wake of this.#idle.splice(0)) wake();
    }
  }

  /** Resolves when no handler runs. */
  idle(): Promise<void> {
    return this.#running === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Handlers that still run are told to end; nothing that they do counts. */
  close(reason: string): void {
    this.state = "gone";
    this.#abort.abort(new Error(reason));
  }
}
