import type { HexkitError } from "../../errors.ts";
import { settlesWithin } from "../../promise.ts";
import type { ContentStream } from "./object-storage.ts";

/** How long uploads that are under way when the registry closes may go on, in ms; then they are ended and undone. */
const graceMs = 10_000;

/** What moves bytes at the moment: uploads and bodies that are being read. */
export class Transfers {
  readonly #closedError: () => HexkitError;
  readonly #running = new Map<AbortController, Promise<unknown>>();
  readonly #bodies = new Set<ContentStream>();

  constructor(closedError: () => HexkitError) {
    this.#closedError = closedError;
  }

  /** Runs `work` with a signal that aborts with the caller's, and when closing takes too long. */
  async run<Result>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const running = work(controller.signal).finally(() => {
      signal?.removeEventListener("abort", onAbort);
      this.#running.delete(controller);
    });
    this.#running.set(controller, running);
    return running;
  }

  /** Destroys the body when the registry closes, and by the signal, with the error that `ended` makes of it. */
  hold(body: ContentStream, signal: AbortSignal | undefined, ended: (reason: unknown) => HexkitError): void {
    const onAbort = (): void => void body.destroy(ended(signal?.reason));
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#bodies.add(body);
    body.once("close", () => {
      signal?.removeEventListener("abort", onAbort);
      this.#bodies.delete(body);
    });
    if (signal?.aborted) onAbort();
  }

  async close(signal: AbortSignal): Promise<void> {
    await settlesWithin(Promise.allSettled(this.#running.values()), graceMs, signal);
    for (const controller of this.#running.keys()) controller.abort(this.#closedError());
    await Promise.allSettled(this.#running.values());
    for (const body of this.#bodies) body.destroy(this.#closedError());
  }
}
