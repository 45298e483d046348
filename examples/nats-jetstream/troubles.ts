import type { EventSink } from "hexkit";

/** What is in the way of a source, by cause. The sink hears of the newest, and when the last is over. */
export class Troubles {
  readonly #sink: EventSink;
  readonly #open = new Map<string, { readonly reason: string; readonly error?: unknown }>();
  #silent = false;

  constructor(sink: EventSink) {
    this.#sink = sink;
  }

  raise(cause: string, what: string, error?: unknown): void {
    const reason = `${cause} ${what}${error === undefined ? "" : `: ${error instanceof Error ? error.message : String(error)}`}`;
    if (this.#silent || this.#open.get(cause)?.reason === reason) return;
    const trouble = { reason, ...(error !== undefined && { error }) };
    this.#open.set(cause, trouble);
    this.#sink.trouble(trouble);
  }

  clear(cause: string): void {
    if (this.#open.delete(cause) && !this.#silent) this.#sink.trouble([...this.#open.values()].at(-1));
  }

  silence(): void {
    this.#silent = true;
  }
}
