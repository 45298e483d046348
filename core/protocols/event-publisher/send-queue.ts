import { setMaxListeners } from "node:events";
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
class Entry {
  readonly record: OutgoingRecord;
  readonly sizeBytes: number;
  readonly deadline: number;
  /** Grows with every call. */
  readonly turn: number;
  readonly signal: AbortSignal | undefined;
  readonly answer = deferred<void>();
  settled = false;
  inFlight = false;
  /** Whether the driver has had it at least once. */
  sent = false;
  lastError: HexkitError | undefined;
  /** Why it must not be sent again: an earlier event of its key failed while it was in flight itself. */
  overtaking: HexkitError | undefined;
  readonly #settled: (entry: Entry) => void;

  constructor(record: OutgoingRecord, deadline: number, turn: number, signal: AbortSignal | undefined, settled: (entry: Entry) => void) {
    this.record = record;
    let sizeBytes = record.key.length + record.value.length + overheadBytes;
    for (const [name, value] of record.headers) sizeBytes += name.length + value.length;
    this.sizeBytes = sizeBytes;
    this.deadline = deadline;
    this.turn = turn;
    this.signal = signal;
    this.#settled = settled;
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
    if (error === undefined) this.answer.resolve();
    else this.answer.reject(error);
  }
}

/** An event that failed for good. */
interface Failure {
  readonly entry: Entry;
  readonly error: HexkitError;
}

/** What one caller's signal may withdraw. */
interface Withdrawal {
  readonly entries: Set<Entry>;
  readonly onAbort: () => void;
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
/** The longest that a timer of Node waits; it takes more for nothing. */
const longestTimerMs = 2 ** 31 - 1;

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
  readonly #withdrawals = new Map<AbortSignal, Withdrawal>();
  #turns = 0;
  #sweep: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  constructor(surroundings: QueueSurroundings) {
    this.#with = surroundings;
    // Every lane in trouble listens to it.
    setMaxListeners(0, this.#stopped.signal);
  }

  /** Resolves when the record is stored. */
  add(record: OutgoingRecord, signal: AbortSignal | undefined): Promise<void> {
    const { clock, deliveryTimeoutMs } = this.#with;
    const entry = new Entry(record, clock.now() + deliveryTimeoutMs, this.#turns++, signal, this.#settled);
    this.#live.add(entry);
    if (signal !== undefined) this.#watch(signal, entry);
    this.#scheduleSweep();
    const topic = this.#topic(record.topic);
    if (topic.ready) this.#enqueue(entry);
    else {
      topic.waiting.push(entry);
      if (!topic.preparing) void this.#prepare(record.topic, topic);
    }
    return entry.answer.promise;
  }

  readonly #settled = (entry: Entry): void => {
    if (entry.signal !== undefined) this.#unwatch(entry.signal, entry);
    this.#live.delete(entry);
    if (this.#live.size > 0) return;
    // Only events under way keep the process alive.
    this.#sweep?.unref();
    for (const wake of this.#idle.splice(0)) wake();
  };

  /** Resolves when nothing is waiting or in flight; once `signal` aborts, the rest is refused and nothing more is sent. */
  async flush(signal: AbortSignal): Promise<void> {
    const giveUp = (): void => {
      this.#stopped.abort();
      for (const entry of this.#live) {
        entry.settle(
          this.#with.error(
            "ERR_HEXKIT_CLOSED",
            `${about(entry)}: not acknowledged before the time for closing was over; ${fate(entry)}`,
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

  /** One listener per signal, however many events it may withdraw. */
  #watch(signal: AbortSignal, entry: Entry): void {
    let withdrawal = this.#withdrawals.get(signal);
    if (withdrawal === undefined) {
      const entries = new Set<Entry>();
      const onAbort = (): void => {
        for (const each of entries) {
          each.settle(this.#with.error("ERR_HEXKIT_ABORTED", `${about(each)}: aborted by its signal; ${fate(each)}`, signal.reason));
        }
      };
      withdrawal = { entries, onAbort };
      this.#withdrawals.set(signal, withdrawal);
      signal.addEventListener("abort", onAbort, { once: true });
    }
    withdrawal.entries.add(entry);
  }

  #unwatch(signal: AbortSignal, entry: Entry): void {
    const withdrawal = this.#withdrawals.get(signal);
    if (!withdrawal?.entries.delete(entry) || withdrawal.entries.size > 0) return;
    this.#withdrawals.delete(signal);
    signal.removeEventListener("abort", withdrawal.onAbort);
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
      this.#expire();
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
    this.#expire();
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
    for (const entry of batch) {
      entry.inFlight = true;
      entry.sent = true;
    }
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
    const failed: Failure[] = [];
    let reason: HexkitError | undefined;
    batch.forEach((entry, index) => {
      const error = errors[index];
      if (error === undefined) entry.settle();
      else if (error.retryable) {
        entry.lastError = error;
        reason = error;
        again.push(entry);
      } else if (!entry.settled) {
        entry.settle(error);
        failed.push({ entry, error });
      }
    });
    this.#failBehind(failed);
    for (const entry of again) if (entry.overtaking !== undefined) entry.settle(this.#outOfOrder(entry, entry.overtaking));
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
        const outcome = outcomes[index];
        if (outcome === undefined) return map(new Error("the driver gave no outcome; it may or may not have been stored"), entry);
        return outcome.error === undefined ? undefined : map(outcome.error, entry);
      });
    } catch (error) {
      return batch.map((entry) => map(error, entry));
    }
  }

  /** The order of a key is kept by not sending what waits behind a failed event. */
  #failBehind(failed: readonly Failure[]): void {
    if (failed.length === 0) return;
    const first = new Map<string, Failure>();
    for (const failure of failed) if (!first.has(failure.entry.order)) first.set(failure.entry.order, failure);
    for (const entry of this.#live) {
      const failure = first.get(entry.order);
      if (failure === undefined || entry.turn < failure.entry.turn) continue;
      if (entry.inFlight) entry.overtaking ??= failure.error;
      else entry.settle(this.#outOfOrder(entry, failure.error));
    }
  }

  #outOfOrder(entry: Entry, cause: HexkitError): HexkitError {
    const why = `because an earlier event with the same key failed: ${cause.message}`;
    const fact = entry.sent ? `not sent again, ${why}; ${fate(entry)}` : `not sent, ${why}`;
    return this.#with.error("ERR_HEXKIT_EVENT_ORDER", `${about(entry)}: ${fact}`, cause);
  }

  #pause(attempt: number): Promise<void> {
    const ms = Math.min(retryDelayMs.first * 2 ** attempt, retryDelayMs.most);
    return this.#with.clock.sleep(ms * (0.5 + Math.random() / 2), this.#stopped.signal);
  }

  #scheduleSweep(): void {
    if (this.#sweep !== undefined) {
      this.#sweep.ref();
      return;
    }
    const [first] = this.#live;
    if (first === undefined) return;
    const ms = Math.min(Math.max(1, first.deadline - this.#with.clock.now()), longestTimerMs);
    this.#sweep = setTimeout(() => {
      this.#sweep = undefined;
      this.#expire();
      this.#scheduleSweep();
    }, ms);
  }

  /** Refuses what was not acknowledged in time. */
  #expire(): void {
    const now = this.#with.clock.now();
    const failed: Failure[] = [];
    for (const entry of this.#live) {
      if (entry.deadline > now) break;
      const fact = entry.lastError === undefined ? "the broker did not answer" : entry.lastError.message;
      const timeout = `not acknowledged within ${this.#with.deliveryTimeoutMs} ms; ${fate(entry)}: ${fact}`;
      const error = this.#with.error("ERR_HEXKIT_TIMEOUT", `${about(entry)}: ${timeout}`, entry.lastError);
      entry.settle(error);
      failed.push({ entry, error });
    }
    this.#failBehind(failed);
  }
}

function about(entry: Entry): string {
  return `publish to topic ${JSON.stringify(entry.record.topic)}`;
}

function fate(entry: Entry): string {
  return entry.sent ? "it may or may not have been stored" : "it was not sent";
}
