import { AsyncLocalStorage } from "node:async_hooks";
import { HexkitError } from "./errors.ts";
import { isVersion4, newUuid, parseUuid } from "./uuid.ts";

// Shared through the global object: a plugin with its own copy of this package must see the same context.
const key = Symbol.for("hexkit.correlation");
const shared = globalThis as unknown as Record<symbol, AsyncLocalStorage<string> | undefined>;
shared[key] ??= new AsyncLocalStorage<string>();
const storage = shared[key];

/** A new correlation id: a random UUID of version 4. */
export function newCorrelationId(): string {
  return newUuid();
}

/** The correlation id of the running context, or `undefined`. */
export function currentCorrelationId(): string | undefined {
  return storage.getStore();
}

/**
 * The correlation id of the running context.
 * @throws ERR_HEXKIT_CORRELATION_ID_MISSING outside `withCorrelationId` and of a translator.
 */
export function getCorrelationId(): string {
  const id = storage.getStore();
  if (id === undefined) {
    throw new HexkitError(
      "ERR_HEXKIT_CORRELATION_ID_MISSING",
      "no correlation id is set here: run the code inside withCorrelationId or withNewCorrelationId",
    );
  }
  return id;
}

/**
 * Reads a correlation id from text, in any spelling of a UUID, and gives it in canonical form.
 * @throws ERR_HEXKIT_CORRELATION_ID_INVALID if it is not a UUID of version 4.
 */
export function parseCorrelationId(text: string): string {
  const id = typeof text === "string" ? parseUuid(text) : undefined;
  if (id === undefined || !isVersion4(id)) {
    throw new HexkitError(
      "ERR_HEXKIT_CORRELATION_ID_INVALID",
      `correlation id ${typeof text === "string" ? JSON.stringify(text) : `of type ${typeof text}`} is not a UUID of version 4`,
    );
  }
  return id;
}

/**
 * Runs `work` with this correlation id: it goes into logs and published events. Concurrent contexts do not see each
 * other's, and the previous one is back afterwards, also when `work` fails.
 * Borrowed from hexkit's `set_correlation_id`.
 * @throws ERR_HEXKIT_CORRELATION_ID_INVALID if it is not a UUID of version 4; `work` is then not run.
 */
export function withCorrelationId<Result>(id: string, work: () => Result): Result {
  return storage.run(parseCorrelationId(id), work);
}

/** Runs `work` with a new correlation id and hands it over. See `withCorrelationId`. */
export function withNewCorrelationId<Result>(work: (id: string) => Result): Result {
  const id = newCorrelationId();
  return storage.run(id, () => work(id));
}

/** `withCorrelationId` for an id that is known to be one. */
export function withKnownCorrelationId<Result>(id: string, work: () => Result): Result {
  return storage.run(id, work);
}
