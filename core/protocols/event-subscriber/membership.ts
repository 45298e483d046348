import type { Clock } from "../../clock.ts";
import type { HexkitError } from "../../errors.ts";
import { settlesWithin } from "../../promise.ts";
import type { EventSink, EventSource, EventSubscriberDriver, JoinRequest } from "./driver.ts";

export interface MembershipOptions {
  readonly driver: EventSubscriberDriver;
  readonly request: JoinRequest;
  readonly clock: Clock;
  /** How often in a row it is joined again. */
  readonly maxRestarts: number;
  /** A membership that lasted so long was a success: the count begins anew. */
  readonly provenMs: number;
  /** Aborts when the subscription begins to end: nothing is joined any more. */
  readonly ended: AbortSignal;
  /** Aborts when nothing is waited for any more. */
  readonly abandoned: AbortSignal;
  /** What the source in charge calls. */
  readonly sink: Omit<EventSink, "failed">;
  mapError(error: unknown, operation: "subscribe" | "consume"): HexkitError;
  joined(source: EventSource): void;
  /** The source is left because of `error`: everything it delivered is lost. */
  lost(error: HexkitError): void;
  /** It is not joined again. */
  failed(error: HexkitError): void;
  leftUncleanly(error: unknown): void;
}

/** What the leaving of a group may take. */
export const farewellMs = 5_000;
const restartDelayMs = { first: 250, most: 10_000 };

/**
 * The membership in a group over all its restarts: when a source gives up for now, it is left, and the group is joined again after a
 * pause that grows. A source that has been left is not listened to any more.
 */
export class Membership {
  readonly #options: MembershipOptions;
  #restarts = 0;
  /** Restarts since the last progress. */
  #inARow = 0;
  #joinedMs: number | undefined;
  #joining: Promise<EventSource> | undefined;
  #source: EventSource | undefined;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  get source(): EventSource | undefined {
    return this.#source;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Something was settled: what failed before does not count any more. */
  progressed(): void {
    this.#inARow = 0;
  }

  async join(): Promise<void> {
    const { driver, request, ended } = this.#options;
    if (ended.aborted) return;
    const generation = this.#restarts;
    try {
      // Known before it begins: a source that gives up while it joins is to be left as well.
      this.#joining = Promise.resolve().then(() => driver.join(request, this.#sink(generation)));
      const source = await this.#joining;
      // Whoever went on without it leaves it.
      if (ended.aborted || generation !== this.#restarts) return;
      this.#source = source;
      this.#options.joined(source);
    } catch (error) {
      if (generation === this.#restarts) this.#failed(this.#options.mapError(error, "subscribe"));
    }
  }

  #sink(generation: number): EventSink {
    const { sink, clock } = this.#options;
    const current = (): boolean => generation === this.#restarts;
    return {
      assigned: (partitions) => {
        if (!current()) return;
        this.#joinedMs ??= clock.now();
        sink.assigned(partitions);
      },
      records: (partition, records) => {
        if (current()) sink.records(partition, records);
      },
      revoked: async (partitions, options) => {
        if (current()) await sink.revoked(partitions, options);
      },
      trouble: (trouble) => {
        if (current()) sink.trouble(trouble);
      },
      failed: (error) => {
        if (current()) this.#failed(this.#options.mapError(error, "consume"));
      },
    };
  }

  #failed(error: HexkitError): void {
    if (!error.retryable) {
      this.#options.failed(error);
      return;
    }
    const { clock, provenMs, maxRestarts } = this.#options;
    if (this.#joinedMs !== undefined && clock.now() - this.#joinedMs >= provenMs) this.#inARow = 0;
    if (this.#inARow >= maxRestarts) {
      this.#options.failed(error);
      return;
    }
    this.#inARow += 1;
    void this.restart(error);
  }

  /** Leaves the group and joins it again. */
  async restart(error: HexkitError): Promise<void> {
    const { clock, ended, lost } = this.#options;
    if (ended.aborted) return;
    const pauseMs = Math.min(restartDelayMs.first * 2 ** Math.max(0, this.#inARow - 1), restartDelayMs.most);
    // From here on the source is a stranger, whatever it still calls.
    this.#restarts += 1;
    lost(error);
    await this.leave();
    this.#joining = undefined;
    this.#source = undefined;
    this.#joinedMs = undefined;
    await clock.sleep(pauseMs, ended);
    await this.join();
  }

  /** Leaves the group, also if joining ends only later. Waits for neither forever. */
  async leave(): Promise<void> {
    await settlesWithin(this.#leave(this.#joining, this.#source), farewellMs, this.#options.abandoned);
  }

  async #leave(joining: Promise<EventSource> | undefined, joined: EventSource | undefined): Promise<void> {
    try {
      const source = await joining;
      await source?.leave();
    } catch (error) {
      // That joining failed has been said already.
      if (joined !== undefined) this.#options.leftUncleanly(error);
    }
  }
}
