import { randomUUID } from "node:crypto";
import { deadline } from "../../promise.ts";
import type { DaoDriver, FilterNode, StoredDocument } from "../dao/driver.ts";
import type { ProtocolContext } from "../index.ts";
import type { MigrationsSettings } from "./settings.ts";

type Context = ProtocolContext<MigrationsSettings>;

/** Collections that take others' places once a step has succeeded, and what is recorded then. Done again after a crash, whoever comes next. */
export interface Progress {
  readonly version: number;
  readonly isBackward: boolean;
  readonly beganAt: number;
  readonly swaps: readonly { readonly from: string; readonly to: string }[];
}

/** Who holds the lock. */
export interface Holder {
  /** Missing if it is an instance that knows no owners, such as one in Python. */
  readonly owner: string | undefined;
  readonly since: Date | undefined;
}

const lockId = 0;

/**
 * A lease, which ends by itself, and a document in the version collection, which others respect that know no leases. The document outlives its
 * owner; whoever gets the lease next takes it over, with what is written in it.
 */
export class MigrationLock {
  readonly owner: string;
  /** What the one before left undone. */
  readonly unfinished: Progress | undefined;
  /** Aborts when the lock is lost. */
  readonly lost: AbortSignal;
  readonly #driver: DaoDriver;
  readonly #context: Context;
  readonly #fence: number;
  readonly #losing = new AbortController();
  readonly #ending = new AbortController();
  readonly #beating: Promise<void>;

  private constructor(driver: DaoDriver, context: Context, owner: string, fence: number, unfinished: Progress | undefined) {
    this.#driver = driver;
    this.#context = context;
    this.owner = owner;
    this.#fence = fence;
    this.unfinished = unfinished;
    this.lost = this.#losing.signal;
    this.#beating = this.#beat();
  }

  /** The lock, or who has it. */
  static async acquire(driver: DaoDriver, context: Context, signal: AbortSignal): Promise<MigrationLock | Holder> {
    const { collection, lockTtlMs } = context.settings;
    const owner = `${context.service.name}/${context.service.instance}/${randomUUID()}`;
    const name = leaseName(collection);
    const answer = await driver.acquireLease({ name, owner, ttlMs: lockTtlMs }, { signal });
    if (!answer.granted) return holderOf(await driver.get(collection, lockId, { signal }));
    const { fence } = answer;
    let isOurs = false;
    try {
      const found = await driver.get(collection, lockId, { signal });
      const now = new Date(context.clock.now());
      if (found === undefined) {
        // A duplicate here means that somebody without a lease came between: the next look shows who.
        await driver.insert(collection, { _id: lockId, lock_acquired: true, acquired_at: now, owner, fence }, { signal });
      } else {
        const before = holderOf(found);
        if (before.owner === undefined) return before;
        context.logger.warn(
          { owner: before.owner, since: before.since?.toISOString() },
          "took over the migration lock of an instance that is gone",
        );
        const guard: FilterNode = { op: "eq", path: ["owner"], value: before.owner };
        const set = [
          { path: ["owner"], value: owner },
          { path: ["fence"], value: fence },
          { path: ["acquired_at"], value: now },
        ];
        if (!(await driver.patch(collection, lockId, guard, { set }, { signal }))) return before;
      }
      isOurs = true;
      return new MigrationLock(driver, context, owner, fence, progressOf(found));
    } catch (error) {
      if (context.mapError(error, "run", "lock").code === "ERR_HEXKIT_DOCUMENT_EXISTS") return { owner: undefined, since: undefined };
      throw error;
    } finally {
      if (!isOurs) await driver.releaseLease({ name, owner, fence }, {}).catch(() => undefined);
    }
  }

  /** Writes down what is about to happen, or that it has. @throws if the lock is not ours any more. */
  async note(progress: Progress | undefined, signal: AbortSignal): Promise<void> {
    const value = progress === undefined ? null : { ...progress, swaps: progress.swaps.map((swap) => ({ ...swap })) };
    const { collection } = this.#context.settings;
    const noted = await this.#driver.patch(collection, lockId, this.#guard(), { set: [{ path: ["progress"], value }] }, { signal });
    if (!noted) this.#lose();
    await this.assertHeld(signal);
  }

  /** @throws if the lock is not ours any more. */
  async assertHeld(signal: AbortSignal): Promise<void> {
    this.lost.throwIfAborted();
    if (!(await this.#renew(signal))) this.#lose();
    this.lost.throwIfAborted();
  }

  /** Gives the lock back. With something unfinished its document stays, for the next one and against those who know no leases. */
  async release(isFinished: boolean): Promise<void> {
    const { collection } = this.#context.settings;
    this.#ending.abort();
    await this.#beating;
    try {
      if (isFinished) await this.#driver.delete(collection, lockId, this.#guard(), {});
      await this.#driver.releaseLease({ name: leaseName(collection), owner: this.owner, fence: this.#fence }, {});
    } catch (error) {
      this.#context.logger.warn({ err: error }, "the migration lock could not be given back; it ends by itself");
    }
  }

  #guard(): FilterNode {
    return {
      op: "and",
      filters: [
        { op: "eq", path: ["owner"], value: this.owner },
        { op: "eq", path: ["fence"], value: this.#fence },
      ],
    };
  }

  #renew(signal: AbortSignal): Promise<boolean> {
    const { collection, lockTtlMs } = this.#context.settings;
    return this.#driver.renewLease(
      { name: leaseName(collection), owner: this.owner, ttlMs: lockTtlMs, fence: this.#fence },
      { signal, timeoutMs: lockTtlMs },
    );
  }

  async #beat(): Promise<void> {
    const { clock, settings } = this.#context;
    const { signal } = this.#ending;
    let held = clock.now();
    for (;;) {
      await clock.sleep(settings.lockTtlMs / 3, signal);
      if (signal.aborted || this.lost.aborted) return;
      const asked = clock.now();
      const limit = deadline(settings.lockTtlMs / 3);
      try {
        if (!(await this.#renew(AbortSignal.any([signal, limit.signal])))) return this.#lose();
        held = asked;
      } catch {
        // The next one may succeed, as long as the lease lasts.
        if (!signal.aborted && clock.now() - held >= settings.lockTtlMs) return this.#lose();
      } finally {
        limit.clear();
      }
    }
  }

  #lose(): void {
    const fact = `the lock of ${this.#context.settings.collection} was lost: it could not be prolonged within lockTtlMs, ${this.#context.settings.lockTtlMs}`;
    this.#losing.abort(this.#context.error("ERR_HEXKIT_MIGRATION_FAILED", `run: ${fact}; run it again`));
  }
}

const leaseName = (collection: string): string => `migrations:${collection}`;

function holderOf(document: StoredDocument | undefined): Holder {
  const { owner, acquired_at: since }: Partial<StoredDocument> = document ?? {};
  return { owner: typeof owner === "string" ? owner : undefined, since: since instanceof Date ? since : undefined };
}

function progressOf(document: StoredDocument | undefined): Progress | undefined {
  const progress = document?.progress;
  return typeof progress === "object" && progress !== null ? (progress as unknown as Progress) : undefined;
}
