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

/** Looks at intervals whether a subscription makes progress, and says so when it does not. It never ends a handler. */
export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #timer: NodeJS.Timeout;
  #stalled = false;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), Math.max(1, Math.min(options.stallTimeoutMs / 4, longestPauseMs))).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { clock, stallTimeoutMs, oldestHandler, waiting, stalled, starved } = this.#options;
    const now = clock.now();
    const handler = oldestHandler();
    const slow = handler !== undefined && now - handler.sinceMs >= stallTimeoutMs;
    if (slow) stalled(`the handler of the record ${handler.place} has not ended for ${stallTimeoutMs} ms or more`);
    else if (this.#stalled) stalled(undefined);
    this.#stalled = slow;
    const empty = waiting();
    if (empty !== undefined && empty.lag > 0 && now - empty.sinceMs >= stallTimeoutMs) {
      starved(`nothing was delivered for ${stallTimeoutMs} ms although ${empty.lag} records wait in the broker`);
    }
  }
}
