/** Where an operation can go wrong for the caller: what to look at first. */
export type ErrorCategory =
  | "configuration"
  | "usage"
  | "data"
  | "not-found"
  | "conflict"
  | "access"
  | "unavailable"
  | "lifecycle"
  | "internal";

interface ErrorFacts {
  readonly category: ErrorCategory;
  /** Whether the same call may succeed later without any change. */
  readonly retryable: boolean;
  readonly summary: string;
}

function facts<const Code extends string>(table: Record<Code, ErrorFacts>): Readonly<Record<Code, ErrorFacts>> {
  for (const each of Object.values(table)) Object.freeze(each);
  return Object.freeze(table);
}

/** Every code that a `HexkitError` can carry. Covered by semver; messages are not. */
export const errorCodes = facts({
  ERR_HEXKIT_CONFIG_INVALID: {
    category: "configuration",
    retryable: false,
    summary: "The configuration or the environment has problems; `problems` lists them all.",
  },
  ERR_HEXKIT_PLUGIN_INVALID: {
    category: "configuration",
    retryable: false,
    summary: "A plugin or protocol definition is malformed, or a plugin gave no client or no complete driver.",
  },
  ERR_HEXKIT_PACKAGE_MISSING: {
    category: "configuration",
    retryable: false,
    summary: "A plugin needs an npm package that is not installed.",
  },
  ERR_HEXKIT_OPEN_FAILED: {
    category: "lifecycle",
    retryable: true,
    summary: "One or more providers could not be opened; `failures` lists them all.",
  },
  ERR_HEXKIT_UNBOUND: { category: "configuration", retryable: false, summary: "Nothing is bound under that name." },
  ERR_HEXKIT_CLOSED: { category: "lifecycle", retryable: false, summary: "The registry or the object was used after it closed." },
  ERR_HEXKIT_CLOSE_FAILED: {
    category: "lifecycle",
    retryable: false,
    summary: "Closing did not finish cleanly; `failures` lists what was left.",
  },
  ERR_HEXKIT_ABORTED: { category: "lifecycle", retryable: false, summary: "The caller's abort signal ended the call." },
  ERR_HEXKIT_TIMEOUT: { category: "unavailable", retryable: true, summary: "The operation did not finish within its time limit." },
  ERR_HEXKIT_UNAVAILABLE: {
    category: "unavailable",
    retryable: true,
    summary: "The backing service could not be reached or is not ready.",
  },
  ERR_HEXKIT_AUTHENTICATION_FAILED: { category: "access", retryable: false, summary: "The backing service refused the credentials." },
  ERR_HEXKIT_PERMISSION_DENIED: { category: "access", retryable: false, summary: "The credentials do not allow the operation." },
  ERR_HEXKIT_INVALID_ARGUMENT: { category: "usage", retryable: false, summary: "An argument has the wrong type or value." },
  ERR_HEXKIT_NOT_ASCII: { category: "usage", retryable: false, summary: "A topic, type, key or header holds a character outside ASCII." },
  ERR_HEXKIT_UNSUPPORTED: { category: "usage", retryable: false, summary: "The provider does not have the capability that was asked for." },
  ERR_HEXKIT_PAYLOAD_INVALID: {
    category: "data",
    retryable: false,
    summary: "A payload cannot be written as JSON, or does not fit its schema.",
  },
  ERR_HEXKIT_MESSAGE_TOO_LARGE: {
    category: "data",
    retryable: false,
    summary: "A message exceeds the size that the provider or the server accepts.",
  },
  ERR_HEXKIT_EVENT_UNDECODABLE: {
    category: "data",
    retryable: false,
    summary: "A record from the broker is not an event of the wire format.",
  },
  ERR_HEXKIT_EVENT_FAILED: { category: "data", retryable: false, summary: "A translator failed on an event and the policy is to stop." },
  ERR_HEXKIT_EVENT_ORDER: {
    category: "conflict",
    retryable: true,
    summary: "Not sent, because an earlier event with the same key failed.",
  },
  ERR_HEXKIT_TOPIC_NOT_FOUND: { category: "not-found", retryable: false, summary: "The topic does not exist and may not be created." },
  ERR_HEXKIT_CORRELATION_ID_MISSING: {
    category: "usage",
    retryable: false,
    summary: "No correlation id is set and none may be generated.",
  },
  ERR_HEXKIT_CORRELATION_ID_INVALID: { category: "data", retryable: false, summary: "A correlation id is not a UUID of version 4." },
  ERR_HEXKIT_TRANSLATOR_CLASH: { category: "usage", retryable: false, summary: "Two translators claim the same topic and type." },
  ERR_HEXKIT_NOT_SETTLED: {
    category: "conflict",
    retryable: false,
    summary: "In a test: a subscription failed, or events were not handled within the time limit of `settled`.",
  },
  ERR_HEXKIT_RECORDING_OPEN: {
    category: "usage",
    retryable: false,
    summary: "In a test: the events of a recording were asked for before it was stopped.",
  },
  ERR_HEXKIT_SUBSCRIPTION_EXISTS: {
    category: "usage",
    retryable: false,
    summary: "The group already has a subscription in this registry.",
  },
  ERR_HEXKIT_REDRIVE_LIMIT: {
    category: "conflict",
    retryable: false,
    summary: "A dead letter has been sent back as often as `maxRedrives` allows.",
  },
  ERR_HEXKIT_BUCKET_NOT_FOUND: { category: "not-found", retryable: false, summary: "The bucket does not exist." },
  ERR_HEXKIT_BUCKET_EXISTS: { category: "conflict", retryable: false, summary: "The bucket exists already." },
  ERR_HEXKIT_BUCKET_NOT_EMPTY: {
    category: "conflict",
    retryable: false,
    summary: "The bucket holds objects and may not be deleted with them.",
  },
  ERR_HEXKIT_BUCKET_NAME_INVALID: { category: "usage", retryable: false, summary: "A bucket name breaks the rules." },
  ERR_HEXKIT_OBJECT_NOT_FOUND: { category: "not-found", retryable: false, summary: "The object does not exist." },
  ERR_HEXKIT_OBJECT_EXISTS: { category: "conflict", retryable: false, summary: "The object exists already and may not be replaced." },
  ERR_HEXKIT_OBJECT_CHANGED: { category: "conflict", retryable: true, summary: "The object was changed while it was read." },
  ERR_HEXKIT_OBJECT_KEY_INVALID: { category: "usage", retryable: false, summary: "An object key breaks the rules." },
  ERR_HEXKIT_OBJECT_TOO_LARGE: {
    category: "data",
    retryable: false,
    summary: "An object or a part exceeds the largest size that can be stored.",
  },
  ERR_HEXKIT_RANGE_NOT_SATISFIABLE: { category: "usage", retryable: false, summary: "A range begins behind the end of the object." },
  ERR_HEXKIT_SOURCE_FAILED: { category: "data", retryable: false, summary: "The stream that was to be stored failed." },
  ERR_HEXKIT_UPLOAD_NOT_FOUND: {
    category: "not-found",
    retryable: false,
    summary: "The upload does not exist, or was completed or aborted.",
  },
  ERR_HEXKIT_UPLOAD_EXISTS: { category: "conflict", retryable: false, summary: "An upload is open for the object already." },
  ERR_HEXKIT_UPLOAD_NOT_EXCLUSIVE: {
    category: "conflict",
    retryable: false,
    summary: "Several uploads are open for the object; abort all but one.",
  },
  ERR_HEXKIT_UPLOAD_INCOMPLETE: {
    category: "conflict",
    retryable: false,
    summary: "The parts of an upload are not as they should be for completion.",
  },
  ERR_HEXKIT_UPLOAD_ABORT_FAILED: { category: "conflict", retryable: true, summary: "Parts of an aborted upload are still there." },
  ERR_HEXKIT_DOCUMENT_NOT_FOUND: { category: "not-found", retryable: false, summary: "No document has that id." },
  ERR_HEXKIT_DOCUMENT_EXISTS: { category: "conflict", retryable: false, summary: "A document with that id is there already." },
  ERR_HEXKIT_DOCUMENT_CHANGED: {
    category: "conflict",
    retryable: false,
    summary: "The stored document is no longer the one that was read; read it again.",
  },
  ERR_HEXKIT_DOCUMENT_INVALID: {
    category: "data",
    retryable: false,
    summary: "A DTO does not fit its schema, or holds what cannot be stored.",
  },
  ERR_HEXKIT_DOCUMENT_TOO_LARGE: { category: "data", retryable: false, summary: "A document exceeds the size that the database accepts." },
  ERR_HEXKIT_STORED_DOCUMENT_INVALID: {
    category: "data",
    retryable: false,
    summary: "A stored document does not fit the schema that it is read with.",
  },
  ERR_HEXKIT_UNIQUE_VIOLATION: {
    category: "conflict",
    retryable: false,
    summary: "Another document has the same values in a unique index.",
  },
  ERR_HEXKIT_NO_HIT: { category: "not-found", retryable: false, summary: "Nothing matches a filter that must match one document." },
  ERR_HEXKIT_MULTIPLE_HITS: {
    category: "conflict",
    retryable: false,
    summary: "Several documents match a filter that must match one.",
  },
  ERR_HEXKIT_FILTER_INVALID: {
    category: "usage",
    retryable: false,
    summary: "A filter or sort key names an unknown field or operator, or a value of the wrong type.",
  },
  ERR_HEXKIT_ID_FIELD_NOT_FOUND: { category: "usage", retryable: false, summary: "The schema has no field with the name of the id field." },
  ERR_HEXKIT_ID_TYPE_UNSUPPORTED: { category: "usage", retryable: false, summary: "The id field is not text, an integer or a UUID." },
  ERR_HEXKIT_INDEX_INVALID: { category: "usage", retryable: false, summary: "An index names an unknown field, or none." },
  ERR_HEXKIT_INDEX_CONFLICT: {
    category: "conflict",
    retryable: false,
    summary: "An index cannot be made: stored documents or another index contradict it.",
  },
  ERR_HEXKIT_TRANSACTION_INVALID: {
    category: "usage",
    retryable: false,
    summary: "A transaction was used after it ended, or with another binding than its own.",
  },
  ERR_HEXKIT_TRANSACTION_CONFLICT: {
    category: "conflict",
    retryable: true,
    summary: "A transaction lost against another writer, or the database gave it up; nothing of it was stored.",
  },
  ERR_HEXKIT_MIGRATION_INVALID: {
    category: "usage",
    retryable: false,
    summary: "A migration has no step to the target, or no way back, or a step asks for what cannot be done.",
  },
  ERR_HEXKIT_MIGRATION_FAILED: {
    category: "data",
    retryable: false,
    summary: "A step of a migration failed, or the lock was lost meanwhile; the steps before it are recorded.",
  },
  ERR_HEXKIT_MIGRATION_LOCKED: {
    category: "conflict",
    retryable: true,
    summary: "Another instance migrates the database for longer than `maxWaitMs`.",
  },
  ERR_HEXKIT_MIGRATION_VERSION: {
    category: "conflict",
    retryable: true,
    summary: "The database has another version than the program needs.",
  },
  ERR_HEXKIT_PROVIDER_FAILED: {
    category: "internal",
    retryable: false,
    summary: "The provider's client failed in a way its plugin does not know.",
  },
});

export type ErrorCode = keyof typeof errorCodes;

/** Plain JavaScript may invent a code; its error must be printable even so. */
const factsOf = (code: ErrorCode): ErrorFacts =>
  Object.hasOwn(errorCodes, code) ? errorCodes[code] : errorCodes.ERR_HEXKIT_PROVIDER_FAILED;

/** The binding, provider, plugin and operation that an error comes from, as far as they are known. */
export interface ErrorOrigin {
  readonly binding?: string;
  readonly provider?: string;
  readonly plugin?: string;
  readonly operation?: string;
}

/** One thing wrong with the configuration. Never holds a secret's value. */
export interface ConfigProblem {
  /** JSON pointer with its file, variable name or file path. */
  readonly place: string;
  readonly message: string;
}

export interface HexkitErrorOptions {
  readonly cause?: unknown;
  readonly origin?: ErrorOrigin;
  /** Every problem of an invalid configuration. */
  readonly problems?: readonly ConfigProblem[];
  /** Every failure of an operation with several parts, such as opening. */
  readonly failures?: readonly HexkitError[];
  /** Removes known secrets from a text. Applied to the message and to what is printed of the causes. */
  readonly redact?: (text: string) => string;
}

const brand = Symbol.for("hexkit.HexkitError");
const inspectCustom = Symbol.for("nodejs.util.inspect.custom");
const unchanged = (text: string): string => text;

/**
 * The one error class. Decide by `code`; `category` and `retryable` follow from it.
 * `cause` is the client's own error, untouched, and may hold secrets: printing or logging the
 * `HexkitError` redacts them in the whole chain, reading `cause` directly does not. Uncaught, it is printed without its causes.
 */
export class HexkitError extends Error {
  override readonly name = "HexkitError";
  readonly code: ErrorCode;
  readonly origin: ErrorOrigin;
  readonly problems: readonly ConfigProblem[];
  readonly failures: readonly HexkitError[];
  readonly #redact: (text: string) => string;

  constructor(code: ErrorCode, message: string, options: HexkitErrorOptions = {}) {
    const redact = options.redact ?? unchanged;
    super(redact(message));
    // Behind a getter, because Node prints an uncaught error with all its data properties and without asking `inspect` below.
    if ("cause" in options) Object.defineProperty(this, "cause", { get: () => options.cause, configurable: true });
    this.code = code;
    this.origin = options.origin ?? {};
    this.problems = options.problems ?? [];
    this.failures = options.failures ?? [];
    this.#redact = redact;
    // A brand instead of instanceof: a plugin may carry a copy of this package.
    Object.defineProperty(this, brand, { value: true });
    for (const key of ["name", "origin", "problems", "failures"] as const) {
      Object.defineProperty(this, key, { enumerable: false });
    }
  }

  get category(): ErrorCategory {
    return factsOf(this.code).category;
  }

  get retryable(): boolean {
    return factsOf(this.code).retryable;
  }

  /** Leaves out `cause` and `stack`. */
  toJSON(): Record<string, unknown> {
    return {
      name: this.name,
      code: this.code,
      category: this.category,
      retryable: this.retryable,
      message: this.message,
      origin: this.origin,
      ...(this.problems.length > 0 && { problems: this.problems }),
      ...(this.failures.length > 0 && { failures: this.failures.map((failure) => failure.toJSON()) }),
    };
  }

  /** The text that `console.log` shows: code, stack, failures and causes, secrets removed. */
  [inspectCustom](depth: number, options: object, inspect: (value: unknown, options: object) => string): string {
    let text = (this.stack ?? `${this.name}: ${this.message}`).replace(this.name, `${this.name} [${this.code}]`);
    for (const failure of this.failures) text += `\n  [failure]: ${inspect(failure, options)}`;
    if (this.cause !== undefined && depth >= 0) text += `\n  [cause]: ${inspect(this.cause, options)}`;
    return this.#redact(text);
  }
}

/** Whether a value is a `HexkitError`, also one made by another copy of this package; with `code`, of that code. */
export function isHexkitError(value: unknown, code?: ErrorCode): value is HexkitError {
  if (typeof value !== "object" || value === null || (value as Record<symbol, unknown>)[brand] !== true) return false;
  return code === undefined || (value as HexkitError).code === code;
}
