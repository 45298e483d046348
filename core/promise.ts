/** A promise and its settlers. `Promise.withResolvers` needs Node 22. */
export interface Deferred<Result> {
  readonly promise: Promise<Result>;
  readonly resolve: (value: Result) => void;
  readonly reject: (reason: unknown) => void;
}

export function deferred<Result>(): Deferred<Result> {
  let resolve!: (value: Result) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<Result>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** Whether `promise` settled within `ms`, or before the signal aborted. Its outcome is of no interest. */
export function settlesWithin(promise: Promise<unknown>, ms: number, signal?: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (settled: boolean): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      resolve(settled);
    };
    const onAbort = (): void => finish(false);
    const timer = setTimeout(onAbort, ms);
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    promise.then(
      () => finish(true),
      () => finish(true),
    );
  });
}

/** The longest that a timer of Node waits, 24.8 days; it takes more for nothing. */
export const longestTimerMs = 2 ** 31 - 1;

/** A signal that aborts with `reason` after `ms` milliseconds. Unlike `AbortSignal.timeout` it keeps the process alive until `clear`. */
export function deadline(ms: number, reason?: unknown): { readonly signal: AbortSignal; readonly clear: () => void } {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(reason), Math.min(ms, longestTimerMs));
  return { signal: controller.signal, clear: () => clearTimeout(timer) };
}
