import { type Clock, type ErrorCode, errorCodes, HexkitError, untilAborted } from "../../core/index.ts";
import { type AnyWhich, type Fault, PlannedFault, type Which, type Work } from "./fault.ts";
import type { AnswerOf, ArgumentsOf, Operation } from "./operations.ts";

interface WithError {
  /**
   * A code makes a `HexkitError` of it. Anything else is thrown as it is, so that an error of the plugin's client is classified by the plugin.
   * Default: ERR_HEXKIT_UNAVAILABLE, which is retryable.
   */
  readonly error?: ErrorCode | object;
}

/** A call that a fault has hit. */
export interface ChaosCall<Op extends Operation = Operation> {
  readonly args: ArgumentsOf<Op>;
  /** The call's own, if it has one. */
  readonly signal: AbortSignal | undefined;
  /** The provider's. */
  readonly clock: Clock;
  /** Lets the call happen, through the faults that were planned after this one; with other arguments, if some are given. */
  proceed(...args: ArgumentsOf<Op> | []): Promise<AnswerOf<Op>>;
}

/**
 * What goes wrong, and when. Faults for the same call act in the order in which they were planned, the first outermost: a delay planned before
 * a failure delays it. Planning and lifting take effect with the next call.
 */
export interface ChaosPlan {
  /** Calls fail, without having happened. */
  fail<Op extends Operation>(operation: Op, options?: Which<Op> & WithError): Fault;
  /** Calls happen, and are reported as failed: the acknowledgement is lost. */
  loseAnswer<Op extends Operation>(operation: Op, options?: Which<Op> & WithError): Fault;
  /** Calls happen `ms` milliseconds later, by the registry's clock. One whose signal aborts meanwhile rejects and does not happen. */
  delay<Op extends Operation>(operation: Op, options: Which<Op> & { readonly ms: number }): Fault;
  /** Calls wait until the fault is lifted, then happen. One whose signal aborts meanwhile rejects and does not happen. */
  hang<Op extends Operation>(operation: Op, options?: Which<Op>): Fault;
  /** Calls happen twice, one after the other, and answer with the second answer: a send is stored twice, records are delivered twice. */
  repeat<Op extends Operation>(operation: Op, options?: Which<Op>): Fault;
  /** Whatever else: `work` stands in for the call. */
  intercept<Op extends Operation>(operation: Op, work: (call: ChaosCall<Op>) => Promise<AnswerOf<Op>>, options?: Which<Op>): Fault;
  /** Calls of an operation so far, hit or not. */
  calls(operation: Operation): number;
  /** Lifts every fault. */
  liftAll(): void;
}

/** The plan, and the way of the calls through it. */
export class Plan implements ChaosPlan {
  readonly #faults = new Map<string, PlannedFault[]>();
  readonly #calls = new Map<string, number>();

  fail<Op extends Operation>(operation: Op, { error, ...which }: Which<Op> & WithError = {}): Fault {
    return this.#plan(operation, which, async () => {
      throw planned(operation, error);
    });
  }

  loseAnswer<Op extends Operation>(operation: Op, { error, ...which }: Which<Op> & WithError = {}): Fault {
    return this.#plan(operation, which, async ({ proceed }) => {
      await proceed();
      throw planned(operation, error);
    });
  }

  delay<Op extends Operation>(operation: Op, { ms, ...which }: Which<Op> & { readonly ms: number }): Fault {
    return this.#plan(operation, which, async ({ clock, signal, proceed }) => {
      await clock.sleep(ms, signal);
      signal?.throwIfAborted();
      return proceed();
    });
  }

  hang<Op extends Operation>(operation: Op, which: Which<Op> = {}): Fault {
    return this.#plan(operation, which, async ({ signal, proceed }, { over }) => {
      await untilAborted(over, signal);
      return proceed();
    });
  }

  repeat<Op extends Operation>(operation: Op, which: Which<Op> = {}): Fault {
    return this.#plan(operation, which, async ({ proceed }) => {
      await proceed();
      return proceed();
    });
  }

  intercept<Op extends Operation>(operation: Op, work: (call: ChaosCall<Op>) => Promise<AnswerOf<Op>>, which: Which<Op> = {}): Fault {
    return this.#plan(operation, which, work as unknown as Work);
  }

  calls(operation: Operation): number {
    return this.#calls.get(operation) ?? 0;
  }

  liftAll(): void {
    for (const faults of this.#faults.values()) for (const fault of faults) fault.lift();
    this.#faults.clear();
  }

  /** One call: through the faults that hit it, or straight. */
  run(operation: string, args: readonly unknown[], clock: Clock, real: (...args: never[]) => unknown): unknown {
    this.#calls.set(operation, this.calls(operation as Operation) + 1);
    const faults = this.#faults.get(operation);
    if (faults === undefined) return real(...(args as never[]));
    const from = (first: number, given: readonly unknown[]): unknown => {
      for (let index = first; index < faults.length; index += 1) {
        const fault = faults[index] as PlannedFault;
        if (!fault.takes(given)) continue;
        const proceed = async (...others: readonly unknown[]): Promise<unknown> => from(index + 1, others.length > 0 ? others : given);
        return answer(fault.work({ args: given, signal: signalOf(given), clock, proceed }, fault));
      }
      return real(...(given as never[]));
    };
    return from(0, args);
  }

  #plan(operation: string, which: object, work: Work): Fault {
    const fault = new PlannedFault(work, which as AnyWhich);
    const faults = (this.#faults.get(operation) ?? []).filter(({ isLifted }) => !isLifted);
    this.#faults.set(operation, [...faults, fault]);
    return fault;
  }
}

function planned(operation: string, error: ErrorCode | object = "ERR_HEXKIT_UNAVAILABLE"): unknown {
  if (typeof error !== "string" || !Object.hasOwn(errorCodes, error)) return error;
  return new HexkitError(error, `chaos: ${operation} fails as planned`);
}

/** What the faulty call gives back: a promise, that also stands in for an async iterable. */
function answer(outcome: Promise<unknown>): Promise<unknown> {
  // Whoever iterates over it does not look at the promise itself.
  outcome.catch(() => undefined);
  return Object.assign(outcome, {
    async *[Symbol.asyncIterator]() {
      yield* (await outcome) as AsyncIterable<unknown>;
    },
  });
}

/** The signal among the arguments of a call: one itself, or in options or a context. */
function signalOf(args: readonly unknown[]): AbortSignal | undefined {
  for (const argument of args) {
    const signal = argument instanceof AbortSignal ? argument : (argument as { signal?: unknown } | null | undefined)?.signal;
    if (signal instanceof AbortSignal) return signal;
  }
  return undefined;
}
