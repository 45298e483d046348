import type { CallOptions } from "../../call.ts";
import type { BucketInfo, ByteRange, ContentStream, ObjectMetadata, ObjectRef, UploadRef } from "./object-storage.ts";

/** What a driver may choose not to support, from its options at `open`. Using what is missing is refused before any I/O. */
export interface ObjectStorageCapabilities {
  /** `put` with `ifAbsent` is decided by the server, atomically: of many at once exactly one succeeds. */
  readonly conditionalPut: boolean;
  /** `completeUpload` with `ifAbsent`, likewise. */
  readonly conditionalComplete: boolean;
  /**
   * `presign`: links with which others get, put and send parts, for which the backing service must speak HTTP. Without it core refuses
   * `presignDownload`, `presignPut`, `presignUpload` and `multipart.partUrl`; uploads in parts of core itself go on.
   */
  readonly links: boolean;
  /** `presignPost`: forms with which a browser uploads, with a limit of size. Only with `links`. */
  readonly postForm: boolean;
  /** `copyPart`. Without it objects above `maxCopyBytes` cannot be copied. */
  readonly partCopy: boolean;
  /** Bucket names may be `tenant:bucket`. */
  readonly tenants: boolean;
}

/** Sizes that the server accepts, in bytes. */
export interface ObjectStorageLimits {
  /** Smallest part of an upload, the last one excepted: 5 MiB where the server is like the original. */
  readonly minPartBytes: number;
  /** Largest body of one `put` or `putPart`: usually 5 GiB. */
  readonly maxPutBytes: number;
  /** Largest source of one `copy`, and largest range of one `copyPart`: usually 5 GiB. */
  readonly maxCopyBytes: number;
}

/** What the server knows about a stored object. `sizeBytes` is that of the whole object, also where a range was read. */
export interface StoredFacts {
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  /** `application/octet-stream` where the server has none. */
  readonly contentType: string;
  /** Names in lower case, without any prefix of the wire. */
  readonly metadata: ObjectMetadata;
  readonly modifiedAt: Date;
}

/** What goes along with new content. */
export interface ContentFacts {
  readonly contentType?: string | undefined;
  /** Checked by core: names in lower case, printable ASCII, at most 2 KB. */
  readonly metadata?: ObjectMetadata | undefined;
}

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  readonly modifiedAt: Date;
}

export interface ListedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly startedAt: Date;
}

export interface ListedPart {
  readonly partNumber: number;
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  readonly modifiedAt: Date;
}

/** One page of a listing. `next` is opaque to core: given back, it gets the page that follows; absent on the last page. */
export interface Page<Item, Next = string> {
  readonly items: readonly Item[];
  readonly next?: Next | undefined;
}

/** What is to be signed. Signing is local: no request is made, nothing is checked. */
export type LinkRequest = ObjectRef & {
  /** 1 s to 7 days; whole seconds. */
  readonly expiresInMs: number;
} & (
    | {
        /** GET. Disposition and type, if given, are those of the answer, whatever was stored. */
        readonly kind: "download";
        readonly contentDisposition?: string | undefined;
        readonly contentType?: string | undefined;
      }
    | {
        /** PUT of a whole object. A given type is signed: the client must send the same `content-type`. */
        readonly kind: "put";
        readonly contentType?: string | undefined;
      }
    | {
        /** PUT of a part. A given MD5 (base64) is signed: the client must send it as `content-md5`, and the server checks it. */
        readonly kind: "part";
        readonly uploadId: string;
        readonly partNumber: number;
        readonly md5?: string | undefined;
      }
  );

/** A form to be signed, for exactly this bucket and key. */
export type FormRequest = ObjectRef & {
  readonly expiresInMs: number;
  /** The server refuses a larger file. */
  readonly maxBytes?: number | undefined;
};

/**
 * Objects in buckets, at the level of single requests. Safe under concurrent calls. Core checks every argument, cuts large
 * bodies into parts, pages, repeats what may be repeated and maps errors once. So a driver throws its client's own errors and
 * does none of that: its client's retries are off. Every call settles in the end, also if the server never answers, and rejects
 * promptly when its signal aborts, with the request's socket freed.
 *
 * A missing bucket, object or upload makes a call reject with an error that `classify` knows, unless a method says otherwise.
 * Where the server does not tell a missing object from a missing bucket, `classify` says ERR_HEXKIT_OBJECT_NOT_FOUND; core finds out which.
 * A condition (`ifAbsent`) that is not met: ERR_HEXKIT_OBJECT_EXISTS.
 */
export interface ObjectStorageDriver {
  readonly capabilities: ObjectStorageCapabilities;
  readonly limits: ObjectStorageLimits;

  /** An existing bucket, also one's own: ERR_HEXKIT_BUCKET_EXISTS, where the server tells. Core has asked `bucketExists` before. */
  createBucket(bucket: string, options: CallOptions): Promise<void>;
  bucketExists(bucket: string, options: CallOptions): Promise<boolean>;
  /** All of them, in any order. */
  listBuckets(options: CallOptions): Promise<readonly BucketInfo[]>;
  /** A bucket with objects: ERR_HEXKIT_BUCKET_NOT_EMPTY. */
  deleteBucket(bucket: string, options: CallOptions): Promise<void>;

  /** Stores a body of at most `maxPutBytes` in one request. The body belongs to core again once this settles. */
  put(
    object: ObjectRef,
    body: Uint8Array,
    options: CallOptions & ContentFacts & { readonly ifAbsent?: boolean },
  ): Promise<{ etag: string }>;
  /**
   * Resolves when the answer has begun. The signal counts until then; afterwards core destroys the body, which frees the socket, also
   * one that was never read. A body that breaks off before its end emits `error`. A range that begins at or behind the end:
   * ERR_HEXKIT_RANGE_NOT_SATISFIABLE; one that ends behind it is cut.
   */
  get(
    object: ObjectRef,
    options: CallOptions & { readonly range?: ByteRange | undefined },
  ): Promise<StoredFacts & { readonly body: ContentStream }>;
  /** `undefined` if there is no such object or no such bucket. */
  stat(object: ObjectRef, options: CallOptions): Promise<StoredFacts | undefined>;
  /** A missing object is no error. */
  delete(object: ObjectRef, options: CallOptions): Promise<void>;
  /** 1 to 1,000 keys. Resolves with those that could not be deleted and the client's own error of each; missing ones are no error. */
  deleteMany(
    bucket: string,
    keys: readonly string[],
    options: CallOptions,
  ): Promise<readonly { readonly key: string; readonly error: unknown }[]>;
  /** Keys that begin with `prefix` (may be empty), in the order of their UTF-8 bytes, at most `limit` (1 to 1,000). */
  listPage(
    bucket: string,
    options: CallOptions & { readonly prefix: string; readonly next?: string | undefined; readonly limit: number },
  ): Promise<Page<ListedObject>>;
  /** Server side, with content type and metadata, in one request; the source has at most `maxCopyBytes`. Replaces what is there. */
  copy(from: ObjectRef, to: ObjectRef, options: CallOptions): Promise<{ etag: string }>;

  /** Resolves to the upload's id. Others may be open for the same key. */
  startUpload(object: ObjectRef, options: CallOptions & ContentFacts): Promise<string>;
  /** Stores a part, or replaces it. The body belongs to core again once this settles. */
  putPart(upload: UploadRef, partNumber: number, body: Uint8Array, options: CallOptions): Promise<{ etag: string }>;
  /** Server side, a range of another object as part. A source whose etag is not `sourceEtag` any more makes it reject. */
  copyPart(
    upload: UploadRef,
    partNumber: number,
    source: ObjectRef & { readonly range: Required<ByteRange>; readonly sourceEtag: string },
    options: CallOptions,
  ): Promise<{ etag: string }>;
  /** Parts with numbers above `after` (0: from the first), ascending, at most `limit` (1 to 1,000). `next` is the `after` of the next page. */
  listPartsPage(
    upload: UploadRef,
    options: CallOptions & { readonly after: number; readonly limit: number },
  ): Promise<Page<ListedPart, number>>;
  /** Parts in ascending order, at least one. Later the upload is gone and the object is there. */
  completeUpload(
    upload: UploadRef,
    parts: readonly { readonly partNumber: number; readonly etag: string }[],
    options: CallOptions & { readonly ifAbsent?: boolean },
  ): Promise<{ etag: string }>;
  /** An unknown upload may be reported as missing or be ignored; core does not rely on either. */
  abortUpload(upload: UploadRef, options: CallOptions): Promise<void>;
  /** Open uploads: of exactly `key` if one is given (others may be among them: core filters), else of the bucket. At most `limit` (1 to 1,000). */
  listUploadsPage(
    bucket: string,
    options: CallOptions & { readonly key?: string | undefined; readonly next?: string | undefined; readonly limit: number },
  ): Promise<Page<ListedUpload>>;

  /** Left out without `links`. The signed URL, for the public address where one is configured. It carries no checksum parameter that was not asked for. */
  presign?(link: LinkRequest, options: CallOptions): Promise<string>;
  /** Left out without `postForm`. The address of the form and its fields, all but the file, which goes last, under the name `file`. */
  presignPost?(
    form: FormRequest,
    options: CallOptions,
  ): Promise<{ readonly url: string; readonly fields: Readonly<Record<string, string>> }>;
}
