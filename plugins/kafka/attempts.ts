import type { Clock, Troubles } from "../../core/index.ts";
import { isAnswer } from "./errors.ts";

const pauseMs = { first: 100, most: 2_000 };
/** Failures in a row before anyone is told of a broker that is away. */
const quietFailures = 3;
/** How long brokers get to sort out among themselves who leads a new topic or coordinates a new group. */
const settlingMs = 3_000;

/** One thing that is tried until it works: how long to pause between, and when it becomes a trouble. */
export class Attempts {
  readonly #troubles: Troubles;
  readonly #clock: Clock;
  readonly #cause: string;
  readonly #what: string;
  #failures = 0;
  #sinceMs = 0;

  constructor(troubles: Troubles, clock: Clock, cause: string, what: string) {
    this.#troubles = troubles;
    this.#clock = clock;
    this.#cause = cause;
    this.#what = what;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#troubles.clear(this.#cause);
  }

  /** Pauses, longer each time. */
  async failed(error: unknown, signal: AbortSignal, mostMs = pauseMs.most): Promise<void> {
    if (this.#failures === 0) this.#sinceMs = this.#clock.now();
    this.#failures += 1;
    const lasts = isAnswer(error) ? this.#clock.now() - this.#sinceMs >= settlingMs : this.#failures >= quietFailures;
    if (lasts) this.#troubles.raise(this.#cause, this.#what, error);
    await this.#clock.sleep(Math.min(pauseMs.first * 2 ** (this.#failures - 1), mostMs), signal);
  }
}
