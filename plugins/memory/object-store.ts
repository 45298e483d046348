import { createHash, randomUUID } from "node:crypto";
import type {
  ByteRange,
  ContentFacts,
  ListedObject,
  ListedPart,
  ListedUpload,
  ObjectRef,
  Page,
  StoredFacts,
  UploadRef,
} from "../../core/index.ts";
import { MemoryStorageError } from "./errors.ts";

const mebibyte = 2 ** 20;
/** Sizes that the original accepts. */
export const storeLimits = { minPartBytes: 5 * mebibyte, maxPutBytes: 5120 * mebibyte, maxCopyBytes: 5120 * mebibyte };

interface Entry extends StoredFacts {
  /** Never changed, so that whoever is reading them goes on when the object is replaced. */
  readonly chunks: readonly Uint8Array[];
}

interface Part extends ListedPart {
  readonly chunks: readonly Uint8Array[];
}

interface Upload {
  readonly id: string;
  readonly key: string;
  readonly content: ContentFacts;
  readonly startedAt: Date;
  readonly parts: Map<number, Part>;
}

interface Bucket {
  readonly createdAt: Date;
  readonly objects: Map<string, Entry>;
  readonly uploads: Map<string, Upload>;
  /** Keys in order; made again when it is needed after a key has come or gone. */
  sorted: readonly string[] | undefined;
}

export interface WriteOptions {
  readonly now: number;
  readonly ifAbsent?: boolean | undefined;
}

/** Buckets, objects and uploads in parts, each call done at once. Bytes are copied on their way in; whoever reads gets the stored ones. */
export class MemoryObjectStore {
  readonly #buckets = new Map<string, Bucket>();

  createBucket(name: string, now: number): void {
    if (this.#buckets.has(name)) throw new MemoryStorageError("BUCKET_EXISTS", `bucket "${name}" exists`);
    this.#buckets.set(name, { createdAt: new Date(now), objects: new Map(), uploads: new Map(), sorted: undefined });
  }

  hasBucket(name: string): boolean {
    return this.#buckets.has(name);
  }

  listBuckets(): { readonly bucket: string; readonly createdAt: Date }[] {
    return [...this.#buckets].map(([bucket, { createdAt }]) => ({ bucket, createdAt }));
  }

  deleteBucket(name: string): void {
    if (this.#bucket(name).objects.size > 0) throw new MemoryStorageError("BUCKET_NOT_EMPTY", `bucket "${name}" holds objects`);
    this.#buckets.delete(name);
  }

  put(object: ObjectRef, body: Uint8Array, content: ContentFacts, options: WriteOptions): { etag: string } {
    return this.#store(object, [Uint8Array.from(body)], md5(body).toString("hex"), content, options);
  }

  /** `undefined` for a missing object; a missing bucket is an error. */
  find({ bucket, key }: ObjectRef): Entry | undefined {
    return this.#bucket(bucket).objects.get(key);
  }

  get(object: ObjectRef): Entry {
    const entry = this.find(object);
    if (entry === undefined) throw new MemoryStorageError("NO_SUCH_KEY", `there is no object "${object.key}" in bucket "${object.bucket}"`);
    return entry;
  }

  delete({ bucket: name, key }: ObjectRef): void {
    const bucket = this.#bucket(name);
    if (bucket.objects.delete(key)) bucket.sorted = undefined;
  }

  listPage(name: string, prefix: string, after: string | undefined, limit: number): Page<ListedObject> {
    const bucket = this.#bucket(name);
    bucket.sorted ??= [...bucket.objects.keys()].sort(byBytes);
    const found = page(bucket.sorted, (key) => key.startsWith(prefix) && (after === undefined || byBytes(key, after) > 0), limit);
    const items = found.items.map((key) => {
      const { sizeBytes, etag, modifiedAt } = bucket.objects.get(key) as Entry;
      return { key, sizeBytes, etag, modifiedAt };
    });
    return { items, next: found.more ? found.items.at(-1) : undefined };
  }

  copy(from: ObjectRef, to: ObjectRef, options: WriteOptions): { etag: string } {
    const { chunks, contentType, metadata } = this.get(from);
    const etag = md5(...chunks).toString("hex");
    return this.#store(to, chunks, etag, { contentType, metadata }, options);
  }

  startUpload({ bucket, key }: ObjectRef, content: ContentFacts, now: number): string {
    const id = randomUUID();
    this.#bucket(bucket).uploads.set(id, { id, key, content, startedAt: new Date(now), parts: new Map() });
    return id;
  }

  putPart(upload: UploadRef, partNumber: number, body: Uint8Array, now: number): { etag: string } {
    return this.#storePart(upload, partNumber, [Uint8Array.from(body)], now);
  }

  copyPart(
    upload: UploadRef,
    partNumber: number,
    source: ObjectRef & { range: ByteRange; sourceEtag: string },
    now: number,
  ): { etag: string } {
    const { etag, chunks, sizeBytes } = this.get(source);
    if (etag !== source.sourceEtag) throw new MemoryStorageError("SOURCE_CHANGED", `object "${source.key}" was replaced during the copy`);
    const [start, end] = cutRange(source.range, sizeBytes);
    return this.#storePart(upload, partNumber, [...pieces(chunks, start, end)], now);
  }

  listPartsPage(upload: UploadRef, after: number, limit: number): Page<ListedPart, number> {
    const parts = [...this.#upload(upload).parts.values()].sort((a, b) => a.partNumber - b.partNumber);
    const { items, more } = page(parts, ({ partNumber }) => partNumber > after, limit);
    const listed = items.map(({ partNumber, sizeBytes, etag, modifiedAt }) => ({ partNumber, sizeBytes, etag, modifiedAt }));
    return { items: listed, next: more ? listed.at(-1)?.partNumber : undefined };
  }

  completeUpload(ref: UploadRef, chosen: readonly { partNumber: number; etag: string }[], options: WriteOptions): { etag: string } {
    const upload = this.#upload(ref);
    const parts = chosen.map(({ partNumber, etag }, index) => {
      const part = upload.parts.get(partNumber);
      if (part === undefined || part.etag !== etag)
        throw new MemoryStorageError("INVALID_PART", `part ${partNumber} has not arrived as it was named`);
      if (index > 0 && partNumber <= (chosen[index - 1]?.partNumber ?? 0))
        throw new MemoryStorageError("INVALID_PART", "parts are not in order");
      if (index < chosen.length - 1 && part.sizeBytes < storeLimits.minPartBytes) {
        throw new MemoryStorageError(
          "PART_TOO_SMALL",
          `part ${partNumber} has ${part.sizeBytes} bytes; all but the last need ${storeLimits.minPartBytes}`,
        );
      }
      return part;
    });
    if (parts.length === 0) throw new MemoryStorageError("INVALID_PART", "an upload is completed with one part or more");
    const etag = `${md5(...parts.map((part) => Buffer.from(part.etag, "hex"))).toString("hex")}-${parts.length}`;
    const chunks = parts.flatMap((part) => part.chunks);
    const stored = this.#store(ref, chunks, etag, upload.content, options);
    this.#bucket(ref.bucket).uploads.delete(ref.uploadId);
    return stored;
  }

  abortUpload(upload: UploadRef): void {
    this.#upload(upload);
    this.#bucket(upload.bucket).uploads.delete(upload.uploadId);
  }

  listUploadsPage(name: string, key: string | undefined, after: string | undefined, limit: number): Page<ListedUpload> {
    const place = (upload: Upload): string => `${upload.key}\u0000${upload.id}`;
    const uploads = [...this.#bucket(name).uploads.values()].sort((a, b) => byBytes(place(a), place(b)));
    const wanted = (upload: Upload): boolean =>
      (key === undefined || upload.key === key) && (after === undefined || byBytes(place(upload), after) > 0);
    const { items, more } = page(uploads, wanted, limit);
    const last = items.at(-1);
    return {
      items: items.map(({ id, key: name, startedAt }) => ({ key: name, uploadId: id, startedAt })),
      next: more && last !== undefined ? place(last) : undefined,
    };
  }

  clear(): void {
    this.#buckets.clear();
  }

  #bucket(name: string): Bucket {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) throw new MemoryStorageError("NO_SUCH_BUCKET", `there is no bucket "${name}"`);
    return bucket;
  }

  #upload({ bucket, key, uploadId }: UploadRef): Upload {
    const upload = this.#bucket(bucket).uploads.get(uploadId);
    if (upload?.key === key) return upload;
    throw new MemoryStorageError("NO_SUCH_UPLOAD", `no such upload is open for "${key}" in bucket "${bucket}"`);
  }

  #store(
    { bucket: name, key }: ObjectRef,
    chunks: readonly Uint8Array[],
    etag: string,
    { contentType = "application/octet-stream", metadata = {} }: ContentFacts,
    { now, ifAbsent }: WriteOptions,
  ): { etag: string } {
    const bucket = this.#bucket(name);
    if (ifAbsent && bucket.objects.has(key)) throw new MemoryStorageError("OBJECT_EXISTS", `object "${key}" exists in bucket "${name}"`);
    if (!bucket.objects.has(key)) bucket.sorted = undefined;
    const modifiedAt = new Date(now);
    bucket.objects.set(key, { chunks, sizeBytes: sizeOf(chunks), etag, contentType, metadata: { ...metadata }, modifiedAt });
    return { etag };
  }

  #storePart(upload: UploadRef, partNumber: number, chunks: readonly Uint8Array[], now: number): { etag: string } {
    const etag = md5(...chunks).toString("hex");
    this.#upload(upload).parts.set(partNumber, { partNumber, sizeBytes: sizeOf(chunks), etag, modifiedAt: new Date(now), chunks });
    return { etag };
  }
}

/** First and last byte of a range. @throws if it begins behind the end */
export function cutRange({ start, end = Number.POSITIVE_INFINITY }: ByteRange, sizeBytes: number): [start: number, end: number] {
  if (start >= sizeBytes) throw new MemoryStorageError("INVALID_RANGE", `the range begins at byte ${start}, the object has ${sizeBytes}`);
  return [start, Math.min(end, sizeBytes - 1)];
}

/** Views of the bytes from `start` to `end`, both included. */
export function* pieces(chunks: readonly Uint8Array[], start: number, end: number): Generator<Uint8Array> {
  let at = 0;
  for (const chunk of chunks) {
    const piece = chunk.subarray(Math.max(start - at, 0), Math.max(end + 1 - at, 0));
    if (piece.byteLength > 0) yield piece;
    at += chunk.byteLength;
  }
}

export function md5(...chunks: readonly Uint8Array[]): Buffer {
  const hash = createHash("md5");
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest();
}

function sizeOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
}

function page<Item>(all: readonly Item[], wanted: (item: Item) => boolean, limit: number): { items: Item[]; more: boolean } {
  const items: Item[] = [];
  for (const item of all) {
    if (!wanted(item)) continue;
    if (items.length === limit) return { items, more: true };
    items.push(item);
  }
  return { items, more: false };
}

/** The order of the bytes in UTF-8, which is not that of JavaScript's strings. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
