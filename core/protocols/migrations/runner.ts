import { type CallOptions, untilAborted } from "../../call.ts";
import { factOf } from "../../redaction.ts";
import type { DaoDriver } from "../dao/driver.ts";
import type { ProtocolContext } from "../index.ts";
import type { MigrationsDriver, VersionRecord } from "./driver.ts";
import { type Holder, MigrationLock, type Progress } from "./lock.ts";
import type { MigrationContext, MigrationPlan, MigrationReport, MigrationStep } from "./migrations.ts";
import type { MigrationsSettings } from "./settings.ts";
import { stepName, Transforms } from "./transform.ts";

interface Leg {
  readonly step: MigrationStep;
  readonly isBackward: boolean;
  readonly isLast: boolean;
}

/** One run of a plan. */
export class MigrationRun {
  readonly #dao: DaoDriver;
  readonly #driver: MigrationsDriver;
  readonly #context: ProtocolContext<MigrationsSettings>;
  readonly #plan: MigrationPlan;
  readonly #recorded: number[] = [];

  constructor(dao: DaoDriver, driver: MigrationsDriver, context: ProtocolContext<MigrationsSettings>, plan: MigrationPlan) {
    this.#dao = dao;
    this.#driver = driver;
    this.#context = context;
    this.#plan = plan;
  }

  async run(signal: AbortSignal): Promise<MigrationReport> {
    const { clock, settings } = this.#context;
    const { target } = this.#plan;
    const begin = clock.now();
    const from = await this.#version({ signal });
    let told: string | undefined;
    for (;;) {
      const lock = await this.#acquireUnlessDone(signal);
      if (lock === "done") return { from, to: target, recorded: this.#recorded };
      if (lock instanceof MigrationLock) {
        await this.#migrate(lock, signal);
        return { from, to: target, recorded: this.#recorded };
      }
      const holder = describe(lock);
      if (holder !== told) this.#context.logger.info({ holder }, "waits for another instance that migrates the database");
      told = holder;
      const left = settings.maxWaitMs === 0 ? Number.POSITIVE_INFINITY : begin + settings.maxWaitMs - clock.now();
      if (left <= 0) {
        throw this.#context.error(
          "ERR_HEXKIT_MIGRATION_LOCKED",
          `run: another instance holds the lock for longer than maxWaitMs, ${settings.maxWaitMs}: ${holder}`,
        );
      }
      await clock.sleep(Math.min(settings.waitIntervalMs, left), signal);
      signal.throwIfAborted();
    }
  }

  /** Without a lock nothing can be in the middle of something, so the version is what it says. */
  async #acquireUnlessDone(signal: AbortSignal): Promise<MigrationLock | Holder | "done"> {
    if ((await this.#version({ signal })) === this.#plan.target && !(await this.#isLocked(signal))) return "done";
    return MigrationLock.acquire(this.#dao, this.#context, signal);
  }

  async #isLocked(signal: AbortSignal): Promise<boolean> {
    return (await this.#dao.get(this.#context.settings.collection, 0, { signal })) !== undefined;
  }

  async #version(options: CallOptions): Promise<number> {
    return (await this.#driver.latest(this.#context.settings.collection, options))?.version ?? 0;
  }

  async #migrate(lock: MigrationLock, caller: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([caller, lock.lost]);
    // Kept up to date by the steps: what of the database is neither old nor new.
    const state = { isFinished: lock.unfinished === undefined };
    try {
      if (lock.unfinished !== undefined) {
        await this.#finish(lock, lock.unfinished, signal);
        state.isFinished = true;
      }
      // Read again: another instance may have been here since the first look.
      let version = await this.#version({ signal });
      if (version === 0) {
        await this.#record(lock, 1, false, this.#context.clock.now(), signal);
        version = 1;
      }
      for (const leg of this.#legs(version)) await this.#walk(lock, leg, state, signal);
    } catch (error) {
      throw lock.lost.aborted ? lock.lost.reason : error;
    } finally {
      await lock.release(state.isFinished);
    }
  }

  /** The steps to take, all known to exist before the first one runs. */
  #legs(version: number): Leg[] {
    const { target, steps } = this.#plan;
    const isBackward = version > target;
    const versions = isBackward ? range(target + 1, version).reverse() : range(version + 1, target);
    return versions.map((number, index) => {
      const step = steps.find((each) => each.version === number);
      const refuse = (fact: string) =>
        this.#context.error("ERR_HEXKIT_MIGRATION_INVALID", `run: from version ${version} to ${target}: ${fact}; nothing was changed`);
      if (step === undefined) throw refuse(`the plan has no step ${number}`);
      if (isBackward && step.unapply === undefined) throw refuse(`step ${number} has no \`unapply\``);
      return { step, isBackward, isLast: index === versions.length - 1 };
    });
  }

  async #walk(lock: MigrationLock, { step, isBackward, isLast }: Leg, state: { isFinished: boolean }, signal: AbortSignal): Promise<void> {
    const { version } = step;
    const { logger, clock } = this.#context;
    const beganAt = clock.now();
    const ending = new AbortController();
    const facts = { version, isBackward, isLast, signal: AbortSignal.any([signal, ending.signal]) };
    const transforms = new Transforms(this.#dao, this.#driver, this.#context, facts);
    const context: MigrationContext = Object.freeze({
      ...facts,
      logger,
      transform: (collection, change, options = {}) => transforms.make(collection, change, options),
      documents: (collection) => transforms.documents(collection),
      driver: this.#dao,
      native: this.#driver.native,
    });
    logger.info({ version, backward: isBackward }, "a migration step begins");
    const progress = (): Progress => ({ version: isBackward ? version - 1 : version, isBackward, beganAt, swaps: transforms.swaps });
    try {
      await untilAborted((async () => (isBackward ? step.unapply?.(context) : step.apply(context)))(), signal);
      signal.throwIfAborted();
      await lock.assertHeld(signal);
    } catch (error) {
      // Whatever the step still does on its own comes to an end, and with it what it would make.
      ending.abort();
      await transforms.discard().catch(() => undefined);
      if (signal.aborted) throw signal.reason;
      throw this.#failed(facts, error);
    }
    // From here on there is no way back: each collection takes its place whole, and what a crash leaves out the next instance does.
    state.isFinished = false;
    const done = progress();
    if (done.swaps.length > 0) await lock.note(done, signal);
    await this.#finish(lock, done, signal);
    state.isFinished = true;
    logger.info({ version, backward: isBackward, durationMs: clock.now() - beganAt }, "a migration step is done");
  }

  async #finish(lock: MigrationLock, { version, isBackward, beganAt, swaps }: Progress, signal: AbortSignal): Promise<void> {
    for (const { from, to } of swaps) {
      await lock.assertHeld(signal);
      await this.#driver.replace(from, to, { signal });
    }
    // It may have been recorded before the crash.
    if ((await this.#version({ signal })) !== version) await this.#record(lock, version, isBackward, beganAt, signal);
    if (swaps.length > 0) await lock.note(undefined, signal);
  }

  async #record(lock: MigrationLock, version: number, backward: boolean, beganAt: number, signal: AbortSignal): Promise<void> {
    const { clock, settings } = this.#context;
    await lock.assertHeld(signal);
    const before: VersionRecord | undefined = await this.#driver.latest(settings.collection, { signal });
    // The greatest time counts, also where clocks differ or a step takes no millisecond.
    const completed = new Date(Math.max(clock.now(), (before?.completed.getTime() ?? 0) + 1));
    const durationMs = Math.max(0, Math.round(clock.now() - beganAt));
    await this.#driver.record(settings.collection, { version, completed, backward, durationMs }, { signal });
    this.#recorded.push(version);
  }

  #failed(step: { readonly version: number; readonly isBackward: boolean }, error: unknown): Error {
    const { logger, redact } = this.#context;
    logger.error(
      { err: error, version: step.version, backward: step.isBackward },
      "a migration step failed; nothing of its transforms was kept",
    );
    return this.#context.error("ERR_HEXKIT_MIGRATION_FAILED", `run: ${stepName(step)} failed: ${redact(factOf(error))}`, error);
  }
}

function describe({ owner, since }: Holder): string {
  const who = owner ?? "one that knows no owners, such as a service in Python (if it is dead, delete the document with _id 0)";
  return since === undefined ? who : `${who}, since ${since.toISOString()}`;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
}
