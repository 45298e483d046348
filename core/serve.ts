import type { Logger } from "./logging.ts";
import { deferred } from "./promise.ts";

export interface ServeOptions {
  /** Ends serving like a SIGTERM does. */
  readonly signal?: AbortSignal;
  /** The signals to end on. Default: SIGTERM and SIGINT. */
  readonly signals?: readonly NodeJS.Signals[];
}

/** Waits for a signal, a failure or a close by others, then closes. See `Registry.serve`. */
export async function serveUntilSignal(
  registry: { close(): Promise<void> },
  failure: Promise<unknown>,
  closing: AbortSignal,
  logger: Logger,
  { signal, signals = ["SIGTERM", "SIGINT"] }: ServeOptions,
): Promise<void> {
  const ended = deferred<{ readonly reason: string; readonly error?: unknown }>();
  let signalled = false;
  const onSignal = (name: NodeJS.Signals): void => {
    if (signalled) {
      // Whoever asks twice does not want to wait: without our listeners the signal has its usual effect.
      for (const each of signals) process.removeListener(each, onSignal);
      process.kill(process.pid, name);
      return;
    }
    signalled = true;
    ended.resolve({ reason: name });
  };
  const onAbort = (): void => ended.resolve({ reason: "abort signal" });
  const onClose = (): void => ended.resolve({ reason: "close" });
  for (const each of signals) process.on(each, onSignal);
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  closing.addEventListener("abort", onClose, { once: true });
  failure.then((error) => ended.resolve({ reason: "failure", error }));
  // Listeners for signals do not keep a process alive, and neither does a service in memory.
  const alive = setInterval(() => undefined, 2 ** 30);
  try {
    const { reason, error } = await ended.promise;
    logger.info({ reason }, "closing");
    const failed = reason === "failure";
    await registry.close().catch((closeError) => {
      if (!failed) throw closeError;
      logger.error({ error: closeError }, "closing after a failure was not clean");
    });
    if (failed) throw error;
  } finally {
    clearInterval(alive);
    for (const each of signals) process.removeListener(each, onSignal);
    signal?.removeEventListener("abort", onAbort);
    closing.removeEventListener("abort", onClose);
  }
}
