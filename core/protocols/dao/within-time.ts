import { longestTimerMs } from "../../promise.ts";

/** What `withinTime` hands to its work. */
export interface InTime {
  /** Aborts when the caller's does or when time is over. Made when it is first asked for: many calls never do, and it costs more than a timer. */
  readonly signal: AbortSignal;
}

/** Runs `work`, and settles as soon as `signal` aborts or time is over, whatever `work` does then. */
export function withinTime<Result>(
  timeoutMs: number,
  signal: AbortSignal | undefined,
  timeoutError: () => Error,
  work: (inTime: InTime) => Promise<Result>,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    let controller: AbortController | undefined;
    let ended: { readonly reason: unknown } | undefined;
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    const end = (reason: unknown): void => {
      ended = { reason };
      finish();
      controller?.abort(reason);
      // A client may answer an abort with an error of its own, which comes too late.
      reject(reason);
    };
    const onAbort = (): void => end(signal?.reason);
    const timer = setTimeout(() => end(timeoutError()), Math.min(timeoutMs, longestTimerMs));
    signal?.addEventListener("abort", onAbort, { once: true });
    const inTime: InTime = {
      get signal(): AbortSignal {
        controller ??= new AbortController();
        if (ended !== undefined && !controller.signal.aborted) controller.abort(ended.reason);
        return controller.signal;
      },
    };
    if (signal?.aborted) return end(signal.reason);
    let working: Promise<Result>;
    try {
      working = work(inTime);
    } catch (error) {
      // Whoever throws before there is a promise leaves no timer either.
      finish();
      return reject(error);
    }
    working.then(
      (result) => {
        finish();
        resolve(result);
      },
      (error: unknown) => {
        finish();
        reject(error);
      },
    );
  });
}
