import type { Clock } from "../../clock.ts";
import type { HexkitError } from "../../errors.ts";
import type { Logger } from "../../logging.ts";
import { deferred } from "../../promise.ts";
import type { EventPublisherDriver, OutgoingRecord } from "./driver.ts";

export interface QueueSurroundings {
  readonly driver: EventPublisherDriver;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly deliveryTimeoutMs: number;
  mapError(error: unknown, operation: string, subject: string): HexkitError;
  error(code: HexkitError["code"], message: string, cause?: unknown): HexkitError;
}

/** A record on its way. `settled` as soon as its caller has been answered, also if it is still in flight. */
interface Entry {
  readonly record: OutgoingRecord;
  readonly sizeBytes: number;
  readonly deadline: number;
  settled: boolean;
  inFlight: boolean;
  lastError: HexkitError | undefined;
  readonly settle: (error?: HexkitError) => void;
}

interface Lane {
  readonly name: string;
  queue: Entry[];
  running: boolean;
  /** As many records to be sent one by one, because together they were too large. */
  single: number;
}

interface Topic {
  ready: boolean;
  preparing: boolean;
  waiting: Entry[];
}

const maxBatchRecords = 5_000;
/** What a record takes in a batch beyond key, value and headers; generous, it only bounds the size of a batch. */
const overheadBytes = 128;
const retryDelayMs = { first: 100, most: 1_000 };

/**
 * Gathers records into batches: whatever arrives while a lane's batch is under way goes into its next one. One batch
 * per lane at a time keeps the order; lanes do not wait for each other. Retriable failures are repeated until the
 * record's deadline; a record that fails for good takes those of its topic and key that wait behind it along.
 */
export class SendQueue {
  readonly #with: QueueSurroundings;
  readonly #topics = new Map<string, Topic>();
  readonly #lanes = new Map<string, Lane>();
  /** Everything not yet settled, in order of its deadline. */
  readonly #live = new Set<Entry>();
  readonly #stopped = new AbortController();
  #sweep: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  constructor(surroundings: QueueSurroundings) {
    this.#with = surroundings;
  }

  /** Resolves when the record is stored. */
  add(record: OutgoingRecord, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = deferred<void>();
    const onAbort = (): void => entry.settle(this.#aborted(entry, signal?.reason));
    const headerBytes = record.headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
    const entry: Entry = {
      record,
      sizeBytes: record.key.length + record.value.length + headerBytes + overheadBytes,
      deadline: this.#with.clock.now() + this.#with.deliveryTimeoutMs,
      settled: false,
      inFlight: false,
      lastError: undefined,
      settle: (error) => {
        if (entry.settled) return;
        entry.settled = true;
        signal?.removeEventListener("abort", onAbort);
        this.#live.delete(entry);
        if (error === undefined) resolve();
        else reject(error);
        if (this.#live.size === 0) for (const wake of this.#idle.splice(0)) wake();
      },
    };
    this.#live.add(entry);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#scheduleSweep();
    const topic = this.#topic(record.topic);
    if (topic.ready) this.#enqueue(entry);
    else {
      topic.waiting.push(entry);
      if (!topic.preparing) void this.#prepare(record.topic, topic);
    }
    return promise;
  }

  /** Resolves when nothing is waiting or in flight; once `signal` aborts, the rest is refused and nothing more is sent. */
  async flush(signal: AbortSignal): Promise<void> {
    const giveUp = (): void => {
      this.#stopped.abort();
      for (const entry of this.#live) {
        entry.settle(
          this.#with.error(
            "ERR_HEXKIT_CLOSED",
            `${about(entry)}: not acknowledged before the time for closing was over; it may or may not have been stored`,
            entry.lastError,
          ),
        );
      }
    };
    if (this.#live.size > 0) {
      if (signal.aborted) giveUp();
      else {
        signal.addEventListener("abort", giveUp, { once: true });
        await new Promise<void>((resolve) => {
          if (this.#live.size === 0) resolve();
          else this.#idle.push(resolve);
        });
        signal.removeEventListener("abort", giveUp);
      }
    }
    this.#stopped.abort();
    clearTimeout(this.#sweep);
  }

  #topic(name: string): Topic {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = { ready: false, preparing: false, waiting: [] };
      this.#topics.set(name, topic);
    }
    return topic;
  }

  async #prepare(name: string, topic: Topic): Promise<void> {
    topic.preparing = true;
    for (let attempt = 0; !this.#stopped.signal.aborted; attempt += 1) {
      const error = await this.#tryPrepare(name);
      topic.waiting = topic.waiting.filter((entry) => !entry.settled);
      if (error === undefined) {
        topic.ready = true;
        for (const entry of topic.waiting.splice(0)) this.#enqueue(entry);
        break;
      }
      for (const entry of topic.waiting) entry.lastError = error;
      if (!error.retryable) for (const entry of topic.waiting.splice(0)) entry.settle(error);
      if (topic.waiting.length === 0) break;
      await this.#pause(attempt);
    }
    topic.preparing = false;
  }

  async #tryPrepare(topic: string): Promise<HexkitError | undefined> {
    try {
      await this.#with.driver.prepare(topic, { signal: this.#stopped.signal });
      return undefined;
    } catch (error) {
      return this.#with.mapError(error, "publish", `to topic ${JSON.stringify(topic)}`);
    }
  }

  #enqueue(entry: Entry): void {
    let name: string;
    try {
      name = this.#with.driver.lane(entry.record);
    } catch (error) {
      entry.settle(this.#with.mapError(error, "publish", `to topic ${JSON.stringify(entry.record.topic)}`));
      return;
    }
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = { name, queue: [], running: false, single: 0 };
      this.#lanes.set(name, lane);
    }
    lane.queue.push(entry);
    if (lane.running) return;
    lane.running = true;
    // Not at once: whatever else is published in this turn of the event loop joins the batch.
    const start = lane;
    setImmediate(() => void this.#run(start));
  }

  async #run(lane: Lane): Promise<void> {
    let attempt = 0;
    while (!this.#stopped.signal.aborted) {
      const batch = this.#take(lane);
      if (batch.length === 0) break;
      const failed = await this.#send(lane, batch);
      if (failed === undefined) {
        attempt = 0;
        continue;
      }
      this.#with.logger.debug({ error: failed, lane: lane.name, attempt }, "publishing failed, trying again");
      await this.#pause(attempt);
      attempt += 1;
      const topic = lane.queue[0]?.record.topic;
      if (topic !== undefined) await this.#tryPrepare(topic);
    }
    lane.running = false;
    // Its queue grew between the last look and now only if nothing was awaited, so an idle lane is really empty.
    if (lane.queue.length === 0) this.#lanes.delete(lane.name);
  }

  #take(lane: Lane): Entry[] {
    lane.queue = lane.queue.filter((entry) => !entry.settled);
    const most = lane.single > 0 ? 1 : maxBatchRecords;
    if (lane.single > 0) lane.single -= 1;
    let sizeBytes = 0;
    let count = 0;
    for (const entry of lane.queue) {
      sizeBytes += entry.sizeBytes;
      if (count > 0 && (count === most || sizeBytes > this.#with.driver.maxRecordBytes)) break;
      count += 1;
    }
    const batch = lane.queue.splice(0, count);
    for (const entry of batch) entry.inFlight = true;
    return batch;
  }

  /** Sends a batch once and settles what is final; puts the rest back in front and returns why. */
  async #send(lane: Lane, batch: readonly Entry[]): Promise<HexkitError | undefined> {
    const errors = await this.#trySend(lane, batch);
    for (const entry of batch) entry.inFlight = false;
    if (batch.length > 1 && errors.every((error) => error?.code === "ERR_HEXKIT_MESSAGE_TOO_LARGE")) {
      // Each may fit where all together did not.
      lane.single = batch.length;
      lane.queue.unshift(...batch);
      return undefined;
    }
    const again: Entry[] = [];
    let reason: HexkitError | undefined;
    batch.forEach((entry, index) => {
      const error = errors[index];
      if (error === undefined) entry.settle();
      else if (error.retryable && !entry.settled) {
        entry.lastError = error;
        reason = error;
        again.push(entry);
      } else if (!entry.settled) {
        entry.settle(error);
        this.#failBehind(lane, entry, error);
      }
    });
    lane.queue.unshift(...again.filter((entry) => !entry.settled));
    return reason;
  }

  async #trySend(lane: Lane, batch: readonly Entry[]): Promise<readonly (HexkitError | undefined)[]> {
    const map = (error: unknown, entry: Entry): HexkitError =>
      this.#with.mapError(error, "publish", `to topic ${JSON.stringify(entry.record.topic)}`);
    try {
      const outcomes = await this.#with.driver.send(
        lane.name,
        batch.map((entry) => entry.record),
        { signal: this.#stopped.signal },
      );
      return batch.map((entry, index) => {
        const error = outcomes[index]?.error;
        return error === undefined ? undefined : map(error, entry);
      });
    } catch (error) {
      return batch.map((entry) => map(error, entry));
    }
  }

  /** The order of a key is kept by not sending what waits behind a failed event. */
  #failBehind(lane: Lane, failed: Entry, cause: HexkitError): void {
    for (const entry of lane.queue) {
      if (!entry.settled && entry.record.key === failed.record.key && entry.record.topic === failed.record.topic) {
        entry.settle(
          this.#with.error(
            "ERR_HEXKIT_EVENT_ORDER",
            `${about(entry)}: not sent, because an earlier event with the same key failed: ${cause.message}`,
            cause,
          ),
        );
      }
    }
  }

  #pause(attempt: number): Promise<void> {
    const ms = Math.min(retryDelayMs.first * 2 ** attempt, retryDelayMs.most);
    return this.#with.clock.sleep(ms * (0.5 + Math.random() / 2), this.#stopped.signal);
  }

  #scheduleSweep(): void {
    if (this.#sweep !== undefined) return;
    const [first] = this.#live;
    if (first === undefined) return;
    // Unreferenced: what keeps a process with events under way alive is its connection.
    this.#sweep = setTimeout(() => this.#expire(), Math.max(1, first.deadline - this.#with.clock.now())).unref();
  }

  #expire(): void {
    this.#sweep = undefined;
    const now = this.#with.clock.now();
    for (const entry of this.#live) {
      if (entry.deadline > now) break;
      const fact = entry.lastError === undefined ? "the broker did not answer" : entry.lastError.message;
      const timeout = `not acknowledged within ${this.#with.deliveryTimeoutMs} ms; it may or may not have been stored: ${fact}`;
      entry.settle(this.#with.error("ERR_HEXKIT_TIMEOUT", `${about(entry)}: ${timeout}`, entry.lastError));
    }
    this.#scheduleSweep();
  }

  #aborted(entry: Entry, reason: unknown): HexkitError {
    const note = entry.inFlight ? "; it may or may not have been stored" : "; it was not sent";
    return this.#with.error("ERR_HEXKIT_ABORTED", `${about(entry)}: aborted by its signal${note}`, reason);
  }
}

function about(entry: Entry): string {
  return `publish to topic ${JSON.stringify(entry.record.topic)}`;
}
