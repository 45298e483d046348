import type { HexkitError } from "../../errors.ts";
import type { OutgoingRecord } from "./driver.ts";

/** What a record takes in a batch beyond key, value and headers; generous, it only bounds the size of a batch. */
const overheadBytes = 128;

/** A record on its way. `settled` as soon as its caller has been answered, also if it is still in flight. */
export class Entry {
  readonly record: OutgoingRecord;
  readonly sizeBytes: number;
  readonly deadline: number;
  /** Grows with every call. */
  readonly turn: number;
  readonly signal: AbortSignal | undefined;
  readonly answer: Promise<void>;
  settled = false;
  inFlight = false;
  /** Whether the driver has had it at least once. */
  sent = false;
  lastError: HexkitError | undefined;
  /** Why it must not be sent again: an earlier event of its key failed while it was in flight itself. */
  overtaking: HexkitError | undefined;
  readonly #settled: (entry: Entry) => void;
  #resolve!: () => void;
  #reject!: (error: HexkitError) => void;

  constructor(record: OutgoingRecord, deadline: number, turn: number, signal: AbortSignal | undefined, settled: (entry: Entry) => void) {
    this.record = record;
    let sizeBytes = record.key.length + record.value.length + overheadBytes;
    for (const [name, value] of record.headers) sizeBytes += name.length + value.length;
    this.sizeBytes = sizeBytes;
    this.deadline = deadline;
    this.turn = turn;
    this.signal = signal;
    this.#settled = settled;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Topic and key: what is equal here stays in order. */
  get order(): string {
    const { topic, key } = this.record;
    return `${topic.length}/${topic}${key}`;
  }

  settle(error?: HexkitError): void {
    if (this.settled) return;
    this.settled = true;
    this.#settled(this);
    if (error === undefined) this.#resolve();
    else this.#reject(error);
  }
}

/** An event that failed for good. */
export interface Failure {
  readonly entry: Entry;
  readonly error: HexkitError;
}

export function about(entry: Entry): string {
  return `publish to topic ${JSON.stringify(entry.record.topic)}`;
}

export function fate(entry: Entry): string {
  return entry.sent ? "it may or may not have been stored" : "it was not sent";
}
