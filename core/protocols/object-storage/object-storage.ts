import type { Readable } from "node:stream";
import type { CallOptions } from "../../call.ts";

/** Content on its way: a Node `Readable`. */
export type ContentStream = Readable;

/** An object by bucket and key. */
export interface ObjectRef {
  readonly bucket: string;
  readonly key: string;
}

/** An open multipart upload. */
export interface UploadRef extends ObjectRef {
  readonly uploadId: string;
}

export interface BucketInfo {
  readonly bucket: string;
  /** Where the provider knows it. */
  readonly createdAt?: Date | undefined;
}

/** What a user keeps with an object. Names in lower case (`a-z`, `0-9`, `-`, `_`, `.`), values printable ASCII, at most 2,048 bytes in all. */
export type ObjectMetadata = Readonly<Record<string, string>>;

/** Bytes from `start` to `end`, both included, as in HTTP and `fs.createReadStream`. Without `end`: to the last one. An `end` behind the last byte is cut. */
export interface ByteRange {
  readonly start: number;
  readonly end?: number | undefined;
}

/** What storing an object tells. */
export interface StoredRef extends ObjectRef {
  /** Changes with the content. Without quotes. No checksum: an object that was stored in parts has none. */
  readonly etag: string;
  readonly sizeBytes: number;
}

/** What a listing tells. */
export interface ObjectSummary extends StoredRef {
  readonly modifiedAt: Date;
}

/** Everything that is known about an object. */
export interface ObjectInfo extends ObjectSummary {
  /** `application/octet-stream` where none was given. */
  readonly contentType: string;
  readonly metadata: ObjectMetadata;
}

/**
 * An object whose content is on its way. It holds a connection until `body` has ended or is destroyed, or `close` is called:
 * read it or close it, or declare it with `await using`.
 */
export interface StoredObject extends AsyncDisposable {
  /** `sizeBytes` is the size of the whole object, also where a range was asked for. */
  readonly info: ObjectInfo;
  /** Fails with a `HexkitError`: ERR_HEXKIT_ABORTED by the signal of `get`, ERR_HEXKIT_UNAVAILABLE if it breaks off, ERR_HEXKIT_CLOSED. */
  readonly body: Readable;
  /** Reads all of it. Once, and not after `body` was touched. */
  bytes(): Promise<Uint8Array>;
  /** Reads all of it as UTF-8. */
  text(): Promise<string>;
  /** Frees the connection. Unread content is dropped. Repeated calls are harmless. */
  close(): Promise<void>;
}

/** What can be stored. A stream is read once, at the pace of the upload; if that fails the stream is destroyed. Text is UTF-8. */
export type ObjectBody = Uint8Array | string | Blob | ReadableStream<Uint8Array> | Readable | AsyncIterable<Uint8Array>;

export interface ContentOptions {
  /** Default: `application/octet-stream`. */
  readonly contentType?: string | undefined;
  readonly metadata?: ObjectMetadata | undefined;
}

export interface PutOptions extends CallOptions, ContentOptions {
  /** Stores only if nothing has that key, decided by the server: else ERR_HEXKIT_OBJECT_EXISTS, for a large object possibly at its end only. */
  readonly ifAbsent?: boolean | undefined;
  /** Size of a stream, if it is known. A stream of another size is refused, and nothing is stored. */
  readonly sizeBytes?: number | undefined;
}

export interface ExpiryOptions extends CallOptions {
  /** Milliseconds, 1 s to 7 days; whole seconds, rounded down. Default: 24 hours, of part links 1 hour. */
  readonly expiresInMs?: number | undefined;
}

export interface DownloadLinkOptions extends ExpiryOptions {
  /** The browser saves the content under this name. */
  readonly fileName?: string | undefined;
  /** Content type of the answer. Default: the stored one. */
  readonly contentType?: string | undefined;
}

export interface UploadLinkOptions extends ExpiryOptions {
  /** Signs although the object exists. */
  readonly overwrite?: boolean | undefined;
}

export interface Link {
  readonly url: string;
  readonly expiresAt: Date;
}

export interface PutLink extends Link {
  /** Must be sent with the PUT. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface FormLink extends Link {
  /** Form fields to be sent by POST as `multipart/form-data`, all before the file, which is the last field and named `file`. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface PartInfo {
  readonly partNumber: number;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modifiedAt: Date;
}

export interface UploadInfo extends UploadRef {
  readonly startedAt: Date;
}

/**
 * Uploads in parts, by links that others use. Part links and completion belong to the only open upload of an object: a second one,
 * however it came to be, makes them fail until one is aborted.
 *
 * @throws as `ObjectStorage`, and ERR_HEXKIT_UPLOAD_NOT_FOUND for an unknown upload, ERR_HEXKIT_UPLOAD_NOT_EXCLUSIVE if more than one is open.
 */
export interface MultipartUploads {
  /** Opens an upload. An existing object stays until completion replaces it. @throws ERR_HEXKIT_UPLOAD_EXISTS if one is open for that object. */
  start(bucket: string, key: string, options?: CallOptions & ContentOptions): Promise<UploadRef>;
  /**
   * A link to PUT one part, 1 to 10,000. Parts but the last need the provider's smallest size (usually 5 MiB), which is checked at completion.
   * @param options `md5`: of the part, in base64. It must be sent as `content-md5` (see `headers`), and the part must have it.
   */
  partUrl(upload: UploadRef, partNumber: number, options?: ExpiryOptions & { readonly md5?: string | undefined }): Promise<PutLink>;
  /** Parts that have arrived, ascending. `firstPartNumber` (default 1) and `maxParts` (default all) cut a window. */
  listParts(
    upload: UploadRef,
    options?: CallOptions & { readonly maxParts?: number | undefined; readonly firstPartNumber?: number | undefined },
  ): Promise<readonly PartInfo[]>;
  /**
   * Makes the object of all parts that have arrived. They must all have one size, the last one excepted, which may be smaller; `partCount` and
   * `partSizeBytes`, if given, must agree. Gaps in the numbers are allowed.
   * @throws ERR_HEXKIT_UPLOAD_INCOMPLETE if the parts are not as they should be (the upload stays open), ERR_HEXKIT_OBJECT_EXISTS with `ifAbsent`.
   */
  complete(
    upload: UploadRef,
    options?: CallOptions & {
      readonly partCount?: number | undefined;
      readonly partSizeBytes?: number | undefined;
      /** Only if nothing has that key, decided by the server. */
      readonly ifAbsent?: boolean | undefined;
    },
  ): Promise<StoredRef>;
  /** Drops the upload and its parts. @throws ERR_HEXKIT_UPLOAD_ABORT_FAILED if parts are still there afterwards. */
  abort(upload: UploadRef, options?: CallOptions): Promise<void>;
  /** Open uploads of the bucket, or of one key (exactly that one). */
  list(bucket: string, options?: CallOptions & { readonly key?: string | undefined }): AsyncIterable<UploadInfo>;
  /** Aborts uploads that were started more than `ageMs` ago, by the provider's times and our clock. Resolves to those it aborted. */
  abortOlderThan(bucket: string, ageMs: number, options?: CallOptions): Promise<readonly UploadInfo[]>;
}

/**
 * Objects in buckets: moves bytes, signs links, runs uploads in parts.
 *
 * Bucket names: 3 to 63 of `a-z`, `0-9`, `-`, a letter or digit at both ends; where the provider has tenants also `tenant:bucket`. Keys: 1 to 1,024 bytes
 * of UTF-8, no leading or doubled `/`, no segment `.` or `..`, no control character; with `narrowKeys` as Python hexkit has them.
 * Every argument is checked before anything is sent, the bucket first. Requests that fail for a passing reason are repeated (`maxRetries`) where that can do no harm.
 *
 * @throws ERR_HEXKIT_BUCKET_NAME_INVALID, ERR_HEXKIT_OBJECT_KEY_INVALID, ERR_HEXKIT_INVALID_ARGUMENT, ERR_HEXKIT_UNSUPPORTED, ERR_HEXKIT_CLOSED
 * before anything is sent; ERR_HEXKIT_BUCKET_NOT_FOUND, ERR_HEXKIT_OBJECT_NOT_FOUND where it must exist; ERR_HEXKIT_ABORTED, ERR_HEXKIT_TIMEOUT,
 * ERR_HEXKIT_UNAVAILABLE, ERR_HEXKIT_AUTHENTICATION_FAILED, ERR_HEXKIT_PERMISSION_DENIED, ERR_HEXKIT_PROVIDER_FAILED.
 */
export interface ObjectStorage {
  /** @throws ERR_HEXKIT_BUCKET_EXISTS, also if the existing one is the caller's own. */
  createBucket(bucket: string, options?: CallOptions): Promise<void>;
  bucketExists(bucket: string, options?: CallOptions): Promise<boolean>;
  /** In the order of their names. */
  listBuckets(options?: CallOptions): Promise<readonly BucketInfo[]>;
  /** With `deleteContent` its objects and open uploads go first. @throws ERR_HEXKIT_BUCKET_NOT_EMPTY without it. */
  deleteBucket(bucket: string, options?: CallOptions & { readonly deleteContent?: boolean | undefined }): Promise<void>;

  /**
   * Stores an object of any size, replacing what is there. Small bodies are sent at once; larger ones in parts, with at most
   * `partSizeBytes` × `uploadConcurrency` bytes in memory. A failure leaves nothing behind: the upload is aborted, the source destroyed.
   * Bytes that are given must not change until this settles.
   * @throws ERR_HEXKIT_OBJECT_TOO_LARGE above 5 TiB, ERR_HEXKIT_OBJECT_EXISTS with `ifAbsent`, ERR_HEXKIT_INVALID_ARGUMENT if a stream
   * is not of `sizeBytes` or gives something else than bytes, ERR_HEXKIT_SOURCE_FAILED if it fails.
   */
  put(bucket: string, key: string, body: ObjectBody, options?: PutOptions): Promise<StoredRef>;
  /** Begins to read. @throws ERR_HEXKIT_RANGE_NOT_SATISFIABLE if the range begins behind the last byte. */
  get(bucket: string, key: string, options?: CallOptions & { readonly range?: ByteRange | undefined }): Promise<StoredObject>;
  stat(bucket: string, key: string, options?: CallOptions): Promise<ObjectInfo>;
  /** A missing bucket is an error, not `false`. */
  exists(bucket: string, key: string, options?: CallOptions): Promise<boolean>;
  /** A missing object is no error. */
  delete(bucket: string, key: string, options?: CallOptions): Promise<void>;
  /** Any number of keys. Missing ones are no error. Rejects with the first failure, whose `failures` lists all, once every key was tried. */
  deleteMany(bucket: string, keys: Iterable<string>, options?: CallOptions): Promise<void>;
  /** Lazily, in the order of the keys' UTF-8 bytes. */
  list(bucket: string, options?: CallOptions & { readonly prefix?: string | undefined }): AsyncIterable<ObjectSummary>;
  /**
   * On the server, with content type and metadata; large objects in parts. The destination is checked before the source.
   * @throws ERR_HEXKIT_OBJECT_EXISTS if the destination exists, unless `overwrite`.
   */
  copy(from: ObjectRef, to: ObjectRef, options?: CallOptions & { readonly overwrite?: boolean | undefined }): Promise<StoredRef>;

  /** A link to GET an object, which must exist. */
  presignDownload(bucket: string, key: string, options?: DownloadLinkOptions): Promise<Link>;
  /** A form to POST exactly this object, of at most `maxBytes`. @throws ERR_HEXKIT_OBJECT_EXISTS if it exists, unless `overwrite`. */
  presignUpload(bucket: string, key: string, options?: UploadLinkOptions & { readonly maxBytes?: number | undefined }): Promise<FormLink>;
  /** A link to PUT exactly this object; with a `contentType`, only of that type. @throws ERR_HEXKIT_OBJECT_EXISTS if it exists, unless `overwrite`. */
  presignPut(bucket: string, key: string, options?: UploadLinkOptions & { readonly contentType?: string | undefined }): Promise<PutLink>;

  readonly multipart: MultipartUploads;
}
