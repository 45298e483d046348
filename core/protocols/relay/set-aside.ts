import type { Clock } from "../../clock.ts";

const pauseMs = { first: 1_000, most: 60_000 };
const mostRemembered = 10_000;

/** Documents that cannot be published as they are. They are tried again less and less often, and hold up nobody else. */
export class SetAside {
  readonly #clock: Clock;
  readonly #byId = new Map<string, { revision: string; attempts: number; retryAt: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  put(id: string, revision: string): void {
    const before = this.#byId.get(id);
    const attempts = (before?.revision === revision ? before.attempts : 0) + 1;
    this.#byId.delete(id);
    const pause = Math.min(pauseMs.most, pauseMs.first * 2 ** Math.min(attempts - 1, 16));
    this.#byId.set(id, { revision, attempts, retryAt: this.#clock.now() + pause });
    // The one that failed longest ago is forgotten, which means that it is tried sooner.
    const [oldest] = this.#byId.keys();
    if (this.#byId.size > mostRemembered && oldest !== undefined) this.#byId.delete(oldest);
  }

  /** Whether this state of the document is not to be tried yet. One that was written since then is. */
  holds(id: string, revision: string): boolean {
    const held = this.#byId.get(id);
    return held?.revision === revision && held.retryAt > this.#clock.now();
  }

  forget(id: string): void {
    this.#byId.delete(id);
  }

  get size(): number {
    return this.#byId.size;
  }
}
