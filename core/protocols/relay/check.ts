import type { DaoCalls } from "../dao/calls.ts";
import type { DaoDriver } from "../dao/driver.ts";
import { findBatches } from "../dao/find.ts";
import { idText, type RelaySubject } from "./subject.ts";
import type { Waiters } from "./waiters.ts";

const intervalMs = { first: 25, most: 250 };
const mostAtOnce = 1_000;

/** Finds out what became of documents that another process publishes, for those who wait for them. */
export class Check {
  readonly #subject: RelaySubject;
  readonly #dao: DaoDriver;
  readonly #calls: DaoCalls;
  readonly #waiters: Waiters;
  readonly #stopped: AbortSignal;
  readonly #isLeading: () => boolean;
  #isRunning = false;

  constructor(
    subject: RelaySubject,
    dao: DaoDriver,
    calls: DaoCalls,
    waiters: Waiters,
    stopped: AbortSignal,
    /** Whoever leads knows of most by itself. */
    isLeading: () => boolean,
  ) {
    this.#subject = subject;
    this.#dao = dao;
    this.#calls = calls;
    this.#waiters = waiters;
    this.#stopped = stopped;
    this.#isLeading = isLeading;
  }

  /** Looks now and then, as long as somebody waits. */
  async run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    let ms = intervalMs.first;
    while (this.#waiters.size > 0 && !this.#stopped.aborted) {
      await this.#calls.context.clock.sleep(this.#isLeading() ? intervalMs.most : ms, this.#stopped);
      ms = (await this.#look()) ? intervalMs.first : Math.min(ms * 2, intervalMs.most);
    }
    this.#isRunning = false;
  }

  /** Resolves to whether somebody was answered. */
  async #look(): Promise<boolean> {
    const written = this.#waiters.written().slice(0, mostAtOnce);
    if (written.length === 0 || this.#stopped.aborted) return false;
    const { collection, pending } = this.#subject;
    const filter = { op: "and", filters: [{ op: "in", path: ["_id"], values: written.map(({ id }) => id) }, pending] } as const;
    const left = new Set<string>();
    try {
      for await (const batch of findBatches(this.#dao, this.#calls, collection, { filter }, { signal: this.#stopped })) {
        for (const { _id } of batch) left.add(idText(_id));
      }
    } catch {
      // They run out of time by themselves.
      return false;
    }
    const done = written.filter(({ id }) => !left.has(idText(id)));
    this.#waiters.answer(done, "published");
    return done.length > 0;
  }
}
