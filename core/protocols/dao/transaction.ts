import { untilAborted } from "../../call.ts";
import type { HexkitError } from "../../errors.ts";
import type { ProtocolContext } from "../index.ts";
import type { DaoTransaction, TransactionOptions } from "./dao.ts";
import type { DaoDriver, DriverTransaction } from "./driver.ts";
import type { DaoSettings } from "./settings.ts";
import { withinTime } from "./within-time.ts";

type Context = ProtocolContext<DaoSettings>;

/** What a `DaoTransaction` stands for. */
export class TransactionState {
  readonly driver: DaoDriver;
  readonly handle: DriverTransaction;
  readonly #context: Context;
  /** The first error of a call; the database has given the transaction up. */
  failure: HexkitError | undefined;
  #isOver = false;
  #last: Promise<unknown> = Promise.resolve();
  readonly #afterCommit: (() => void)[] = [];

  constructor(driver: DaoDriver, handle: DriverTransaction, context: Context) {
    this.driver = driver;
    this.handle = handle;
    this.#context = context;
  }

  /** Runs a call after those before it. Once one has failed, or the transaction is over, none does. */
  run<Result>(operation: string, call: () => Promise<Result>): Promise<Result> {
    const next = async (): Promise<Result> => {
      this.#admit(operation);
      try {
        return await call();
      } catch (error) {
        this.failure ??= this.#context.mapError(error, operation, "");
        throw error;
      }
    };
    const result = this.#last.then(next);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Registers what to do once the transaction is committed; nothing if it is given up. Must not throw. */
  afterCommit(work: () => void): void {
    this.#afterCommit.push(work);
  }

  /** Waits for the calls that have begun and lets no other begin. */
  async end(): Promise<void> {
    let last: unknown;
    while (last !== this.#last) {
      last = this.#last;
      await last;
    }
    this.#isOver = true;
  }

  giveUp(): void {
    this.#isOver = true;
  }

  committed(): void {
    for (const work of this.#afterCommit) work();
  }

  #admit(operation: string): void {
    if (this.failure !== undefined) throw this.failure;
    if (this.#isOver) {
      throw this.#context.error(
        "ERR_HEXKIT_TRANSACTION_INVALID",
        `${operation}: its transaction is over; await every call before the transaction's work ends`,
      );
    }
  }
}

const states = new WeakMap<object, TransactionState>();

/**
 * What is behind a transaction of this driver.
 * @throws ERR_HEXKIT_TRANSACTION_INVALID if it is none, or another driver's.
 */
export function transactionState(transaction: DaoTransaction, driver: unknown, context: Pick<Context, "error">): TransactionState {
  const state = typeof transaction === "object" && transaction !== null ? states.get(transaction) : undefined;
  if (state === undefined) throw context.error("ERR_HEXKIT_TRANSACTION_INVALID", "in: it takes what `transaction` hands to its work");
  if (state.driver !== driver) throw context.error("ERR_HEXKIT_TRANSACTION_INVALID", "in: the transaction belongs to another binding");
  return state;
}

/** What `work` itself threw: the caller's own business. */
class Thrown {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/** An attempt that came to nothing and may be repeated. */
class Retry {
  readonly error: HexkitError;

  constructor(error: HexkitError) {
    this.error = error;
  }
}

/** See `DaoFactory.transaction`. */
export async function runTransaction<Result>(
  driver: DaoDriver,
  context: Context,
  work: (transaction: DaoTransaction) => Promise<Result>,
  options: TransactionOptions,
): Promise<Result> {
  if (!driver.capabilities.transactions) {
    throw context.error("ERR_HEXKIT_UNSUPPORTED", "transaction: this provider has none; bind one that has the capability `transactions`");
  }
  const timeoutMs = options.timeoutMs ?? context.settings.transactionTimeoutMs;
  if (typeof work !== "function") throw context.error("ERR_HEXKIT_INVALID_ARGUMENT", "transaction: it takes a function");
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1)
    throw context.error("ERR_HEXKIT_INVALID_ARGUMENT", "transaction: timeoutMs is an integer from 1");
  const attempts = new Attempts(driver, context, work, timeoutMs);
  const outcome = await context.call("transaction", "", options, (signal) =>
    withinTime(
      timeoutMs,
      signal,
      () => attempts.timeout(),
      ({ signal: inTime }) => attempts.run(inTime),
    ),
  );
  if (outcome instanceof Thrown) throw outcome.error;
  return outcome;
}

class Attempts<Result> {
  readonly #driver: DaoDriver;
  readonly #context: Context;
  readonly #work: (transaction: DaoTransaction) => Promise<Result>;
  readonly #timeoutMs: number;
  #last: HexkitError | undefined;
  #isCommitting = false;

  constructor(driver: DaoDriver, context: Context, work: (transaction: DaoTransaction) => Promise<Result>, timeoutMs: number) {
    this.#driver = driver;
    this.#context = context;
    this.#work = work;
    this.#timeoutMs = timeoutMs;
  }

  timeout(): HexkitError {
    const fact = this.#isCommitting ? "it was being committed, its outcome is unknown" : "nothing of it was stored";
    return this.#context.error("ERR_HEXKIT_TIMEOUT", `transaction: not done within ${this.#timeoutMs} ms; ${fact}`, this.#last);
  }

  async run(signal: AbortSignal): Promise<Result | Thrown> {
    for (let attempt = 0; ; attempt += 1) {
      const outcome = await this.#once(signal);
      if (!(outcome instanceof Retry)) return outcome;
      this.#last = outcome.error;
      // Upwards from a few milliseconds, at random, so that two that collide do not do so again and again.
      await this.#context.clock.sleep(Math.min(250, 2 ** attempt) * (0.5 + Math.random()), signal);
      signal.throwIfAborted();
    }
  }

  async #once(signal: AbortSignal): Promise<Result | Thrown | Retry> {
    const options = { signal, timeoutMs: this.#timeoutMs };
    let handle: DriverTransaction;
    try {
      handle = await this.#driver.begin(options);
    } catch (error) {
      const mapped = this.#context.mapError(error, "transaction", "");
      if (isPassing(mapped)) return new Retry(mapped);
      throw mapped;
    }
    const state = new TransactionState(this.#driver, handle, this.#context);
    const transaction: DaoTransaction = Object.freeze({ daoTransaction: undefined });
    states.set(transaction, state);
    try {
      const outcome = await this.#attempt(state, transaction, signal);
      if (state.failure !== undefined && isPassing(state.failure)) return new Retry(state.failure);
      if (outcome instanceof Thrown) return outcome;
      // Work went on as if nothing had happened.
      if (state.failure !== undefined) throw state.failure;
      try {
        this.#isCommitting = true;
        await this.#driver.commit(handle, options);
      } catch (error) {
        const mapped = this.#context.mapError(error, "commit", "");
        if (mapped.code === "ERR_HEXKIT_TRANSACTION_CONFLICT") return new Retry(mapped);
        throw mapped;
      } finally {
        this.#isCommitting = signal.aborted && this.#isCommitting;
      }
      state.committed();
      return outcome;
    } finally {
      state.giveUp();
      // Harmless after a commit. Not waited for: whoever timed out has gone already.
      await this.#driver.abort(handle);
    }
  }

  async #attempt(state: TransactionState, transaction: DaoTransaction, signal: AbortSignal): Promise<Result | Thrown> {
    try {
      const result = await untilAborted((async () => this.#work(transaction))(), signal);
      await untilAborted(state.end(), signal);
      return result;
    } catch (error) {
      signal.throwIfAborted();
      // Calls that work did not wait for must not meet the end of the transaction half done.
      await untilAborted(state.end(), signal);
      return new Thrown(error);
    }
  }
}

/** A conflict, and a database that was away before anything was committed. */
function isPassing({ code }: HexkitError): boolean {
  return code === "ERR_HEXKIT_TRANSACTION_CONFLICT" || code === "ERR_HEXKIT_UNAVAILABLE";
}
