import type { HexkitError } from "../../errors.ts";
import type { DaoCalls } from "../dao/calls.ts";
import type { DaoDriver } from "../dao/driver.ts";
import type { Emission } from "./subject.ts";

interface Flag {
  readonly emission: Emission;
  /** Called when the document is marked, or was changed meanwhile. */
  readonly done: () => void;
}

const mostAtOnce = 500;
const retryDelayMs = { first: 50, most: 2_000 };

/**
 * Marks documents as published, many at a time: what is published while one write is under way goes into the next. Each only if it is still
 * in the state that was published, so that no write of anybody else is lost. Needs no lease.
 */
export class Flags {
  readonly #driver: DaoDriver;
  readonly #calls: DaoCalls;
  readonly #collection: string;
  readonly #stopped: AbortSignal;
  readonly #onChanged: () => void;
  readonly #onTrouble: (error: HexkitError) => void;
  #queue: Flag[] = [];
  #isRunning = false;

  /** @param onChanged is called when some were changed meanwhile, and are pending again. */
  constructor(
    driver: DaoDriver,
    calls: DaoCalls,
    collection: string,
    stopped: AbortSignal,
    onChanged: () => void,
    onTrouble: (error: HexkitError) => void,
  ) {
    this.#driver = driver;
    this.#calls = calls;
    this.#collection = collection;
    this.#stopped = stopped;
    this.#onChanged = onChanged;
    this.#onTrouble = onTrouble;
  }

  set(emission: Emission, done: () => void): void {
    this.#queue.push({ emission, done });
    if (this.#isRunning) return;
    this.#isRunning = true;
    // Whatever else was acknowledged in this turn of the event loop goes along.
    setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    for (let attempt = 0; this.#queue.length > 0 && !this.#stopped.aborted; ) {
      const some = this.#queue.slice(0, mostAtOnce);
      const patches = some.map(({ emission: { id, guard, patch } }) => ({ id, guard, patch }));
      try {
        const matched = await this.#calls.run("mark as published", this.#collection, { signal: this.#stopped }, (inCall) =>
          this.#driver.patchMany(this.#collection, patches, inCall),
        );
        this.#queue = this.#queue.slice(some.length);
        attempt = 0;
        for (const { done } of some) done();
        if (matched < some.length) this.#onChanged();
      } catch (error) {
        if (this.#stopped.aborted) break;
        this.#onTrouble(error as HexkitError);
        await this.#calls.context.clock.sleep(Math.min(retryDelayMs.most, retryDelayMs.first * 2 ** attempt), this.#stopped);
        attempt += 1;
      }
    }
    // What is left is published again by whoever comes next.
    for (const { done } of this.#queue.splice(0)) done();
    this.#isRunning = false;
  }
}
