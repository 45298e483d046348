import { isHexkitError } from "../../errors.ts";

const brand = Symbol.for("hexkit.NonRetryable");

/**
 * Thrown by a translator: another attempt would change nothing, so the event goes to the dead letters at once, or, without them, the
 * way of `onFailure`.
 */
export class NonRetryable extends Error {
  override readonly name = "NonRetryable";

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    Object.defineProperty(this, brand, { value: true });
  }
}

/** Whether an error rules out another attempt: a `NonRetryable` of whichever copy of this package, or a payload that does not fit its schema. */
export function forbidsRetry(error: unknown): boolean {
  return (error as Record<symbol, unknown> | null | undefined)?.[brand] === true || isHexkitError(error, "ERR_HEXKIT_PAYLOAD_INVALID");
}

/** Up to this share is added (at the upper bound: taken away), so that what failed together does not come back together. */
const jitter = 0.2;

/** Milliseconds before retry `retry` (1 for the first): doubling from `retryDelayMs` to `maxRetryDelayMs`, with jitter. */
export function retryDelay(retry: number, settings: { readonly retryDelayMs: number; readonly maxRetryDelayMs: number }): number {
  const { retryDelayMs, maxRetryDelayMs } = settings;
  const delay = Math.min(retryDelayMs * 2 ** Math.min(retry - 1, 31), maxRetryDelayMs);
  const spread = delay * jitter * Math.random();
  return delay + spread <= maxRetryDelayMs ? delay + spread : delay - spread;
}
