import { Readable } from "node:stream";
import type {
  BucketInfo,
  ByteRange,
  CallOptions,
  ContentFacts,
  FormRequest,
  LinkRequest,
  ListedObject,
  ListedPart,
  ListedUpload,
  ObjectRef,
  ObjectStorageDriver,
  Page,
  StoredFacts,
  UploadRef,
} from "../../core/index.ts";
import type { MemoryClient } from "./client.ts";
import { cutRange, type MemoryObjectStore, pieces, storeLimits } from "./object-store.ts";

const chunkBytes = 65_536;

export class MemoryStorageDriver implements ObjectStorageDriver {
  readonly capabilities = {
    conditionalPut: true,
    conditionalComplete: true,
    links: true,
    postForm: true,
    partCopy: true,
    tenants: true,
  } as const;
  readonly limits = storeLimits;
  readonly #client: MemoryClient;

  constructor(client: MemoryClient) {
    this.#client = client;
  }

  async createBucket(bucket: string, { signal }: CallOptions): Promise<void> {
    this.#store(signal).createBucket(bucket, this.#now());
  }

  async bucketExists(bucket: string, { signal }: CallOptions): Promise<boolean> {
    return this.#store(signal).hasBucket(bucket);
  }

  async listBuckets({ signal }: CallOptions): Promise<readonly BucketInfo[]> {
    return this.#store(signal).listBuckets();
  }

  async deleteBucket(bucket: string, { signal }: CallOptions): Promise<void> {
    this.#store(signal).deleteBucket(bucket);
  }

  async put(object: ObjectRef, body: Uint8Array, options: CallOptions & ContentFacts & { ifAbsent?: boolean }): Promise<{ etag: string }> {
    return this.#store(options.signal).put(object, body, options, { now: this.#now(), ifAbsent: options.ifAbsent });
  }

  async get(
    object: ObjectRef,
    { range, signal }: CallOptions & { range?: ByteRange | undefined },
  ): Promise<StoredFacts & { body: Readable }> {
    const { chunks, ...facts } = this.#store(signal).get(object);
    const [start, end] = range === undefined ? [0, facts.sizeBytes - 1] : cutRange(range, facts.sizeBytes);
    return { ...facts, metadata: { ...facts.metadata }, body: Readable.from(copies(chunks, start, end), { objectMode: false }) };
  }

  async stat(object: ObjectRef, { signal }: CallOptions): Promise<StoredFacts | undefined> {
    const store = this.#store(signal);
    const entry = store.hasBucket(object.bucket) ? store.find(object) : undefined;
    if (entry === undefined) return undefined;
    const { chunks: _, ...facts } = entry;
    return { ...facts, metadata: { ...facts.metadata } };
  }

  async delete(object: ObjectRef, { signal }: CallOptions): Promise<void> {
    this.#store(signal).delete(object);
  }

  async deleteMany(bucket: string, keys: readonly string[], { signal }: CallOptions): Promise<readonly never[]> {
    const store = this.#store(signal);
    for (const key of keys) store.delete({ bucket, key });
    return [];
  }

  async listPage(
    bucket: string,
    options: CallOptions & { prefix: string; next?: string | undefined; limit: number },
  ): Promise<Page<ListedObject>> {
    return this.#store(options.signal).listPage(bucket, options.prefix, options.next, options.limit);
  }

  async copy(from: ObjectRef, to: ObjectRef, { signal }: CallOptions): Promise<{ etag: string }> {
    return this.#store(signal).copy(from, to, { now: this.#now() });
  }

  async startUpload(object: ObjectRef, { signal, contentType, metadata }: CallOptions & ContentFacts): Promise<string> {
    return this.#store(signal).startUpload(object, { contentType, metadata }, this.#now());
  }

  async putPart(upload: UploadRef, partNumber: number, body: Uint8Array, { signal }: CallOptions): Promise<{ etag: string }> {
    return this.#store(signal).putPart(upload, partNumber, body, this.#now());
  }

  async copyPart(
    upload: UploadRef,
    partNumber: number,
    source: ObjectRef & { range: Required<ByteRange>; sourceEtag: string },
    { signal }: CallOptions,
  ): Promise<{ etag: string }> {
    return this.#store(signal).copyPart(upload, partNumber, source, this.#now());
  }

  async listPartsPage(
    upload: UploadRef,
    { signal, after, limit }: CallOptions & { after: number; limit: number },
  ): Promise<Page<ListedPart, number>> {
    return this.#store(signal).listPartsPage(upload, after, limit);
  }

  async completeUpload(
    upload: UploadRef,
    parts: readonly { partNumber: number; etag: string }[],
    { signal, ifAbsent }: CallOptions & { ifAbsent?: boolean },
  ): Promise<{ etag: string }> {
    return this.#store(signal).completeUpload(upload, parts, { now: this.#now(), ifAbsent });
  }

  async abortUpload(upload: UploadRef, { signal }: CallOptions): Promise<void> {
    this.#store(signal).abortUpload(upload);
  }

  async listUploadsPage(
    bucket: string,
    { signal, key, next, limit }: CallOptions & { key?: string | undefined; next?: string | undefined; limit: number },
  ): Promise<Page<ListedUpload>> {
    return this.#store(signal).listUploadsPage(bucket, key, next, limit);
  }

  async presign(link: LinkRequest, { signal }: CallOptions): Promise<string> {
    this.#store(signal);
    return this.#client.links.sign(link, this.#client.clock);
  }

  async presignPost(form: FormRequest, { signal }: CallOptions): Promise<{ url: string; fields: Readonly<Record<string, string>> }> {
    this.#store(signal);
    return this.#client.links.signForm(form, this.#client.clock);
  }

  /** The store, if it can be reached. */
  #store(signal: AbortSignal | undefined): MemoryObjectStore {
    signal?.throwIfAborted();
    this.#client.broker.demandPresence();
    return this.#client.objects;
  }

  #now(): number {
    return this.#client.clock.now();
  }
}

/** The stored bytes in pieces that belong to whoever reads them. */
function* copies(chunks: readonly Uint8Array[], start: number, end: number): Generator<Uint8Array> {
  for (const piece of pieces(chunks, start, end)) {
    for (let at = 0; at < piece.byteLength; at += chunkBytes) yield Buffer.from(piece.subarray(at, at + chunkBytes));
  }
}
