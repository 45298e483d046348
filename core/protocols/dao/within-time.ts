import { untilAborted } from "../../call.ts";
import { longestTimerMs } from "../../promise.ts";

/** Runs `work` with a signal that aborts when `signal` does or when time is over, and settles no later. */
export async function withinTime<Result>(
  timeoutMs: number,
  signal: AbortSignal | undefined,
  timeoutError: () => Error,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(() => controller.abort(timeoutError()), Math.min(timeoutMs, longestTimerMs));
  try {
    return await untilAborted(work(controller.signal), controller.signal);
  } catch (error) {
    // A client may answer an abort with an error of its own.
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
