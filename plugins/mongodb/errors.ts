import type { ErrorCode } from "../../core/index.ts";

/** No server could be reached while opening; the message says why, server by server. */
export class NoServerError extends Error {
  override readonly name = "NoServerError";

  constructor(hosts: readonly string[], failures: ReadonlyMap<string, string>, replicaSet: string | undefined) {
    const facts = [...failures].map(([host, failure]) => `${host}: ${failure}`);
    const set = replicaSet === undefined ? "" : ` as primary of the replica set ${replicaSet}`;
    super(`no server answers${set}: ${facts.join("; ") || `${hosts.join(", ")}: no answer, or not a member of it`}`);
  }
}

/** A stored value of a type that no `DocumentValue` has. */
export class StoredValueError extends Error {
  override readonly name = "StoredValueError";

  readonly #type: string;
  readonly #path: string;

  constructor(type: string, path = "") {
    super(`${path || "a value"}: holds ${type}, which has no counterpart here`);
    this.#type = type;
    this.#path = path;
  }

  /** The same, of what is in a field of that name. */
  inside(name: string): StoredValueError {
    return new StoredValueError(this.#type, this.#path === "" ? name : `${name}.${this.#path}`);
  }
}

/** An index that stored documents or another index contradict. */
export class IndexError extends Error {
  override readonly name = "IndexError";
}

/** An upsert in a transaction met another one of the same new document. */
export class UpsertRaceError extends Error {
  override readonly name = "UpsertRaceError";
}

/** What the server answers, by its number. */
const numbers: Readonly<Record<number, ErrorCode>> = {
  6: "ERR_HEXKIT_UNAVAILABLE", // HostUnreachable
  7: "ERR_HEXKIT_UNAVAILABLE", // HostNotFound
  11: "ERR_HEXKIT_AUTHENTICATION_FAILED", // UserNotFound
  13: "ERR_HEXKIT_PERMISSION_DENIED", // Unauthorized
  18: "ERR_HEXKIT_AUTHENTICATION_FAILED", // AuthenticationFailed
  20: "ERR_HEXKIT_UNSUPPORTED", // IllegalOperation: transactions without a replica set
  24: "ERR_HEXKIT_TRANSACTION_CONFLICT", // LockTimeout
  43: "ERR_HEXKIT_UNAVAILABLE", // CursorNotFound
  50: "ERR_HEXKIT_TIMEOUT", // MaxTimeMSExpired
  64: "ERR_HEXKIT_TIMEOUT", // WriteConcernFailed
  67: "ERR_HEXKIT_INDEX_CONFLICT", // CannotCreateIndex
  73: "ERR_HEXKIT_INVALID_ARGUMENT", // InvalidNamespace
  85: "ERR_HEXKIT_INDEX_CONFLICT", // IndexOptionsConflict
  86: "ERR_HEXKIT_INDEX_CONFLICT", // IndexKeySpecsConflict
  89: "ERR_HEXKIT_TIMEOUT", // NetworkTimeout
  91: "ERR_HEXKIT_UNAVAILABLE", // ShutdownInProgress
  112: "ERR_HEXKIT_TRANSACTION_CONFLICT", // WriteConflict
  121: "ERR_HEXKIT_DOCUMENT_INVALID", // DocumentValidationFailure
  133: "ERR_HEXKIT_UNAVAILABLE", // FailedToSatisfyReadPreference
  171: "ERR_HEXKIT_DOCUMENT_INVALID", // CannotIndexParallelArrays
  175: "ERR_HEXKIT_UNAVAILABLE", // QueryPlanKilled
  189: "ERR_HEXKIT_UNAVAILABLE", // PrimarySteppedDown
  202: "ERR_HEXKIT_TIMEOUT", // NetworkInterfaceExceededTimeLimit
  225: "ERR_HEXKIT_TRANSACTION_CONFLICT", // TransactionTooOld
  237: "ERR_HEXKIT_UNAVAILABLE", // CursorKilled
  239: "ERR_HEXKIT_TRANSACTION_CONFLICT", // SnapshotTooOld
  244: "ERR_HEXKIT_TRANSACTION_CONFLICT", // TransactionAborted
  246: "ERR_HEXKIT_TRANSACTION_CONFLICT", // SnapshotUnavailable
  251: "ERR_HEXKIT_TRANSACTION_CONFLICT", // NoSuchTransaction
  262: "ERR_HEXKIT_TIMEOUT", // ExceededTimeLimit
  8000: "ERR_HEXKIT_AUTHENTICATION_FAILED", // AtlasError
  9001: "ERR_HEXKIT_UNAVAILABLE", // SocketException
  10058: "ERR_HEXKIT_UNAVAILABLE", // LegacyNotPrimary
  10107: "ERR_HEXKIT_UNAVAILABLE", // NotWritablePrimary
  10334: "ERR_HEXKIT_DOCUMENT_TOO_LARGE", // BSONObjectTooLarge
  11600: "ERR_HEXKIT_UNAVAILABLE", // InterruptedAtShutdown
  11602: "ERR_HEXKIT_UNAVAILABLE", // InterruptedDueToReplStateChange
  13435: "ERR_HEXKIT_UNAVAILABLE", // NotPrimaryNoSecondaryOk
  13436: "ERR_HEXKIT_UNAVAILABLE", // NotPrimaryOrSecondary
  17419: "ERR_HEXKIT_DOCUMENT_TOO_LARGE", // by an update
};

/** Classes of the npm driver and of this plugin, by `name`. */
const names: Readonly<Record<string, ErrorCode>> = {
  NoServerError: "ERR_HEXKIT_UNAVAILABLE",
  StoredValueError: "ERR_HEXKIT_STORED_DOCUMENT_INVALID",
  IndexError: "ERR_HEXKIT_INDEX_CONFLICT",
  UpsertRaceError: "ERR_HEXKIT_TRANSACTION_CONFLICT",
  BSONError: "ERR_HEXKIT_STORED_DOCUMENT_INVALID",
  MongoNetworkTimeoutError: "ERR_HEXKIT_TIMEOUT",
  MongoNetworkError: "ERR_HEXKIT_UNAVAILABLE",
  MongoServerSelectionError: "ERR_HEXKIT_UNAVAILABLE",
  MongoPoolClearedError: "ERR_HEXKIT_UNAVAILABLE",
  MongoPoolClosedError: "ERR_HEXKIT_UNAVAILABLE",
  MongoServerClosedError: "ERR_HEXKIT_UNAVAILABLE",
  MongoTopologyClosedError: "ERR_HEXKIT_UNAVAILABLE",
  MongoNotConnectedError: "ERR_HEXKIT_UNAVAILABLE",
  MongoClientClosedError: "ERR_HEXKIT_UNAVAILABLE",
  MongoWaitQueueTimeoutError: "ERR_HEXKIT_TIMEOUT",
  MongoOperationTimeoutError: "ERR_HEXKIT_TIMEOUT",
};

interface Facts {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly message?: unknown;
  readonly keyPattern?: object;
}

/** Maps an error of the npm driver or of this plugin to a code; what it does not know stays unclassified. */
export function classifyMongodbError(error: unknown): ErrorCode | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const { name, code, message } = error as Facts;
  if (isDuplicate(error)) return isDuplicateId(error) ? "ERR_HEXKIT_DOCUMENT_EXISTS" : "ERR_HEXKIT_UNIQUE_VIOLATION";
  if (isTooLarge(error)) return "ERR_HEXKIT_DOCUMENT_TOO_LARGE";
  if (code === 13 && /requires authentication/.test(String(message))) return "ERR_HEXKIT_AUTHENTICATION_FAILED";
  if (typeof name === "string" && Object.hasOwn(names, name)) return names[name];
  if (typeof code === "number" && Object.hasOwn(numbers, code)) return numbers[code];
  return hasLabel(error, "TransientTransactionError") ? "ERR_HEXKIT_TRANSACTION_CONFLICT" : undefined;
}

export function isDuplicate(error: unknown): boolean {
  return (error as Facts | null)?.code === 11000;
}

/** Whether it is the id that is taken, and not a value of another unique index. */
export function isDuplicateId(error: unknown): boolean {
  if (!isDuplicate(error)) return false;
  const { keyPattern, message } = error as Facts;
  if (keyPattern === undefined) return / index: _id_ dup key/.test(String(message));
  return Object.keys(keyPattern).join() === "_id";
}

/** Said by the server, by the npm driver when it counts, or by the buffer into which it writes. */
export function isTooLarge(error: unknown): boolean {
  const { name, code, message } = error as Facts;
  if (code === 2) return /too large/.test(String(message));
  if (name === "MongoInvalidArgumentError") return /larger than the maximum size/.test(String(message));
  return code === 10334 || code === 17419 || (name === "RangeError" && code === "ERR_OUT_OF_RANGE");
}

/** Whether nobody knows if the transaction was committed. */
export function isOutcomeUnknown(error: unknown): boolean {
  return hasLabel(error, "UnknownTransactionCommitResult");
}

function hasLabel(error: unknown, label: string): boolean {
  const { hasErrorLabel } = error as { hasErrorLabel?: unknown };
  return typeof hasErrorLabel === "function" && (error as { hasErrorLabel(label: string): boolean }).hasErrorLabel(label);
}

/** Takes stored values out of what is printed of an error: they are the application's, and may be secret or huge. */
export function withoutValues(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  for (const key of ["writeErrors", "result", "errorResponse", "keyValue"]) {
    if (Object.hasOwn(error, key)) Object.defineProperty(error, key, { enumerable: false });
  }
  const short = error.message.replace(/( dup key): .*$/s, "$1");
  const message = short.length > 500 ? `${short.slice(0, 500)}…` : short;
  if (message !== error.message) {
    const before = error.message;
    Object.defineProperty(error, "message", { value: message, configurable: true, writable: true });
    if (error.stack?.includes(before)) error.stack = error.stack.replace(before, () => message);
  }
  return error;
}
