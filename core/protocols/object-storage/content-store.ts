import type { CallOptions } from "../../call.ts";
import type { BucketInfo, ByteRange, ContentStream } from "./object-storage.ts";

/** What records are about: objects, uploads that are open, parts that have arrived. */
export type ContentShelf = "objects" | "uploads" | "parts";

/** A record by its bucket, its shelf, and a name of up to 1,100 bytes of UTF-8 without control characters; it may hold `/`. */
export interface RecordRef {
  readonly bucket: string;
  readonly shelf: ContentShelf;
  readonly name: string;
}

/**
 * The least that something must be able to do to hold objects: bytes under ids, and small texts under names. `objectStorageOver` makes an
 * `ObjectStorageDriver` of it. For files, tables and key-value stores, which know neither pages nor uploads in parts.
 *
 * Safe under concurrent calls; core changes one record at a time within a process. A store throws its client's own errors. It need not tell
 * a missing bucket from other failures: when a call rejects, core asks `bucketExists`.
 */
export interface ContentStore {
  /** Whether `setRecord` with `ifAbsent` is atomic, also among processes. Without it `ifAbsent` is refused before any I/O. */
  readonly conditional: boolean;

  /** `false` if it exists. */
  createBucket(bucket: string, options: CallOptions): Promise<boolean>;
  bucketExists(bucket: string, options: CallOptions): Promise<boolean>;
  /** All of them, in any order. */
  listBuckets(options: CallOptions): Promise<readonly BucketInfo[]>;
  /** With whatever is in it, unless it has records of objects: then `false`, and nothing is gone. A missing one rejects. */
  deleteBucket(bucket: string, options: CallOptions): Promise<boolean>;

  /** Stores content under a new id, a UUID. What a failure leaves is removed by `deleteContent`. In a missing bucket it rejects. */
  writeContent(bucket: string, id: string, content: Uint8Array | AsyncIterable<Uint8Array>, options: CallOptions): Promise<void>;
  /**
   * `undefined` if it is gone. Core destroys the stream, also unread, which frees what it holds; one that is read goes on when its content
   * is deleted. A range lies within the content.
   */
  readContent(bucket: string, id: string, range: ByteRange | undefined, options: CallOptions): Promise<ContentStream | undefined>;
  /** A missing one is no error. */
  deleteContent(bucket: string, id: string, options: CallOptions): Promise<void>;

  /** `undefined` if there is none, or no such bucket. */
  getRecord(record: RecordRef, options: CallOptions): Promise<string | undefined>;
  /**
   * Stores a text of up to 8 KB under a name, or replaces it: seen whole or not at all. `false` if `ifAbsent` was asked for and there is
   * one. In a missing bucket it rejects.
   */
  setRecord(record: RecordRef, text: string, options: CallOptions & { readonly ifAbsent: boolean }): Promise<boolean>;
  /** A missing one is no error. */
  deleteRecord(record: RecordRef, options: CallOptions): Promise<void>;
  /** The texts of a shelf, in any order. Only names that begin with `prefix` are wanted, which a store that cannot search may ignore. */
  listRecords(bucket: string, shelf: ContentShelf, prefix: string, options: CallOptions): AsyncIterable<string>;
}
