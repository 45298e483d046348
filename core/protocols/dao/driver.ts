import type { CallOptions } from "../../call.ts";
import type { Uuid } from "./uuid-value.ts";

/**
 * A value as a driver stores it. Each kind is a type of its own in the database: a UUID is no text (in a `Uuid` it is canonical), a `Date` has
 * milliseconds and is valid. A number is stored as the smallest type that holds it: 32 or 64 bit integer, else double; equal numbers are equal
 * whatever their type. A `bigint` is stored as a 64 bit integer and fits into one. A 64 bit integer is read as a number if that is safe, else as
 * a `bigint`. Bytes are read as a plain `Uint8Array`. `undefined` never occurs, `NaN` and infinities may. Nested objects keep the order of their keys.
 */
export type DocumentValue =
  | string
  | number
  | boolean
  | null
  | bigint
  | Date
  | Uint8Array
  | Uuid
  | readonly DocumentValue[]
  | { readonly [key: string]: DocumentValue };

export type DocumentId = string | number | Uuid;

/** A document as it is stored: the id under `_id`, its fields beside it; `__metadata__` if a composed protocol keeps some. */
export interface StoredDocument {
  readonly _id: DocumentId;
  readonly [field: string]: DocumentValue;
}

/**
 * A condition on one document, the same for every driver. A path names a field, or one inside it: `["owner", "id"]`. It goes through arrays as
 * in `MongoDB`: into each element that is a document, and by position if a part is a number; it does not go into arrays within arrays otherwise.
 *
 * - `eq`, `in`: a value that the path leads to is equal, or one element of it if it is an array. Nested objects are compared whole, in order of keys.
 *   `null` is equal to a missing field too.
 * - `gt`, `gte`, `lt`, `lte`: as `eq`, but by order, and only with values of the same kind (numbers of all types are one, and so are UUIDs and bytes).
 * - `exists`: whether the path leads to anything, `null` included.
 * - `is`: the whole stored document is this one: same fields in the same order, equal values, nothing more. Occurs in guards only, also inside `and`.
 * - `and` of nothing holds; `or` and `in` of nothing do not. `not` holds where its filter does not.
 */
export type FilterNode =
  | { readonly op: "and" | "or"; readonly filters: readonly FilterNode[] }
  | { readonly op: "not"; readonly filter: FilterNode }
  | { readonly op: "eq" | "gt" | "gte" | "lt" | "lte"; readonly path: readonly string[]; readonly value: DocumentValue }
  | { readonly op: "in"; readonly path: readonly string[]; readonly values: readonly DocumentValue[] }
  | { readonly op: "exists"; readonly path: readonly string[] }
  | { readonly op: "is"; readonly document: StoredDocument };

export interface SortKey {
  readonly path: readonly string[];
  readonly descending: boolean;
}

/** What to find. Without `sort` the order is the database's own. */
export interface DocumentQuery {
  readonly filter: FilterNode;
  /**
   * By kinds first (missing and null, numbers, text, objects, arrays, bytes and UUIDs, booleans, dates), text by code points, bytes and UUIDs by length first. An array counts as its
   * smallest element, or its largest when descending; an empty one comes before null.
   */
  readonly sort?: readonly SortKey[];
  readonly skip?: number;
  /** At least 1. */
  readonly limit?: number;
}

/** An index. The default name of the database is used, so that a peer in another language finds the same one. */
export interface IndexSpec {
  /** In order. */
  readonly fields: readonly SortKey[];
  readonly unique: boolean;
  /** Documents that have none of the fields are not in it. */
  readonly sparse: boolean;
  /** Only documents that it holds for are in it. Made of `and`, `eq`, `gt`, `gte`, `lt`, `lte`, `in` and `exists` alone. */
  readonly where?: FilterNode;
}

/** Changes a few fields of a document and leaves the rest as it is. Paths go through objects only, and are made where they are missing. */
export interface DocumentPatch {
  readonly set?: readonly { readonly path: readonly string[]; readonly value: DocumentValue }[];
  /** Adds to numbers; a missing one counts as 0. */
  readonly increment?: readonly { readonly path: readonly string[]; readonly by: number }[];
}

/** A patch of one document that holds only while `guard` does. */
export interface GuardedPatch {
  readonly id: DocumentId;
  readonly guard: FilterNode;
  readonly patch: DocumentPatch;
}

/** One transaction of one driver; only that driver looks into it. */
export interface DriverTransaction {
  readonly driverTransaction: unknown;
}

export interface DaoCallOptions extends CallOptions {
  /** The call's remaining time in milliseconds, for databases that limit it themselves. When it is over, `signal` aborts too. */
  readonly timeoutMs?: number | undefined;
  readonly transaction?: DriverTransaction | undefined;
}

/** What a lease is held with. */
export interface LeaseClaim {
  /** What is leased, such as `outbox:orders`. */
  readonly name: string;
  /** Who claims it; unique per holder, not per service. */
  readonly owner: string;
  readonly ttlMs: number;
}

export type LeaseAnswer =
  /** `fence` is higher than that of every grant of this name before, and stays while the same owner renews. */
  { readonly granted: true; readonly fence: number } | { readonly granted: false; readonly expiresInMs: number };

export interface Watch {
  /** Ends it; nothing is called afterwards. Safe twice. */
  close(): Promise<void>;
}

/** What a database may lack. Using an undeclared one is refused before any I/O. */
export interface DaoCapabilities {
  /** Several writes to several collections become visible together or not at all; reads inside see a snapshot and the transaction's own writes. */
  readonly transactions: boolean;
  /** Changes of a collection, also by other processes, are reported when they happen. */
  readonly watch: boolean;
  /** Leases among all processes that use the database. */
  readonly leases: boolean;
}

/** Looks at collections as such, for tools and tests; a driver that cannot leaves it out. Throws its client's own errors. */
export interface CollectionAccess {
  /** Names of all collections but those that the plugin or the database keeps for itself. */
  list(options: CallOptions): Promise<readonly string[]>;
  /** Deletes all documents; the collection and its indexes stay. A missing one is no error. */
  empty(collection: string, options: CallOptions): Promise<void>;
}

/**
 * Documents in named collections. Safe under concurrent calls, except that calls of one transaction come one after the other. Throws its
 * client's own errors; the portable DAO checks arguments, keeps time, retries transactions and maps errors, so a driver does none of that.
 * Each write to one document is atomic. The driver copies what it keeps before it first waits; the caller owns what it gets. A collection is made
 * by its first write; a missing one is empty.
 *
 * Errors are to be classified as: an `_id` that is taken by a document ERR_HEXKIT_DOCUMENT_EXISTS; any other unique index ERR_HEXKIT_UNIQUE_VIOLATION
 * (an upsert never reports its `_id`: racing ones are repeated by the driver); a document that is too big ERR_HEXKIT_DOCUMENT_TOO_LARGE; a stored
 * value that is no `DocumentValue` ERR_HEXKIT_STORED_DOCUMENT_INVALID; an index that contradicts existing data or another index
 * ERR_HEXKIT_INDEX_CONFLICT; a transaction that lost against another, or that the server gave up in a passing way, ERR_HEXKIT_TRANSACTION_CONFLICT.
 */
export interface DaoDriver {
  readonly capabilities: DaoCapabilities;
  readonly collections?: CollectionAccess | undefined;

  /** Makes the indexes that are not there yet, and drops none. Also the collection, if transactions need it beforehand. */
  prepare(collection: string, indexes: readonly IndexSpec[], options: DaoCallOptions): Promise<void>;

  get(collection: string, id: DocumentId, options: DaoCallOptions): Promise<StoredDocument | undefined>;
  insert(collection: string, document: StoredDocument, options: DaoCallOptions): Promise<void>;
  /** In order, until the first that fails; those before it stay, those after it are not tried. */
  insertMany(collection: string, documents: readonly StoredDocument[], options: DaoCallOptions): Promise<void>;
  /** Replaces the whole document with the same `_id`, if it is there and `guard` holds for it. Resolves to whether it was. */
  replace(collection: string, document: StoredDocument, guard: FilterNode | undefined, options: DaoCallOptions): Promise<boolean>;
  upsert(collection: string, document: StoredDocument, options: DaoCallOptions): Promise<void>;
  /** As `insertMany`. */
  upsertMany(collection: string, documents: readonly StoredDocument[], options: DaoCallOptions): Promise<void>;
  /** Resolves to whether it was there and `guard` held for it. */
  delete(collection: string, id: DocumentId, guard: FilterNode | undefined, options: DaoCallOptions): Promise<boolean>;
  /** Patches the document if it is there and `guard` holds for it, which is checked together with the write. Resolves to whether it was. */
  patch(collection: string, id: DocumentId, guard: FilterNode, patch: DocumentPatch, options: DaoCallOptions): Promise<boolean>;
  /** Patches each of several different documents as `patch` does, in any order, each by itself. Resolves to how many were there and met their guard. */
  patchMany(collection: string, patches: readonly GuardedPatch[], options: DaoCallOptions): Promise<number>;
  /** Patches the first document of the query (`skip` and `limit` do not apply) and resolves to what it is afterwards; `undefined` if there is none. */
  findAndPatch(
    collection: string,
    query: DocumentQuery,
    patch: DocumentPatch,
    options: DaoCallOptions,
  ): Promise<StoredDocument | undefined>;

  /**
   * Documents in batches of at most `batchSize`, none of them empty. Nothing happens before the first is asked for; `return` of the iterator frees everything at once.
   * What is written meanwhile may be in it or not. `timeoutMs` and `signal` hold for each batch's request and for the whole, respectively.
   */
  find(
    collection: string,
    query: DocumentQuery,
    options: DaoCallOptions & { readonly batchSize: number },
  ): AsyncIterable<readonly StoredDocument[]>;
  count(collection: string, filter: FilterNode, options: DaoCallOptions): Promise<number>;

  /** Begins a transaction. With the capability `transactions`. Once one of its calls has thrown, it is only aborted. */
  begin(options: DaoCallOptions): Promise<DriverTransaction>;
  /**
   * Commits; repeats that by itself until the outcome is known or the signal aborts. ERR_HEXKIT_TRANSACTION_CONFLICT means that nothing was
   * committed; any other error, that nobody knows.
   */
  commit(transaction: DriverTransaction, options: DaoCallOptions): Promise<void>;
  /** Gives the transaction up and frees it. Never throws; harmless once it is over. May come while a call is under way whose signal has aborted. */
  abort(transaction: DriverTransaction): Promise<void>;

  /**
   * Grants the lease if nobody holds it, its time is over, or `owner` holds it already. With the capability `leases`; time is the server's where
   * it can be.
   */
  acquireLease(claim: LeaseClaim, options: DaoCallOptions): Promise<LeaseAnswer>;
  /** Prolongs a lease to `ttlMs` from now. Resolves to false if another grant was made since, or its time is over. */
  renewLease(claim: LeaseClaim & { readonly fence: number }, options: DaoCallOptions): Promise<boolean>;
  /** Gives a lease back, if it is still this one. */
  releaseLease(lease: { readonly name: string; readonly owner: string; readonly fence: number }, options: DaoCallOptions): Promise<void>;

  /**
   * Calls `onChange` after a document of the collection was written or deleted, at least once for any number of changes, from when it resolves on. Patches
   * may go unreported.
   * Bridges interruptions by itself; what it cannot bridge it reports once by `onEnd`. With the capability `watch`.
   */
  watch(collection: string, onChange: () => void, onEnd: (error: unknown) => void, options: DaoCallOptions): Promise<Watch>;
}

/** Reading and writing documents: what a `Dao` is made over, whoever stands behind it. */
export type DocumentStore = Pick<
  DaoDriver,
  "get" | "insert" | "insertMany" | "replace" | "upsert" | "upsertMany" | "delete" | "find" | "count"
>;
