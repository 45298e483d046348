import type { Clock } from "../../clock.ts";

export interface WatchdogOptions {
  readonly stallTimeoutMs: number;
  readonly clock: Clock;
  /** The handler that has been running longest. */
  oldestHandler(): { readonly sinceMs: number; readonly place: string } | undefined;
  /** When a record came last, and how many lie behind it in the broker; `undefined` while there is no reason to wait for any. */
  waiting(): { readonly sinceMs: number; readonly lag: number } | undefined;
  /** Something has made no progress for too long; `undefined` when that is over. */
  stalled(reason: string | undefined): void;
  /** Records lie in the broker and none comes. */
  starved(reason: string): void;
}

const longestPauseMs = 5_000;
/** The patience with a source that brings nothing, in stall times: doubled whenever joining again has not helped. */
const mostPatience = 32;

/** Looks at intervals whether a subscription makes progress, and says so when it does not. It never ends a handler. */
export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #timer: NodeJS.Timeout;
  #patience = 1;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), Math.max(1, Math.min(options.stallTimeoutMs / 4, longestPauseMs))).unref();
  }

  /** Records have come. */
  delivered(): void {
    this.#patience = 1;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { clock, stallTimeoutMs, oldestHandler, waiting, stalled, starved } = this.#options;
    const now = clock.now();
    const handler = oldestHandler();
    const slow = handler !== undefined && now - handler.sinceMs >= stallTimeoutMs;
    stalled(slow ? `the handler of the record ${handler.place} has not ended for ${stallTimeoutMs} ms or more` : undefined);
    const empty = waiting();
    if (empty === undefined || empty.lag <= 0) return;
    const waitedMs = now - empty.sinceMs;
    if (waitedMs < stallTimeoutMs * this.#patience) return;
    this.#patience = Math.min(this.#patience * 2, mostPatience);
    starved(`nothing was delivered for ${waitedMs} ms although ${empty.lag} records wait in the broker`);
  }
}
