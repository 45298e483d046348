import type { CallOptions } from "../../call.ts";
import type { JsonSchema, Schema, SchemaOutput } from "../../schema.ts";
import type { FieldPath, Filter, SortOf } from "./filter-types.ts";

/** How a field is kept where its type in the schema does not say it. */
export type NativeType =
  /** Text in the DTO, a UUID in the database. */
  | "uuid"
  /** A `Date` in both; where the schema says that it is text, ISO 8601 in UTC in the DTO. Milliseconds. */
  | "date"
  /** A `bigint` in the DTO, a 64 bit integer in the database. */
  | "bigint"
  /** A `Uint8Array` in the DTO. */
  | "bytes";

/** A field's name, or one inside it (`owner.id`). Arrays are passed through; `*` stands for any key of a map. */
type NativePath = string;

export interface DaoIndex<Dto> {
  /** One field, ascending, or several in order, each with its direction. Dotted paths reach inside. The id field may be among them. */
  readonly fields: FieldPath<Dto> | readonly FieldPath<Dto>[] | Readonly<Partial<Record<FieldPath<Dto>, 1 | -1>>>;
  /** No two documents may agree in all fields. A missing field counts as null. Default: false. */
  readonly unique?: boolean;
  /** Leaves out documents that have none of the fields, so that many may lack them. Default: false. */
  readonly sparse?: boolean;
}

/** What documents of one collection are. */
export interface DaoSpec<S extends Schema = Schema> {
  /** The collection. Not empty, at most 100 bytes, no `$`, no control character, not beginning with `system.` */
  readonly name: string;
  /** A Standard Schema or a JSON Schema of an object. Checked on write and on read; what it gives is stored and handed out. */
  readonly schema: S;
  /** The same as JSON Schema (draft-07), for a Standard Schema that cannot say it itself. */
  readonly jsonSchema?: JsonSchema;
  /** The field that holds the id: text, an integer or a UUID, required. */
  readonly idField: keyof SchemaOutput<S> & string;
  readonly indexes?: readonly DaoIndex<SchemaOutput<S>>[];
  /** Short for `native: { …: "uuid" }`. What the schema marks `format: "uuid"` needs no mention. */
  readonly uuids?: readonly NativePath[];
  readonly native?: Readonly<Record<NativePath, NativeType>>;
}

export interface FindOptions<Dto> extends CallOptions {
  /** Fields in order, `-` before one that descends. Missing and null come first when ascending. */
  readonly sort?: SortOf<Dto>;
  /** Default: 0. */
  readonly skip?: number | undefined;
  /** 0 gives nothing. Default: all. */
  readonly limit?: number | undefined;
}

/** The documents that a query finds. Nothing is asked before the first is wanted. They are handed out once: a second iteration gives nothing. */
export interface Find<Dto> extends AsyncIterable<Dto> {
  /** The rest of them. */
  toArray(): Promise<Dto[]>;
  /** How many the filter matches, whatever `skip` and `limit` say. Counted once, at the first call. */
  total(): Promise<number>;
}

export interface UpdateOptions<Dto> extends CallOptions {
  /**
   * Optimistic locking: the DTO as it was read. The update takes place only if the stored document still reads the same.
   * @throws ERR_HEXKIT_DOCUMENT_CHANGED if it does not.
   */
  readonly ifUnchangedSince?: Dto;
}

/** What `transaction` hands to its work, for `dao.in`. */
export interface DaoTransaction {
  readonly daoTransaction: unknown;
}

export interface TransactionOptions extends CallOptions {
  /** Milliseconds for all attempts and the commit. Default: the setting `transactionTimeoutMs`. */
  readonly timeoutMs?: number;
}

/**
 * Documents of one collection. Every DTO carries its id.
 *
 * A DTO is checked against its schema before it is written (ERR_HEXKIT_DOCUMENT_INVALID) and after it was read
 * (ERR_HEXKIT_STORED_DOCUMENT_INVALID); what the schema gives, defaults filled in, is what is stored. DTOs are copied: later changes of one
 * that was given or handed out change nothing else. Properties that are `undefined` are not stored. A filter is checked before anything is asked
 * (ERR_HEXKIT_FILTER_INVALID). Each call takes at most the setting `timeoutMs`.
 *
 * @throws besides those that each method names: ERR_HEXKIT_CLOSED, ERR_HEXKIT_ABORTED, ERR_HEXKIT_TIMEOUT and ERR_HEXKIT_UNAVAILABLE (a write
 * may have happened), ERR_HEXKIT_PERMISSION_DENIED, ERR_HEXKIT_PROVIDER_FAILED; inside a transaction ERR_HEXKIT_TRANSACTION_INVALID and
 * ERR_HEXKIT_TRANSACTION_CONFLICT.
 */
export interface Dao<Dto> {
  /**
   * An id of another type than the id field's is simply not there.
   * @throws ERR_HEXKIT_DOCUMENT_NOT_FOUND; ERR_HEXKIT_INVALID_ARGUMENT if it is no id of any type.
   */
  getById(id: string | number, options?: CallOptions): Promise<Dto>;
  /** @throws ERR_HEXKIT_DOCUMENT_EXISTS, ERR_HEXKIT_UNIQUE_VIOLATION, ERR_HEXKIT_DOCUMENT_INVALID, ERR_HEXKIT_DOCUMENT_TOO_LARGE. */
  insert(dto: Dto, options?: CallOptions): Promise<void>;
  /**
   * Replaces the whole document with the DTO's id.
   * @throws ERR_HEXKIT_DOCUMENT_NOT_FOUND, ERR_HEXKIT_DOCUMENT_CHANGED, ERR_HEXKIT_UNIQUE_VIOLATION, ERR_HEXKIT_DOCUMENT_INVALID, ERR_HEXKIT_DOCUMENT_TOO_LARGE.
   */
  update(dto: Dto, options?: UpdateOptions<Dto>): Promise<void>;
  /** Inserts, or replaces the whole document. @throws ERR_HEXKIT_UNIQUE_VIOLATION, ERR_HEXKIT_DOCUMENT_INVALID, ERR_HEXKIT_DOCUMENT_TOO_LARGE. */
  upsert(dto: Dto, options?: CallOptions): Promise<void>;
  /** @throws ERR_HEXKIT_DOCUMENT_NOT_FOUND. */
  delete(id: string | number, options?: CallOptions): Promise<void>;
  /**
   * In order until the first that fails; those before it are stored, unless it happens in a transaction. All are checked before the first is written.
   * @throws as `insert`.
   */
  insertMany(dtos: readonly Dto[], options?: CallOptions): Promise<void>;
  /** As `insertMany`. @throws as `upsert`. */
  upsertMany(dtos: readonly Dto[], options?: CallOptions): Promise<void>;
  /** The only match. @throws ERR_HEXKIT_NO_HIT, ERR_HEXKIT_MULTIPLE_HITS, ERR_HEXKIT_FILTER_INVALID. */
  findOne(filter: Filter<Dto>, options?: CallOptions): Promise<Dto>;
  /**
   * All matches; without a filter, all documents. Refuses a bad filter, sort key or paging at once, not when it is iterated.
   * @throws ERR_HEXKIT_FILTER_INVALID; ERR_HEXKIT_INVALID_ARGUMENT if `skip` or `limit` is negative or no integer.
   */
  find(filter?: Filter<Dto>, options?: FindOptions<Dto>): Find<Dto>;
  /** @throws ERR_HEXKIT_FILTER_INVALID. */
  count(filter?: Filter<Dto>, options?: CallOptions): Promise<number>;
  /**
   * The same DAO as part of a transaction.
   * @throws ERR_HEXKIT_TRANSACTION_INVALID if it is none, belongs to another binding, or (later, by each call) is over.
   */
  in(transaction: DaoTransaction): Dao<Dto>;
}

export interface DaoFactory {
  /**
   * Gives the DAO of one collection, and makes the indexes that are missing; none is dropped. A collection may be opened more than once.
   * @throws ERR_HEXKIT_INVALID_ARGUMENT for a schema that cannot be used or a bad name, ERR_HEXKIT_ID_FIELD_NOT_FOUND,
   * ERR_HEXKIT_ID_TYPE_UNSUPPORTED (nullable, a union, boolean, not an integer …), ERR_HEXKIT_INDEX_INVALID for an unknown field,
   * ERR_HEXKIT_INDEX_CONFLICT if stored documents or another index contradict it.
   */
  open<const S extends Schema>(spec: DaoSpec<S>, options?: CallOptions): Promise<Dao<SchemaOutput<S>>>;
  /**
   * Runs `work` so that all that it does through `dao.in(tx)` happens together or not at all, and resolves to what it resolves to. Whatever it
   * throws takes everything back. It runs again if it lost against another writer or the database was away for a moment, until `timeoutMs` is over: keep
   * other effects out of it. Calls in one transaction happen one after the other. A call that the database refused ends the transaction, also if `work` goes on.
   * @throws ERR_HEXKIT_UNSUPPORTED without the capability; ERR_HEXKIT_TIMEOUT when time is over (with the last failure as cause; if the commit was under way, its outcome is unknown),
   * ERR_HEXKIT_ABORTED, or what `work` threw.
   */
  transaction<Result>(work: (transaction: DaoTransaction) => Promise<Result>, options?: TransactionOptions): Promise<Result>;
}
