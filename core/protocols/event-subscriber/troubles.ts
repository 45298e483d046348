import { factOf } from "../../redaction.ts";
import type { EventSink, SourceTrouble } from "./driver.ts";

/**
 * What is in the way of a source, by cause: for drivers that meet several troubles at a time. The sink hears of the newest,
 * of the one that is left when that is over, and of the end of the last.
 */
export class Troubles {
  readonly #sink: Pick<EventSink, "trouble">;
  readonly #describe: (error: unknown) => string;
  readonly #open = new Map<string, SourceTrouble>();
  #silent = false;

  /** @param describe an error in words; default: its message. */
  constructor(sink: Pick<EventSink, "trouble">, describe: (error: unknown) => string = factOf) {
    this.#sink = sink;
    this.#describe = describe;
  }

  /** `cause` is what is in trouble (`topic orders`), `fact` how. What is known already is not told again. */
  raise(cause: string, fact: string, error?: unknown): void {
    const reason = error === undefined ? `${cause}: ${fact}` : `${cause}: ${fact}: ${this.#describe(error)}`;
    if (this.#silent || this.#open.get(cause)?.reason === reason) return;
    const trouble = { reason, ...(error !== undefined && { error }) };
    this.#open.set(cause, trouble);
    this.#sink.trouble(trouble);
  }

  clear(cause: string): void {
    if (this.#open.delete(cause) && !this.#silent) this.#sink.trouble([...this.#open.values()].at(-1));
  }

  /** Says nothing any more: the source is being left. */
  silence(): void {
    this.#silent = true;
  }
}
