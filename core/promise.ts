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
