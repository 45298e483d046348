import type { CallOptions } from "../../call.ts";
import { databaseSpan } from "../../telemetry.ts";
import type { ProtocolContext } from "../index.ts";
import type { DaoCallOptions, DriverTransaction } from "./driver.ts";
import type { DaoSettings } from "./settings.ts";
import type { TransactionState } from "./transaction.ts";
import { type InTime, withinTime } from "./within-time.ts";

type Context = ProtocolContext<DaoSettings>;

/** Calls on a driver: each within its time, those of a transaction one after the other. */
export class DaoCalls {
  readonly context: Context;
  readonly #transaction: TransactionState | undefined;

  constructor(context: Context, transaction?: TransactionState) {
    this.context = context;
    this.#transaction = transaction;
  }

  /** Runs one operation on the driver, as `ProtocolContext.call` does, within the setting `timeoutMs`. */
  run<Result>(
    operation: string,
    subject: string,
    options: CallOptions | undefined,
    work: (options: DaoCallOptions) => Promise<Result>,
  ): Promise<Result> {
    const { context } = this;
    const { timeoutMs } = context.settings;
    const transaction = this.#transaction;
    const call = (): Promise<Result> =>
      context.call(operation, subject, options, (signal) =>
        withinTime(
          timeoutMs,
          signal,
          () =>
            context.error(
              "ERR_HEXKIT_TIMEOUT",
              `${operation} ${subject}: no answer within ${timeoutMs} ms (setting timeoutMs); if it writes, its outcome is unknown`,
            ),
          (inTime) => work(new InCall(inTime, timeoutMs, transaction?.handle)),
        ),
      );
    return databaseSpan({ system: context.system, operation, collection: subject }, () =>
      transaction === undefined ? call() : transaction.run(operation, call),
    );
  }
}

/** The options of one call; the signal is made for whoever asks. */
class InCall implements DaoCallOptions {
  readonly timeoutMs: number;
  readonly transaction: DriverTransaction | undefined;
  readonly #inTime: InTime;

  constructor(inTime: InTime, timeoutMs: number, transaction: DriverTransaction | undefined) {
    this.#inTime = inTime;
    this.timeoutMs = timeoutMs;
    this.transaction = transaction;
  }

  get signal(): AbortSignal {
    return this.#inTime.signal;
  }
}
