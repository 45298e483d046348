import type { ErrorCode } from "../../core/index.ts";

const codes = {
  MEMORY_DUPLICATE_ID: "ERR_HEXKIT_DOCUMENT_EXISTS",
  MEMORY_DUPLICATE_KEY: "ERR_HEXKIT_UNIQUE_VIOLATION",
  MEMORY_DOCUMENT_TOO_LARGE: "ERR_HEXKIT_DOCUMENT_TOO_LARGE",
  MEMORY_INDEX_CONFLICT: "ERR_HEXKIT_INDEX_CONFLICT",
  MEMORY_PARALLEL_ARRAYS: "ERR_HEXKIT_DOCUMENT_INVALID",
  MEMORY_WRITE_CONFLICT: "ERR_HEXKIT_TRANSACTION_CONFLICT",
} as const satisfies Readonly<Record<string, ErrorCode>>;

type DaoFault = keyof typeof codes;

/** What the documents of a space fail with. Known by its `code`, as `BrokerAwayError`. */
export class MemoryDaoError extends Error {
  override readonly name = "MemoryDaoError";
  readonly code: DaoFault;

  constructor(code: DaoFault, message: string) {
    super(message);
    this.code = code;
  }
}

export function classifyDaoError(error: unknown): ErrorCode | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" && Object.hasOwn(codes, code) ? codes[code as DaoFault] : undefined;
}
