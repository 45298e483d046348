import type { HexkitError } from "../../errors.ts";
import type { EventSource, SourceRecord } from "./driver.ts";

/**
 * Gathers settled records and acknowledges them together: after `every` records, after `intervalMs`, or on `flush`.
 * One acknowledgement at a time; a retriable failure is repeated with the next one.
 */
export class Acknowledger {
  readonly #options: { readonly every: number; readonly intervalMs: number };
  readonly #map: (error: unknown) => HexkitError;
  readonly #onFailure: (error: HexkitError) => void;
  #source: EventSource | undefined;
  #settled: SourceRecord[] = [];
  #timer: NodeJS.Timeout | undefined;
  #underWay: Promise<void> | undefined;

  constructor(
    options: { readonly every: number; readonly intervalMs: number },
    map: (error: unknown) => HexkitError,
    onFailure: (error: HexkitError) => void,
  ) {
    this.#options = options;
    this.#map = map;
    this.#onFailure = onFailure;
  }

  /** Records settled before are acknowledged from here on. */
  attach(source: EventSource): void {
    this.#source = source;
    if (this.#settled.length > 0) this.#schedule();
  }

  add(record: SourceRecord): void {
    this.#settled.push(record);
    if (this.#settled.length >= this.#options.every && this.#underWay === undefined) void this.flush();
    else this.#schedule();
  }

  /** Resolves once everything settled until now has been acknowledged or has failed to be. Never rejects. */
  async flush(): Promise<void> {
    while (this.#underWay !== undefined) await this.#underWay;
    this.#underWay = this.#acknowledge().finally(() => {
      this.#underWay = undefined;
      if (this.#settled.length >= this.#options.every && this.#timer === undefined) void this.flush();
    });
    await this.#underWay;
  }

  /** Nothing is acknowledged any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#source = undefined;
  }

  #schedule(): void {
    if (this.#source === undefined) return;
    this.#timer ??= setTimeout(() => void this.flush(), this.#options.intervalMs);
  }

  async #acknowledge(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const records = this.#settled;
    if (records.length === 0 || this.#source === undefined) return;
    this.#settled = [];
    try {
      await this.#source.acknowledge(records, {});
    } catch (error) {
      const mapped = this.#map(error);
      if (mapped.retryable) {
        this.#settled.unshift(...records);
        this.#schedule();
      }
      this.#onFailure(mapped);
    }
  }
}
