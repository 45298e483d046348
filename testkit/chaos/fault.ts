import type { Clock } from "../../core/index.ts";
import type { ArgumentsOf, Operation } from "./operations.ts";

/** Which calls of an operation a fault hits. Nothing given: all, until it is lifted. What is given is applied in this order. */
export interface Which<Op extends Operation = Operation> {
  /** Only calls with such arguments; others are not even counted. */
  readonly when?: (...args: ArgumentsOf<Op>) => boolean;
  /** The first so many pass. */
  readonly skip?: number;
  /** Every kth of the rest: the kth, the 2kth … */
  readonly every?: number;
  /** About this share of them (0 to 1), drawn from `seed`: the same calls in every run. */
  readonly share?: number;
  /** Default: 1. */
  readonly seed?: number;
  /** So many at most. */
  readonly next?: number;
}

/** A planned fault. */
export interface Fault {
  /** Calls that it has hit so far. */
  readonly hits: number;
  /** Resolves when it has hit `times` calls in all. Default: 1. */
  hit(times?: number): Promise<void>;
  /** It hits nothing more; calls that it makes hang go on. */
  lift(): void;
}

/** `Which` of some operation. */
export type AnyWhich = Omit<Which, "when"> & { readonly when?: (...args: readonly unknown[]) => boolean };

/** A call that a fault has hit, whatever the operation. */
export interface HitCall {
  readonly args: readonly unknown[];
  readonly signal: AbortSignal | undefined;
  readonly clock: Clock;
  proceed(...args: readonly unknown[]): Promise<unknown>;
}

/** What becomes of a call that is hit. */
export type Work = (call: HitCall, fault: PlannedFault) => Promise<unknown>;

export class PlannedFault implements Fault {
  hits = 0;
  isLifted = false;
  /** Resolves when it is lifted. */
  readonly over: Promise<void>;
  readonly work: Work;
  readonly #which: AnyWhich;
  readonly #random: () => number;
  readonly #waiting: { readonly times: number; readonly wake: () => void }[] = [];
  #seen = 0;
  #end!: () => void;

  constructor(work: Work, which: AnyWhich) {
    this.work = work;
    this.#which = which;
    this.#random = random(which.seed ?? 1);
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  hit(times = 1): Promise<void> {
    return new Promise((wake) => {
      if (this.hits >= times) wake();
      else this.#waiting.push({ times, wake });
    });
  }

  lift(): void {
    this.isLifted = true;
    this.#end();
  }

  /** Whether it hits this call; counts it either way. */
  takes(args: readonly unknown[]): boolean {
    const { when, skip = 0, every = 1, share = 1, next = Number.POSITIVE_INFINITY } = this.#which;
    if (this.isLifted || this.hits >= next) return false;
    if (when !== undefined && !when(...args)) return false;
    this.#seen += 1;
    if (this.#seen <= skip || (this.#seen - skip) % every !== 0) return false;
    if (share < 1 && this.#random() >= share) return false;
    this.hits += 1;
    for (const { times, wake } of this.#waiting) if (times <= this.hits) wake();
    return true;
  }
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
