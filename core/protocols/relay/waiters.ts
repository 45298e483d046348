import type { Clock } from "../../clock.ts";
import type { HexkitError } from "../../errors.ts";
import { type Deferred, deferred } from "../../promise.ts";
import type { DocumentId } from "../dao/driver.ts";
import { idText } from "./subject.ts";

/** What a writer learns: published (by whomever, this state or a later one), the attempt's failure, or nothing in time. */
export type WriteOutcome = "published" | "late" | HexkitError;

/** One write whose publication is waited for. */
export interface Waiter {
  readonly id: DocumentId;
  readonly revision: string;
  /** Set when the write is done: whoever reads the document after this moment reads this state or a later one. */
  turn: number;
  readonly answer: Deferred<WriteOutcome>;
}

/** Who waits for which document to be published. */
export class Waiters {
  readonly #byId = new Map<string, Set<Waiter>>();
  #turn = 0;

  /** The present moment, between what was before and what comes after. */
  turn(): number {
    this.#turn += 1;
    return this.#turn;
  }

  /** Before the write: its publication may be faster than its answer. */
  expect(id: DocumentId, revision: string): Waiter {
    const waiter: Waiter = { id, revision, turn: Number.POSITIVE_INFINITY, answer: deferred() };
    const key = idText(id);
    const all = this.#byId.get(key) ?? new Set();
    this.#byId.set(key, all.add(waiter));
    return waiter;
  }

  /** Resolves when the waiter is answered, `ms` are over or the signal aborts. The write must be done. */
  async wait(waiter: Waiter, ms: number, clock: Clock, signal: AbortSignal | undefined): Promise<WriteOutcome> {
    waiter.turn = this.turn();
    const over = new AbortController();
    const onAbort = (): void => over.abort();
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted) onAbort();
    try {
      const late = clock.sleep(ms, over.signal).then((): WriteOutcome => "late");
      return await Promise.race([waiter.answer.promise, late]);
    } finally {
      over.abort();
      signal?.removeEventListener("abort", onAbort);
      this.forget(waiter);
    }
  }

  /** Those who wait for this state of a document, or for one that was written before `turn`. */
  of(id: DocumentId, revision: string, turn: number): readonly Waiter[] {
    const all = this.#byId.get(idText(id));
    return all === undefined ? [] : [...all].filter((waiter) => waiter.revision === revision || waiter.turn < turn);
  }

  all(): readonly Waiter[] {
    return [...this.#byId.values()].flatMap((all) => [...all]);
  }

  /** Those whose write is done. */
  written(): readonly Waiter[] {
    return this.all().filter(({ turn }) => Number.isFinite(turn));
  }

  answer(waiters: readonly Waiter[], outcome: WriteOutcome): void {
    for (const waiter of waiters) {
      waiter.answer.resolve(outcome);
      this.forget(waiter);
    }
  }

  forget(waiter: Waiter): void {
    const key = idText(waiter.id);
    const all = this.#byId.get(key);
    if (all?.delete(waiter) && all.size === 0) this.#byId.delete(key);
  }

  get size(): number {
    return this.#byId.size;
  }
}
