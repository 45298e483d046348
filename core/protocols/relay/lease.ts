import type { Clock } from "../../clock.ts";
import { newUuid } from "../../uuid.ts";
import type { DaoCalls } from "../dao/calls.ts";
import type { DaoDriver, LeaseAnswer } from "../dao/driver.ts";

/** Part of the lease's time that is not made use of: clocks run at different speeds, and a send takes its time. */
const margin = 0.1;

/** The right to publish what is pending in one collection. One holder at a time, in all processes. */
export class Lease {
  readonly #name: string;
  readonly #driver: DaoDriver;
  readonly #calls: DaoCalls;
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #owner = newUuid();
  #fence: number | undefined;
  #heldUntil = 0;
  #steadyUntil = 0;

  constructor(name: string, driver: DaoDriver, calls: DaoCalls, ttlMs: number) {
    this.#name = name;
    this.#driver = driver;
    this.#calls = calls;
    this.#clock = calls.context.clock;
    this.#ttlMs = ttlMs;
  }

  /**
   * Whether it is ours for certain. Asked right before each send. By two clocks, because the wall clock may be set back and the steady one is
   * not what tests turn.
   */
  get isHeld(): boolean {
    return this.#fence !== undefined && this.#clock.now() < this.#heldUntil && performance.now() < this.#steadyUntil;
  }

  /** Milliseconds between two renewals. */
  get renewalMs(): number {
    return Math.max(1, Math.floor(this.#ttlMs / 3));
  }

  async acquire(signal: AbortSignal): Promise<LeaseAnswer> {
    const hold = this.#holding();
    const claim = { name: this.#name, owner: this.#owner, ttlMs: this.#ttlMs };
    const answer = await this.#calls.run("acquire lease", this.#name, { signal }, (inCall) => this.#driver.acquireLease(claim, inCall));
    if (answer.granted) {
      this.#fence = answer.fence;
      hold();
    }
    return answer;
  }

  /** Resolves to whether it is still ours. */
  async renew(signal: AbortSignal): Promise<boolean> {
    const fence = this.#fence;
    if (fence === undefined) return false;
    const hold = this.#holding();
    const claim = { name: this.#name, owner: this.#owner, ttlMs: this.#ttlMs, fence };
    const renewed = await this.#calls.run("renew lease", this.#name, { signal }, (inCall) => this.#driver.renewLease(claim, inCall));
    if (renewed) hold();
    else this.forget();
    return renewed;
  }

  /** Gives it back, so that the next one need not wait until its time is over. */
  async release(signal: AbortSignal): Promise<void> {
    const fence = this.#fence;
    if (fence === undefined) return;
    this.forget();
    const lease = { name: this.#name, owner: this.#owner, fence };
    await this.#calls.run("release lease", this.#name, { signal }, (inCall) => this.#driver.releaseLease(lease, inCall));
  }

  forget(): void {
    this.#fence = undefined;
    this.#heldUntil = 0;
  }

  /** Counts from before the request: the server may have granted it right then, however late the answer is. */
  #holding(): () => void {
    const ms = this.#ttlMs * (1 - margin);
    const [now, steady] = [this.#clock.now() + ms, performance.now() + ms];
    return () => {
      this.#heldUntil = now;
      this.#steadyUntil = steady;
    };
  }
}
