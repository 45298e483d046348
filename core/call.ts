import { type ErrorCode, type ErrorOrigin, errorCodes, HexkitError, isHexkitError } from "./errors.ts";
import { factOf, type Redact } from "./redaction.ts";

/** What every method that does I/O takes. */
export interface CallOptions {
  /** Ends the call early with ERR_HEXKIT_ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/** What calls through one binding share: where errors come from, how they are read, whether it is still open. */
export interface CallSite {
  readonly origin: Readonly<ErrorOrigin>;
  readonly classify: ((error: unknown) => ErrorCode | undefined) | undefined;
  readonly redact: Redact;
  /** Aborts when calls are no longer taken. */
  readonly closed: AbortSignal;
}

/** `objectStorage "archive" (provider "cold", plugin s3)`: how messages name a binding. */
export function describeOrigin(origin: ErrorOrigin): string {
  const [protocol, name] = (origin.binding ?? "").split(":");
  const subject = protocol ? (name ? `${protocol} "${name}"` : protocol) : "";
  const by = [origin.provider && `provider "${origin.provider}"`, origin.plugin && `plugin ${origin.plugin}`].filter(Boolean).join(", ");
  return subject && by ? `${subject} (${by})` : subject || by;
}

/** Turns whatever a driver threw into a `HexkitError`; one that says where it comes from stays, one of a plugin's own keeps its code. */
export function mapError(site: CallSite, error: unknown, operation: string, subject: string): HexkitError {
  const own = isHexkitError(error);
  if (own && Object.keys(error.origin).length > 0) return error;
  const code = own ? knownCode(error.code) : classifySafely(site, error);
  const what = subject ? `${operation} ${subject}` : operation;
  return new HexkitError(code ?? "ERR_HEXKIT_PROVIDER_FAILED", `${describeOrigin(site.origin)}: ${what} failed: ${factOf(error)}`, {
    cause: error,
    origin: { ...site.origin, operation },
    redact: site.redact,
  });
}

/** A faulty `classify` must not hide the error that it was asked about, nor open the table of codes. */
function classifySafely(site: CallSite, error: unknown): ErrorCode | undefined {
  try {
    return knownCode(site.classify?.(error));
  } catch {
    return undefined;
  }
}

/** Another version of this package may know other codes, and plain JavaScript any. */
function knownCode(code: ErrorCode | undefined): ErrorCode | undefined {
  return code !== undefined && Object.hasOwn(errorCodes, code) ? code : undefined;
}

export function closedError(origin: ErrorOrigin, operation: string): HexkitError {
  return new HexkitError("ERR_HEXKIT_CLOSED", `${describeOrigin(origin)}: ${operation} after the registry closed`, {
    origin: { ...origin, operation },
  });
}

function abortedError(site: CallSite, operation: string, subject: string, note: string, reason: unknown): HexkitError {
  return new HexkitError("ERR_HEXKIT_ABORTED", `${describeOrigin(site.origin)}: ${operation} ${subject} was aborted by its signal${note}`, {
    cause: reason,
    origin: { ...site.origin, operation },
    redact: site.redact,
  });
}

/** Runs one operation of a portable object on its driver. See `ProtocolContext.call`. */
export async function runCall<Result>(
  site: CallSite,
  operation: string,
  subject: string,
  options: CallOptions | undefined,
  work: (signal: AbortSignal | undefined) => Promise<Result>,
): Promise<Result> {
  const signal = options?.signal;
  if (site.closed.aborted) throw closedError(site.origin, operation);
  if (signal?.aborted) throw abortedError(site, operation, subject, "", signal.reason);
  try {
    return await untilAborted(work(signal), signal);
  } catch (error) {
    if (signal?.aborted && !isHexkitError(error)) throw abortedError(site, operation, subject, "; its outcome is unknown", signal.reason);
    throw mapError(site, error, operation, subject);
  }
}

/** Settles like `promise`, or rejects with the signal's reason as soon as it aborts. */
export function untilAborted<Result>(promise: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
