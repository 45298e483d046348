import { setMaxListeners } from "node:events";
import type { HexkitError } from "../../errors.ts";
import type { Logger } from "../../logging.ts";
import { deferred } from "../../promise.ts";
import type { DaoCalls } from "../dao/calls.ts";
import type { DaoDriver } from "../dao/driver.ts";
import type { Lease } from "./lease.ts";

const watchPauseMs = 5_000;

/** The time during which one process holds the lease. */
export class Session {
  readonly #fence: number;
  readonly #over = new AbortController();
  #count = 0;

  constructor(fence: number) {
    this.#fence = fence;
    setMaxListeners(0, this.#over.signal);
  }

  /** Aborts when the lease is lost or given back: what waits to be sent is not sent any more. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  /** Greater than all before: of this session by its count, of earlier ones by the lease's fence. */
  sequence(): string {
    this.#count += 1;
    return `${this.#fence}.${this.#count}`;
  }

  end(): void {
    this.#over.abort();
  }

  /** Settles as `promise` does, or to `undefined` when the session is over. */
  async until<Result>(promise: Promise<Result>): Promise<Result | undefined> {
    let onOver!: () => void;
    const over = new Promise<undefined>((resolve) => {
      onOver = () => resolve(undefined);
      if (this.isOver) onOver();
      this.signal.addEventListener("abort", onOver, { once: true });
    });
    try {
      return await Promise.race([promise, over]);
    } finally {
      this.signal.removeEventListener("abort", onOver);
    }
  }
}

/** Prolongs the lease until the session is over; ends it when that cannot be done. */
export async function keepLease(session: Session, lease: Lease, calls: DaoCalls, onTrouble: (error: HexkitError) => void): Promise<void> {
  while (!session.isOver) {
    await calls.context.clock.sleep(lease.renewalMs, session.signal);
    if (session.isOver) return;
    try {
      if (!(await lease.renew(session.signal))) session.end();
    } catch (error) {
      if (session.isOver) return;
      onTrouble(error as HexkitError);
      // Not ours for certain any more; asked for anew.
      if (!lease.isHeld) session.end();
    }
  }
}

/** Calls `onChange` when somebody has written, until the session is over. */
export async function watchChanges(
  session: Session,
  dao: DaoDriver,
  calls: DaoCalls,
  collection: string,
  logger: Logger,
  onChange: () => void,
): Promise<void> {
  while (!session.isOver) {
    const end = deferred<unknown>();
    try {
      const watch = await calls.run("watch", collection, { signal: session.signal }, (inCall) =>
        dao.watch(collection, onChange, end.resolve, inCall),
      );
      // What came before it watched.
      onChange();
      const error = await session.until(end.promise);
      await watch.close();
      if (error !== undefined) throw error;
    } catch (error) {
      if (!session.isOver) logger.warn({ error }, `changes of ${collection} cannot be watched; the relay looks for them by itself`);
    }
    await calls.context.clock.sleep(watchPauseMs, session.signal);
  }
}
