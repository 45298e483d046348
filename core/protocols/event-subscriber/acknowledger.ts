import type { Clock } from "../../clock.ts";
import type { HexkitError } from "../../errors.ts";
import type { EventSource } from "./driver.ts";
import type { Task } from "./partition.ts";

export interface AcknowledgerOptions {
  readonly every: number;
  readonly intervalMs: number;
  readonly clock: Clock;
  mapError(error: unknown): HexkitError;
  onFailure(error: HexkitError): void;
}

/** How often the last acknowledgement is tried, and how long the pause after its first failure is. */
const lastAttempts = 4;
const lastPauseMs = 100;

/**
 * Gathers settled records and acknowledges them together: after `every` records, after `intervalMs`, or on `flush`.
 * One acknowledgement at a time; a retriable failure is repeated after the interval. Records of partitions that are gone are forgotten.
 */
export class Acknowledger {
  readonly #options: AcknowledgerOptions;
  #source: EventSource | undefined;
  #settled: Task[] = [];
  /** The last acknowledgement failed: the next one waits for its interval, however much is settled meanwhile. */
  #failing = false;
  #timer: NodeJS.Timeout | undefined;
  #underWay: Promise<void> | undefined;

  constructor(options: AcknowledgerOptions) {
    this.#options = options;
  }

  /** Records settled before are acknowledged from here on. */
  attach(source: EventSource): void {
    this.#source = source;
    if (this.#settled.length > 0) this.#schedule();
  }

  add(task: Task): void {
    this.#settled.push(task);
    if (this.#due && this.#underWay === undefined) void this.flush();
    else this.#schedule();
  }

  /** Resolves once everything settled until now has been acknowledged or has failed to be. Never rejects. */
  async flush(): Promise<void> {
    while (this.#underWay !== undefined) await this.#underWay;
    this.#underWay = this.#acknowledge().finally(() => {
      this.#underWay = undefined;
      if (this.#due) void this.flush();
    });
    await this.#underWay;
  }

  /** `flush` for the last time: a retriable failure is repeated a few times, until `signal` aborts. */
  async finish(signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      await this.flush();
      if (!this.#failing || attempt === lastAttempts || signal.aborted || this.#source === undefined) return;
      await this.#options.clock.sleep(lastPauseMs * 2 ** (attempt - 1), signal);
    }
  }

  /** Nothing is acknowledged any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#source = undefined;
  }

  get #due(): boolean {
    return this.#settled.length >= this.#options.every && !this.#failing && this.#source !== undefined;
  }

  #schedule(): void {
    if (this.#source === undefined) return;
    this.#timer ??= setTimeout(() => void this.flush(), this.#options.intervalMs);
  }

  async #acknowledge(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#source === undefined) return;
    // A partition that is gone may come back: then its records are delivered again, and these are not the same.
    const tasks = this.#settled.filter(({ partition }) => partition.state !== "gone");
    this.#settled = [];
    if (tasks.length === 0) {
      this.#failing = false;
      return;
    }
    try {
      await this.#source.acknowledge(
        tasks.map(({ record }) => record),
        {},
      );
      this.#failing = false;
    } catch (error) {
      const mapped = this.#options.mapError(error);
      this.#failing = mapped.retryable;
      if (mapped.retryable) {
        this.#settled.unshift(...tasks);
        this.#schedule();
      }
      this.#options.onFailure(mapped);
    }
  }
}
