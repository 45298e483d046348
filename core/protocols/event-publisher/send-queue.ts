import { setMaxListeners } from "node:events";
import type { Clock } from "../../clock.ts";
import type { HexkitError } from "../../errors.ts";
import type { Logger } from "../../logging.ts";
import { longestTimerMs } from "../../promise.ts";
import type { EventPublisherDriver, OutgoingRecord } from "./driver.ts";
import { about, Entry, type Failure, fate } from "./entry.ts";
import { type LaneSurroundings, SendLane } from "./send-lane.ts";

export interface QueueSurroundings {
  readonly driver: EventPublisherDriver;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly deliveryTimeoutMs: number;
  mapError(error: unknown, operation: string, subject: string): HexkitError;
  error(code: HexkitError["code"], message: string, cause?: unknown): HexkitError;
}

/** What one caller's signal may withdraw. */
interface Withdrawal {
  readonly entries: Set<Entry>;
  readonly onAbort: () => void;
}

interface Topic {
  ready: boolean;
  preparing: boolean;
  waiting: Entry[];
}

const retryDelayMs = { first: 100, most: 1_000 };

/**
 * Gathers records into batches: whatever arrives while a lane's batch is under way goes into its next one. One batch
 * per lane at a time keeps the order; lanes do not wait for each other. Retriable failures are repeated until the
 * record's deadline; a record that fails for good takes those of its topic and key that wait behind it along.
 */
export class SendQueue {
  readonly #with: QueueSurroundings;
  readonly #topics = new Map<string, Topic>();
  readonly #lanes = new Map<string, SendLane>();
  readonly #forLanes: LaneSurroundings;
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
    this.#forLanes = {
      driver: surroundings.driver,
      logger: surroundings.logger,
      stopped: this.#stopped.signal,
      mapError: (error, entry) => surroundings.mapError(error, "publish", `to topic ${JSON.stringify(entry.record.topic)}`),
      expire: () => this.#expire(),
      failBehind: (failed) => this.#failBehind(failed),
      outOfOrder: (entry, cause) => this.#outOfOrder(entry, cause),
      prepare: (topic) => this.#tryPrepare(topic),
      pause: (attempt) => this.#pause(attempt),
      idle: (lane) => this.#lanes.delete(lane.name),
    };
  }

  /** Records that are not settled yet. */
  get size(): number {
    return this.#live.size;
  }

  /** Records that were ever added. */
  get added(): number {
    return this.#turns;
  }

  /** Resolves when the record is stored. */
  add(record: OutgoingRecord, signal: AbortSignal | undefined): Promise<void> {
    const { clock, deliveryTimeoutMs } = this.#with;
    const entry = new Entry(record, clock.now() + deliveryTimeoutMs, this.#turns++, signal, this.#settled);
    this.#live.add(entry);
    if (signal !== undefined) this.#watch(signal, entry);
    if (this.#live.size === 1) this.#scheduleSweep();
    const topic = this.#topic(record.topic);
    if (topic.ready) this.#enqueue(entry);
    else {
      topic.waiting.push(entry);
      if (!topic.preparing) void this.#prepare(record.topic, topic);
    }
    return entry.answer;
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
      entry.settle(this.#forLanes.mapError(error, entry));
      return;
    }
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = new SendLane(name, this.#forLanes);
      this.#lanes.set(name, lane);
    }
    lane.add(entry);
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
