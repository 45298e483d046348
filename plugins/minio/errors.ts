import type { ErrorCode } from "../../core/index.ts";

/** What servers answer (`code` of the client's S3Error), captured from MinIO and Versity's gateway, and what Amazon documents. */
const answers: Readonly<Record<string, ErrorCode>> = {
  NoSuchBucket: "ERR_HEXKIT_BUCKET_NOT_FOUND",
  BucketAlreadyExists: "ERR_HEXKIT_BUCKET_EXISTS",
  BucketAlreadyOwnedByYou: "ERR_HEXKIT_BUCKET_EXISTS",
  BucketNotEmpty: "ERR_HEXKIT_BUCKET_NOT_EMPTY",
  InvalidBucketName: "ERR_HEXKIT_BUCKET_NAME_INVALID",
  NoSuchKey: "ERR_HEXKIT_OBJECT_NOT_FOUND",
  NotFound: "ERR_HEXKIT_OBJECT_NOT_FOUND",
  PreconditionFailed: "ERR_HEXKIT_OBJECT_EXISTS",
  KeyTooLongError: "ERR_HEXKIT_OBJECT_KEY_INVALID",
  XMinioInvalidObjectName: "ERR_HEXKIT_OBJECT_KEY_INVALID",
  XMinioInvalidResourceName: "ERR_HEXKIT_OBJECT_KEY_INVALID",
  XMinioObjectExistsAsDirectory: "ERR_HEXKIT_OBJECT_KEY_INVALID",
  XMinioParentIsObject: "ERR_HEXKIT_OBJECT_KEY_INVALID",
  DirectoryObjectContainsData: "ERR_HEXKIT_OBJECT_KEY_INVALID",
  ExistingObjectIsDirectory: "ERR_HEXKIT_OBJECT_KEY_INVALID",
  ObjectParentIsFile: "ERR_HEXKIT_OBJECT_KEY_INVALID",
  EntityTooLarge: "ERR_HEXKIT_OBJECT_TOO_LARGE",
  InvalidRange: "ERR_HEXKIT_RANGE_NOT_SATISFIABLE",
  NoSuchUpload: "ERR_HEXKIT_UPLOAD_NOT_FOUND",
  EntityTooSmall: "ERR_HEXKIT_UPLOAD_INCOMPLETE",
  InvalidPart: "ERR_HEXKIT_UPLOAD_INCOMPLETE",
  InvalidPartOrder: "ERR_HEXKIT_UPLOAD_INCOMPLETE",
  InvalidArgument: "ERR_HEXKIT_INVALID_ARGUMENT",
  InvalidDigest: "ERR_HEXKIT_INVALID_ARGUMENT",
  InvalidRequest: "ERR_HEXKIT_INVALID_ARGUMENT",
  MalformedXML: "ERR_HEXKIT_INVALID_ARGUMENT",
  MetadataTooLarge: "ERR_HEXKIT_INVALID_ARGUMENT",
  AuthorizationHeaderMalformed: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  ExpiredToken: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  InvalidAccessKeyId: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  InvalidToken: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  InvalidTokenId: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  RequestTimeTooSkewed: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  SignatureDoesNotMatch: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  XAdminUserNotFound: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  AccessDenied: "ERR_HEXKIT_PERMISSION_DENIED",
  AllAccessDisabled: "ERR_HEXKIT_PERMISSION_DENIED",
  MethodNotAllowed: "ERR_HEXKIT_UNSUPPORTED",
  NotImplemented: "ERR_HEXKIT_UNSUPPORTED",
  RequestTimeout: "ERR_HEXKIT_TIMEOUT",
  // What was damaged on its way may arrive intact next time.
  BadDigest: "ERR_HEXKIT_UNAVAILABLE",
  ConditionalRequestConflict: "ERR_HEXKIT_UNAVAILABLE",
  IncompleteBody: "ERR_HEXKIT_UNAVAILABLE",
  InternalError: "ERR_HEXKIT_UNAVAILABLE",
  OperationAborted: "ERR_HEXKIT_UNAVAILABLE",
  ServiceUnavailable: "ERR_HEXKIT_UNAVAILABLE",
  SlowDown: "ERR_HEXKIT_UNAVAILABLE",
  ThrottlingException: "ERR_HEXKIT_UNAVAILABLE",
  XAmzContentChecksumMismatch: "ERR_HEXKIT_UNAVAILABLE",
  XAmzContentSHA256Mismatch: "ERR_HEXKIT_UNAVAILABLE",
  XMinioServerNotInitialized: "ERR_HEXKIT_UNAVAILABLE",
};

/** Codes of Node.js. */
const network: Readonly<Record<string, ErrorCode>> = {
  EAI_AGAIN: "ERR_HEXKIT_UNAVAILABLE",
  ECONNABORTED: "ERR_HEXKIT_UNAVAILABLE",
  ECONNREFUSED: "ERR_HEXKIT_UNAVAILABLE",
  ECONNRESET: "ERR_HEXKIT_UNAVAILABLE",
  EHOSTUNREACH: "ERR_HEXKIT_UNAVAILABLE",
  ENETUNREACH: "ERR_HEXKIT_UNAVAILABLE",
  ENOTFOUND: "ERR_HEXKIT_UNAVAILABLE",
  EPIPE: "ERR_HEXKIT_UNAVAILABLE",
  ETIMEDOUT: "ERR_HEXKIT_TIMEOUT",
};

/** For answers without a body, as to HEAD, and for those of proxies. */
const statuses: Readonly<Record<number, ErrorCode>> = {
  401: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  403: "ERR_HEXKIT_PERMISSION_DENIED",
  404: "ERR_HEXKIT_OBJECT_NOT_FOUND",
  405: "ERR_HEXKIT_UNSUPPORTED",
  408: "ERR_HEXKIT_TIMEOUT",
  412: "ERR_HEXKIT_OBJECT_EXISTS",
  416: "ERR_HEXKIT_RANGE_NOT_SATISFIABLE",
  429: "ERR_HEXKIT_UNAVAILABLE",
  501: "ERR_HEXKIT_UNSUPPORTED",
};

/** Codes of Node.js and OpenSSL that mean that one side does not trust the other. */
const untrusted = /^(SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|CERT_|ERR_TLS_CERT_)/;

/** What the client throws for an answer that is no success. Its `status` is set by `client.ts`. */
export interface AnswerError extends Error {
  readonly code?: string;
  readonly status: number;
}

/** Maps an error of the client to a code; what it does not know stays unclassified. */
export function classifyMinioError(error: unknown): ErrorCode | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const { code, status } = error as { code?: unknown; status?: unknown };
  if (typeof code === "string" && Object.hasOwn(answers, code)) return answers[code];
  if (typeof code === "string" && Object.hasOwn(network, code)) return network[code];
  if (typeof code === "string" && untrusted.test(code)) return "ERR_HEXKIT_AUTHENTICATION_FAILED";
  if (typeof status !== "number") return undefined;
  return status >= 500 && status !== 501 ? "ERR_HEXKIT_UNAVAILABLE" : statuses[status];
}
