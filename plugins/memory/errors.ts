import type { ErrorCode } from "../../core/index.ts";
import { classifyDaoError } from "./dao-errors.ts";

const awayCode = "MEMORY_BROKER_AWAY";

/** What everything fails with during an outage. Known by its `code`: two copies of this package may share a space. */
export class BrokerAwayError extends Error {
  override readonly name = "BrokerAwayError";
  readonly code = awayCode;

  constructor() {
    super("the broker in memory is away: memoryFaults(…).outage() lasts");
  }
}

/** What the object store refuses: its code, and the HTTP status with which a link answers. */
const storageErrors = {
  NO_SUCH_BUCKET: { code: "ERR_HEXKIT_BUCKET_NOT_FOUND", status: 404 },
  BUCKET_EXISTS: { code: "ERR_HEXKIT_BUCKET_EXISTS", status: 409 },
  BUCKET_NOT_EMPTY: { code: "ERR_HEXKIT_BUCKET_NOT_EMPTY", status: 409 },
  NO_SUCH_KEY: { code: "ERR_HEXKIT_OBJECT_NOT_FOUND", status: 404 },
  OBJECT_EXISTS: { code: "ERR_HEXKIT_OBJECT_EXISTS", status: 412 },
  SOURCE_CHANGED: { code: "ERR_HEXKIT_OBJECT_CHANGED", status: 412 },
  INVALID_RANGE: { code: "ERR_HEXKIT_RANGE_NOT_SATISFIABLE", status: 416 },
  NO_SUCH_UPLOAD: { code: "ERR_HEXKIT_UPLOAD_NOT_FOUND", status: 404 },
  INVALID_PART: { code: "ERR_HEXKIT_UPLOAD_INCOMPLETE", status: 400 },
  PART_TOO_SMALL: { code: "ERR_HEXKIT_UPLOAD_INCOMPLETE", status: 400 },
} as const satisfies Record<string, { code: ErrorCode; status: number }>;

type StorageFault = keyof typeof storageErrors;

export class MemoryStorageError extends Error {
  override readonly name = "MemoryStorageError";
  readonly code: `MEMORY_${StorageFault}`;

  constructor(fault: StorageFault, message: string) {
    super(message);
    this.code = `MEMORY_${fault}`;
  }
}

export function isStorageError(error: unknown): error is MemoryStorageError {
  return factsOf(error) !== undefined;
}

/** The HTTP status for whatever the store threw. */
export function statusOf(error: unknown): number {
  return codeOf(error) === awayCode ? 503 : (factsOf(error)?.status ?? 500);
}

/** Maps an error of this plugin to a code; what it does not know stays unclassified. */
export function classifyMemoryError(error: unknown): ErrorCode | undefined {
  return codeOf(error) === awayCode ? "ERR_HEXKIT_UNAVAILABLE" : (factsOf(error)?.code ?? classifyDaoError(error));
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null | undefined)?.code;
}

function factsOf(error: unknown): (typeof storageErrors)[StorageFault] | undefined {
  const code = codeOf(error);
  const fault = typeof code === "string" && code.startsWith("MEMORY_") ? code.slice("MEMORY_".length) : "";
  return Object.hasOwn(storageErrors, fault) ? storageErrors[fault as StorageFault] : undefined;
}
