import type { ErrorCode } from "../../core/index.ts";

/** None of the brokers could be reached; `errors` says why, one per broker. */
export class NoBrokerError extends Error {
  override readonly name = "NoBrokerError";

  constructor(readonly errors: readonly unknown[]) {
    super(`no broker answers: ${errors.map(describe).join("; ")}`);
  }
}

/** What kafkajs calls an error of the protocol, by its `type`. */
const types: Readonly<Record<string, ErrorCode>> = {
  UNKNOWN_TOPIC_OR_PARTITION: "ERR_HEXKIT_TOPIC_NOT_FOUND",
  INVALID_TOPIC_EXCEPTION: "ERR_HEXKIT_INVALID_ARGUMENT",
  INVALID_GROUP_ID: "ERR_HEXKIT_INVALID_ARGUMENT",
  INVALID_SESSION_TIMEOUT: "ERR_HEXKIT_INVALID_ARGUMENT",
  INCONSISTENT_GROUP_PROTOCOL: "ERR_HEXKIT_INVALID_ARGUMENT",
  INVALID_RECORD: "ERR_HEXKIT_INVALID_ARGUMENT",
  INVALID_TIMESTAMP: "ERR_HEXKIT_INVALID_ARGUMENT",
  POLICY_VIOLATION: "ERR_HEXKIT_INVALID_ARGUMENT",
  MESSAGE_TOO_LARGE: "ERR_HEXKIT_MESSAGE_TOO_LARGE",
  RECORD_LIST_TOO_LARGE: "ERR_HEXKIT_MESSAGE_TOO_LARGE",
  TOPIC_AUTHORIZATION_FAILED: "ERR_HEXKIT_PERMISSION_DENIED",
  GROUP_AUTHORIZATION_FAILED: "ERR_HEXKIT_PERMISSION_DENIED",
  CLUSTER_AUTHORIZATION_FAILED: "ERR_HEXKIT_PERMISSION_DENIED",
  SASL_AUTHENTICATION_FAILED: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  UNSUPPORTED_SASL_MECHANISM: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  ILLEGAL_SASL_STATE: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  SECURITY_DISABLED: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  UNSUPPORTED_VERSION: "ERR_HEXKIT_UNSUPPORTED",
  UNSUPPORTED_FOR_MESSAGE_FORMAT: "ERR_HEXKIT_UNSUPPORTED",
  UNSUPPORTED_COMPRESSION_TYPE: "ERR_HEXKIT_UNSUPPORTED",
  REQUEST_TIMED_OUT: "ERR_HEXKIT_TIMEOUT",
  CORRUPT_MESSAGE: "ERR_HEXKIT_UNAVAILABLE",
  LEADER_NOT_AVAILABLE: "ERR_HEXKIT_UNAVAILABLE",
  NOT_LEADER_FOR_PARTITION: "ERR_HEXKIT_UNAVAILABLE",
  FENCED_LEADER_EPOCH: "ERR_HEXKIT_UNAVAILABLE",
  UNKNOWN_LEADER_EPOCH: "ERR_HEXKIT_UNAVAILABLE",
  OFFSET_NOT_AVAILABLE: "ERR_HEXKIT_UNAVAILABLE",
  BROKER_NOT_AVAILABLE: "ERR_HEXKIT_UNAVAILABLE",
  REPLICA_NOT_AVAILABLE: "ERR_HEXKIT_UNAVAILABLE",
  NETWORK_EXCEPTION: "ERR_HEXKIT_UNAVAILABLE",
  GROUP_LOAD_IN_PROGRESS: "ERR_HEXKIT_UNAVAILABLE",
  GROUP_COORDINATOR_NOT_AVAILABLE: "ERR_HEXKIT_UNAVAILABLE",
  NOT_COORDINATOR_FOR_GROUP: "ERR_HEXKIT_UNAVAILABLE",
  GROUP_MAX_SIZE_REACHED: "ERR_HEXKIT_UNAVAILABLE",
  REBALANCE_IN_PROGRESS: "ERR_HEXKIT_UNAVAILABLE",
  ILLEGAL_GENERATION: "ERR_HEXKIT_UNAVAILABLE",
  UNKNOWN_MEMBER_ID: "ERR_HEXKIT_UNAVAILABLE",
  NOT_ENOUGH_REPLICAS: "ERR_HEXKIT_UNAVAILABLE",
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: "ERR_HEXKIT_UNAVAILABLE",
  KAFKA_STORAGE_ERROR: "ERR_HEXKIT_UNAVAILABLE",
  NOT_CONTROLLER: "ERR_HEXKIT_UNAVAILABLE",
  UNSTABLE_OFFSET_COMMIT: "ERR_HEXKIT_UNAVAILABLE",
  UNKNOWN: "ERR_HEXKIT_UNAVAILABLE",
};

/** kafkajs's error classes, by `name`. */
const names: Readonly<Record<string, ErrorCode>> = {
  KafkaJSSASLAuthenticationError: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  KafkaJSConnectionError: "ERR_HEXKIT_UNAVAILABLE",
  KafkaJSConnectionClosedError: "ERR_HEXKIT_UNAVAILABLE",
  RequestTimeoutError: "ERR_HEXKIT_TIMEOUT",
  KafkaJSServerDoesNotSupportApiKey: "ERR_HEXKIT_UNSUPPORTED",
  KafkaJSNotImplemented: "ERR_HEXKIT_UNSUPPORTED",
};

/** Codes of Node.js and OpenSSL that mean that one side does not trust the other. */
const untrusted =
  /^(SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|CERT_|ERR_TLS_CERT_|ERR_OSSL_|ERR_SSL_.*(CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE))/;

/** Maps an error of kafkajs or of this plugin to a code; what it does not know stays unclassified. */
export function classifyKafkaError(error: unknown): ErrorCode | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const { name, type, code } = error as { name?: unknown; type?: unknown; code?: unknown };
  if (error instanceof NoBrokerError) {
    const codes = error.errors.map(classifyKafkaError);
    return codes.find((each) => each !== "ERR_HEXKIT_UNAVAILABLE" && each !== undefined) ?? "ERR_HEXKIT_UNAVAILABLE";
  }
  if (typeof code === "string" && untrusted.test(code)) return "ERR_HEXKIT_AUTHENTICATION_FAILED";
  if (typeof type === "string" && Object.hasOwn(types, type)) return types[type];
  if (typeof name === "string" && Object.hasOwn(names, name)) return names[name];
  return undefined;
}

/** Whether going on may help: brokers that are away, leaders that move, topics that do not exist yet. */
export function isPassing(error: unknown): boolean {
  const code = classifyKafkaError(error);
  return code === "ERR_HEXKIT_UNAVAILABLE" || code === "ERR_HEXKIT_TIMEOUT" || code === "ERR_HEXKIT_TOPIC_NOT_FOUND";
}

export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const broker = (error as { broker?: unknown }).broker;
  return typeof broker === "string" && !error.message.includes(broker) ? `${error.message} (${broker})` : error.message;
}

/** Whether a broker said it, as opposed to none being reached. */
export function isAnswer(error: unknown): boolean {
  return typeof (error as { type?: unknown } | null)?.type === "string";
}
