import type { HexkitError } from "../../errors.ts";
import type { Logger } from "../../logging.ts";
import type { EventPublisherDriver } from "./driver.ts";
import type { Entry, Failure } from "./entry.ts";

/** What a lane needs of its queue. */
export interface LaneSurroundings {
  readonly driver: EventPublisherDriver;
  readonly logger: Logger;
  /** Aborts when nothing is sent any more. */
  readonly stopped: AbortSignal;
  mapError(error: unknown, entry: Entry): HexkitError;
  /** Refuses what was not acknowledged in time. */
  expire(): void;
  /** Settles what must not be sent because of these. */
  failBehind(failed: readonly Failure[]): void;
  outOfOrder(entry: Entry, cause: HexkitError): HexkitError;
  prepare(topic: string): Promise<unknown>;
  pause(attempt: number): Promise<void>;
  /** The lane has nothing to do any more. */
  idle(lane: SendLane): void;
}

const maxBatchRecords = 5_000;

/** Sends the records of one ordered channel, one batch at a time. */
export class SendLane {
  readonly name: string;
  readonly #with: LaneSurroundings;
  #queue: Entry[] = [];
  #running = false;
  /** As many records to be sent one by one, because together they were too large. */
  #single = 0;

  constructor(name: string, surroundings: LaneSurroundings) {
    this.name = name;
    this.#with = surroundings;
  }

  add(entry: Entry): void {
    this.#queue.push(entry);
    if (this.#running) return;
    this.#running = true;
    this.#next(0);
  }

  /**
   * Not at once: whatever else is published in this turn of the event loop joins the batch, and a driver that answers
   * without I/O cannot keep everything else waiting.
   */
  #next(attempt: number): void {
    setImmediate(() => void this.#run(attempt));
  }

  async #run(attempt: number): Promise<void> {
    const batch = this.#with.stopped.aborted ? [] : this.#take();
    if (batch.length === 0) {
      this.#running = false;
      if (this.#queue.length === 0) this.#with.idle(this);
      return;
    }
    const failed = await this.#send(batch);
    if (failed === undefined) {
      this.#next(0);
      return;
    }
    this.#with.logger.debug({ error: failed, lane: this.name, attempt }, "publishing failed, trying again");
    await this.#with.pause(attempt);
    const topic = this.#queue[0]?.record.topic;
    if (topic !== undefined) await this.#with.prepare(topic);
    this.#next(attempt + 1);
  }

  #take(): Entry[] {
    this.#with.expire();
    this.#queue = this.#queue.filter((entry) => !entry.settled);
    const most = this.#single > 0 ? 1 : maxBatchRecords;
    if (this.#single > 0) this.#single -= 1;
    let sizeBytes = 0;
    let count = 0;
    for (const entry of this.#queue) {
      sizeBytes += entry.sizeBytes;
      if (count > 0 && (count === most || sizeBytes > this.#with.driver.maxRecordBytes)) break;
      count += 1;
    }
    const batch = this.#queue.splice(0, count);
    for (const entry of batch) {
      entry.inFlight = true;
      entry.sent = true;
    }
    return batch;
  }

  /** Sends a batch once and settles what is final; puts the rest back in front and returns why. */
  async #send(batch: readonly Entry[]): Promise<HexkitError | undefined> {
    const errors = await this.#trySend(batch);
    for (const entry of batch) entry.inFlight = false;
    if (batch.length > 1 && errors.every((error) => error?.code === "ERR_HEXKIT_MESSAGE_TOO_LARGE")) {
      // Each may fit where all together did not.
      this.#single = batch.length;
      this.#queue.unshift(...batch);
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
    this.#with.failBehind(failed);
    for (const entry of again) if (entry.overtaking !== undefined) entry.settle(this.#with.outOfOrder(entry, entry.overtaking));
    this.#queue.unshift(...again.filter((entry) => !entry.settled));
    return reason;
  }

  async #trySend(batch: readonly Entry[]): Promise<readonly (HexkitError | undefined)[]> {
    const { driver, mapError, stopped } = this.#with;
    try {
      const outcomes = await driver.send(
        this.name,
        batch.map((entry) => entry.record),
        { signal: stopped },
      );
      return batch.map((entry, index) => {
        const outcome = outcomes[index];
        if (outcome === undefined) return mapError(new Error("the driver gave no outcome; it may or may not have been stored"), entry);
        return outcome.error === undefined ? undefined : mapError(outcome.error, entry);
      });
    } catch (error) {
      return batch.map((entry) => mapError(error, entry));
    }
  }
}
