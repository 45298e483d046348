import type { ErrorCode } from "hexkit";

/** The client's errors, and ours, by `name`: a process may hold several copies of their classes. */
const names: Readonly<Record<string, ErrorCode>> = {
  AuthorizationError: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  UserAuthenticationExpiredError: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  PermissionViolationError: "ERR_HEXKIT_PERMISSION_DENIED",
  StreamNotFoundError: "ERR_HEXKIT_TOPIC_NOT_FOUND",
  TimeoutError: "ERR_HEXKIT_TIMEOUT",
  ConnectionError: "ERR_HEXKIT_UNAVAILABLE",
  ClosedConnectionError: "ERR_HEXKIT_UNAVAILABLE",
  DrainingConnectionError: "ERR_HEXKIT_UNAVAILABLE",
  DisconnectedError: "ERR_HEXKIT_UNAVAILABLE",
  NoResponders: "ERR_HEXKIT_UNAVAILABLE",
  ConsumerNotFoundError: "ERR_HEXKIT_UNAVAILABLE",
  // A pull that ended early: "heartbeats missed", "consumer deleted", "leadership change".
  JetStreamError: "ERR_HEXKIT_UNAVAILABLE",
  JetStreamStatusError: "ERR_HEXKIT_UNAVAILABLE",
};

/** `err_code` of JetStream's answers. */
const answers: Readonly<Record<number, ErrorCode>> = {
  10008: "ERR_HEXKIT_UNAVAILABLE", // JetStream system temporarily unavailable
  10009: "ERR_HEXKIT_UNAVAILABLE", // JetStream cluster has no leader
  10023: "ERR_HEXKIT_UNAVAILABLE", // insufficient resources
  10028: "ERR_HEXKIT_UNAVAILABLE", // memory resources exceeded
  10039: "ERR_HEXKIT_UNSUPPORTED", // JetStream not enabled for account
  10047: "ERR_HEXKIT_UNAVAILABLE", // insufficient storage resources
  10054: "ERR_HEXKIT_MESSAGE_TOO_LARGE", // message size exceeds maximum allowed
  10076: "ERR_HEXKIT_UNSUPPORTED", // JetStream not enabled
  10077: "ERR_HEXKIT_UNAVAILABLE", // stream store failed: disk full, limits reached
};

/** Codes of Node.js and OpenSSL that mean that one side does not trust the other. */
const untrusted = /^(SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|CERT_|ERR_TLS_CERT_|ERR_OSSL_|ERR_SSL_)/;
/** Codes of Node.js that mean that there is no connection. */
const unreachable = /^(ECONN|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EPIPE)/;

/** Maps an error of the client or of this plugin to a code; what it does not know stays unclassified. */
export function classifyNatsError(error: unknown): ErrorCode | undefined {
  if (!(error instanceof Error)) return undefined;
  const { name, message, code, cause } = error as Error & { readonly code?: unknown };
  if (typeof code === "string" && untrusted.test(code)) return "ERR_HEXKIT_AUTHENTICATION_FAILED";
  if (typeof code === "string" && unreachable.test(code)) return "ERR_HEXKIT_UNAVAILABLE";
  if (typeof code === "number" && answers[code] !== undefined) return answers[code];
  // The client wraps what ended a connection or a request; without responders it also guesses that JetStream is off, which may be a server that starts.
  const inner = classifyNatsError(cause);
  if (inner !== undefined) return inner;
  if (name === "InvalidArgumentError" && message.includes("max_payload")) return "ERR_HEXKIT_MESSAGE_TOO_LARGE";
  return names[name];
}

/** Whether going on may help. */
export function isPassing(error: unknown): boolean {
  const code = classifyNatsError(error);
  return code === "ERR_HEXKIT_UNAVAILABLE" || code === "ERR_HEXKIT_TIMEOUT" || code === "ERR_HEXKIT_TOPIC_NOT_FOUND";
}
