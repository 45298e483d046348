import { randomUUID } from "node:crypto";
import type { CallOptions } from "../../call.ts";
import type { Clock } from "../../clock.ts";
import { HexkitError, isHexkitError } from "../../errors.ts";
import { parseUuid } from "../../uuid.ts";
import type { ContentStore, RecordRef } from "./content-store.ts";
import type {
  ContentFacts,
  ListedObject,
  ListedPart,
  ListedUpload,
  ObjectStorageCapabilities,
  ObjectStorageDriver,
  Page,
  StoredFacts,
} from "./driver.ts";
import { type Content, Entries, type Entry, Turns } from "./entries.ts";
import type { BucketInfo, ByteRange, ContentStream, ObjectRef, UploadRef } from "./object-storage.ts";

/**
 * Makes a driver of what can hold bytes under ids and small texts under names: it sorts and pages listings, keeps uploads in parts, copies,
 * cuts ranges, and removes what was replaced, refused or cut off. Can `partCopy`, and what `store.conditional` says; signs no links.
 * Each page of a listing reads all records of its bucket that the store does not leave out by their prefix.
 *
 * Content that is replaced while it is read goes on. Of several processes that replace one object at once, one may leave the content of another.
 */
export function objectStorageOver(store: ContentStore, clock: Clock): ObjectStorageDriver {
  return new ContentStoreDriver(store, clock);
}

class ContentStoreDriver implements ObjectStorageDriver {
  readonly capabilities: ObjectStorageCapabilities;
  readonly limits = { minPartBytes: 1, maxPutBytes: 5 * 2 ** 30, maxCopyBytes: 5 * 2 ** 40 };
  readonly #store: ContentStore;
  readonly #clock: Clock;
  readonly #entries: Entries;
  readonly #turns = new Turns();

  constructor(store: ContentStore, clock: Clock) {
    const { conditional } = store;
    this.capabilities = {
      conditionalPut: conditional,
      conditionalComplete: conditional,
      links: false,
      postForm: false,
      partCopy: true,
      tenants: false,
    };
    this.#store = store;
    this.#clock = clock;
    this.#entries = new Entries(store);
  }

  async createBucket(bucket: string, options: CallOptions): Promise<void> {
    if (await this.#turns.run(bucket, () => this.#store.createBucket(bucket, options))) return;
    throw new HexkitError("ERR_HEXKIT_BUCKET_EXISTS", `bucket "${bucket}" exists`);
  }

  bucketExists(bucket: string, options: CallOptions): Promise<boolean> {
    return this.#store.bucketExists(bucket, options);
  }

  listBuckets(options: CallOptions): Promise<readonly BucketInfo[]> {
    return this.#store.listBuckets(options);
  }

  async deleteBucket(bucket: string, options: CallOptions): Promise<void> {
    const remove = (): Promise<boolean> => this.#store.deleteBucket(bucket, options);
    if (await this.#inBucket(bucket, this.#turns.run(bucket, remove))) return;
    throw new HexkitError("ERR_HEXKIT_BUCKET_NOT_EMPTY", `bucket "${bucket}" holds objects`);
  }

  put(
    object: ObjectRef,
    body: Uint8Array,
    options: CallOptions & ContentFacts & { readonly ifAbsent?: boolean },
  ): Promise<{ etag: string }> {
    return this.#putObject(object, body, options, options);
  }

  async get(
    object: ObjectRef,
    { range, signal }: CallOptions & { readonly range?: ByteRange | undefined },
  ): Promise<StoredFacts & { readonly body: ContentStream }> {
    const { entry, body } = await this.#open(object, range, { signal });
    return { ...factsOf(entry), body };
  }

  async stat(object: ObjectRef, options: CallOptions): Promise<StoredFacts | undefined> {
    const entry = await this.#entries.find(objectRecord(object), options);
    return entry && factsOf(entry);
  }

  async delete(object: ObjectRef, options: CallOptions): Promise<void> {
    const removed = await this.#inBucket(object.bucket, this.#entries.remove(objectRecord(object), options));
    if (!removed) await this.#demandBucket(object.bucket, options);
  }

  async deleteMany(bucket: string, keys: readonly string[], options: CallOptions): Promise<readonly { key: string; error: unknown }[]> {
    await this.#demandBucket(bucket, options);
    const failed: { key: string; error: unknown }[] = [];
    for (const key of keys) {
      await this.#entries.remove(objectRecord({ bucket, key }), options).catch((error: unknown) => void failed.push({ key, error }));
    }
    return failed;
  }

  async listPage(
    bucket: string,
    { prefix, next, limit, signal }: CallOptions & { readonly prefix: string; readonly next?: string | undefined; readonly limit: number },
  ): Promise<Page<ListedObject>> {
    const entries = await this.#list({ bucket, shelf: "objects", name: prefix }, { signal });
    const items = entries.map((entry) => ({ key: entry.name, ...factsOf(entry) }));
    return pageOf(items, ({ key }) => key, byBytes, next, limit);
  }

  async copy(from: ObjectRef, to: ObjectRef, { signal }: CallOptions): Promise<{ etag: string }> {
    const { entry, body } = await this.#open(from, undefined, { signal });
    return reading(body, () => this.#putObject(to, body, entry, { signal }));
  }

  async startUpload({ bucket, key }: ObjectRef, { contentType, metadata, signal }: CallOptions & ContentFacts): Promise<string> {
    const uploadId = randomUUID();
    const record = uploadRecord({ bucket, key, uploadId });
    const entry = { name: record.name, etag: uploadId, sizeBytes: 0, modifiedAt: this.#clock.now(), contentType, metadata };
    await this.#inBucket(bucket, this.#store.setRecord(record, JSON.stringify(entry), { ifAbsent: false, signal }));
    return uploadId;
  }

  putPart(upload: UploadRef, partNumber: number, body: Uint8Array, { signal }: CallOptions): Promise<{ etag: string }> {
    return this.#putPart(upload, partNumber, body, { signal });
  }

  async copyPart(
    upload: UploadRef,
    partNumber: number,
    source: ObjectRef & { readonly range: Required<ByteRange>; readonly sourceEtag: string },
    { signal }: CallOptions,
  ): Promise<{ etag: string }> {
    const { entry, body } = await this.#open(source, source.range, { signal });
    return reading(body, async () => {
      if (entry.etag === source.sourceEtag) return this.#putPart(upload, partNumber, body, { signal });
      throw new HexkitError("ERR_HEXKIT_OBJECT_CHANGED", "the source was replaced during the copy");
    });
  }

  async listPartsPage(
    upload: UploadRef,
    { after, limit, signal }: CallOptions & { readonly after: number; readonly limit: number },
  ): Promise<Page<ListedPart, number>> {
    await this.#findUpload(upload, { signal });
    const entries = await this.#list(partRecord(upload, ""), { signal });
    const items = entries.map((entry) => ({ partNumber: Number(entry.name.slice(entry.name.indexOf("/") + 1)), ...factsOf(entry) }));
    return pageOf(
      items,
      ({ partNumber }) => partNumber,
      (a, b) => a - b,
      after,
      limit,
    );
  }

  async completeUpload(
    upload: UploadRef,
    parts: readonly { readonly partNumber: number; readonly etag: string }[],
    { signal, ifAbsent }: CallOptions & { readonly ifAbsent?: boolean },
  ): Promise<{ etag: string }> {
    const content = await this.#findUpload(upload, { signal });
    const open = async (partNumber: number, etag: string): Promise<ContentStream> => {
      const part = await this.#entries.open(partRecord(upload, partNumber), () => undefined, { signal });
      if (part?.entry.etag === etag) return part.body;
      part?.body.destroy();
      throw new HexkitError("ERR_HEXKIT_UPLOAD_INCOMPLETE", `part ${partNumber} is not there as it was named`);
    };
    const joined = async function* (): AsyncGenerator<Uint8Array> {
      for (const { partNumber, etag } of parts) yield* await open(partNumber, etag);
    };
    const stored = await this.#putObject(upload, joined(), content, { signal, ...(ifAbsent && { ifAbsent }) });
    await this.abortUpload(upload, { signal });
    return stored;
  }

  /** The upload goes first: a part that is on its way sees that, and takes itself back. */
  async abortUpload(upload: UploadRef, options: CallOptions): Promise<void> {
    await this.#findUpload(upload, options);
    await this.#store.deleteRecord(uploadRecord(upload), options);
    for (const { name } of await this.#list(partRecord(upload, ""), options)) {
      await this.#entries.remove({ bucket: upload.bucket, shelf: "parts", name }, options);
    }
  }

  async listUploadsPage(
    bucket: string,
    {
      key,
      next,
      limit,
      signal,
    }: CallOptions & { readonly key?: string | undefined; readonly next?: string | undefined; readonly limit: number },
  ): Promise<Page<ListedUpload>> {
    const entries = await this.#list({ bucket, shelf: "uploads", name: "" }, { signal });
    const items = entries
      .map(({ etag, name, modifiedAt }) => ({ key: name.slice(etag.length + 1), uploadId: etag, startedAt: new Date(modifiedAt) }))
      .filter((upload) => key === undefined || upload.key === key);
    return pageOf(items, (upload) => `${upload.key}\0${upload.uploadId}`, byBytes, next, limit);
  }

  async #putObject(
    object: ObjectRef,
    content: Content,
    { contentType, metadata }: ContentFacts,
    { signal, ifAbsent }: CallOptions & { readonly ifAbsent?: boolean },
  ): Promise<Entry> {
    const facts = { contentType, metadata, modifiedAt: this.#clock.now() };
    const stored = await this.#inBucket(object.bucket, this.#entries.put(objectRecord(object), content, facts, { signal, ifAbsent }));
    if (stored !== undefined) return stored;
    throw new HexkitError("ERR_HEXKIT_OBJECT_EXISTS", `there is an object "${object.key}"`);
  }

  async #open(object: ObjectRef, range: ByteRange | undefined, options: CallOptions): Promise<{ entry: Entry; body: ContentStream }> {
    const within = ({ sizeBytes }: Entry): ByteRange | undefined => {
      if (range === undefined || range.start < sizeBytes)
        return range && { ...range, end: Math.min(range.end ?? sizeBytes, sizeBytes - 1) };
      throw new HexkitError("ERR_HEXKIT_RANGE_NOT_SATISFIABLE", `the object has ${sizeBytes} bytes`);
    };
    const found = await this.#entries.open(objectRecord(object), within, options);
    if (found !== undefined) return found;
    throw new HexkitError("ERR_HEXKIT_OBJECT_NOT_FOUND", `there is no object "${object.key}"`);
  }

  async #putPart(upload: UploadRef, partNumber: number, content: Content, options: CallOptions): Promise<{ etag: string }> {
    await this.#findUpload(upload, options);
    const record = partRecord(upload, partNumber);
    const stored = await this.#entries.put(record, content, { modifiedAt: this.#clock.now() }, options);
    try {
      await this.#findUpload(upload, options);
    } catch (error) {
      await this.#entries.remove(record, {});
      throw error;
    }
    return stored as Entry;
  }

  /** An id that is none of ours is no part of a name: with a `/` in it, it could mean another upload. */
  async #findUpload(upload: UploadRef, options: CallOptions): Promise<Entry> {
    const { key, uploadId } = upload;
    const entry = parseUuid(uploadId) === uploadId ? await this.#entries.find(uploadRecord(upload), options) : undefined;
    if (entry !== undefined) return entry;
    throw new HexkitError("ERR_HEXKIT_UPLOAD_NOT_FOUND", `there is no upload "${uploadId}" of "${key}"`);
  }

  async #list(records: RecordRef, options: CallOptions): Promise<Entry[]> {
    const entries = await this.#inBucket(records.bucket, this.#entries.list(records, options));
    if (entries.length === 0) await this.#demandBucket(records.bucket, options);
    return entries;
  }

  /** What fails in a bucket that is not there fails because of that. */
  async #inBucket<Result>(bucket: string, work: Promise<Result>): Promise<Result> {
    return work.catch(async (error: unknown) => {
      if (!isHexkitError(error) && !(await this.#store.bucketExists(bucket, {}).catch(() => true))) throw noBucket(bucket, error);
      throw error;
    });
  }

  async #demandBucket(bucket: string, options: CallOptions): Promise<void> {
    if (!(await this.#store.bucketExists(bucket, options))) throw noBucket(bucket);
  }
}

function noBucket(bucket: string, cause?: unknown): HexkitError {
  return new HexkitError("ERR_HEXKIT_BUCKET_NOT_FOUND", `there is no bucket "${bucket}"`, { cause });
}

const objectRecord = ({ bucket, key }: ObjectRef): RecordRef => ({ bucket, shelf: "objects", name: key });
const uploadRecord = ({ bucket, key, uploadId }: UploadRef): RecordRef => ({ bucket, shelf: "uploads", name: `${uploadId}/${key}` });
const partRecord = ({ bucket, uploadId }: UploadRef, part: number | ""): RecordRef => ({
  bucket,
  shelf: "parts",
  name: `${uploadId}/${part}`,
});

function factsOf({ sizeBytes, etag, contentType = "application/octet-stream", metadata = {}, modifiedAt }: Entry): StoredFacts {
  return { sizeBytes, etag, contentType, metadata, modifiedAt: new Date(modifiedAt) };
}

/** Frees the source of a copy, also where it was not read. */
async function reading<Result>(body: ContentStream, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } finally {
    body.destroy();
  }
}

/** The order of the bytes in UTF-8, which is not that of JavaScript's strings. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function pageOf<Item, Place>(
  all: readonly Item[],
  placeOf: (item: Item) => Place,
  compare: (a: Place, b: Place) => number,
  after: Place | undefined,
  limit: number,
): Page<Item, Place> {
  const behind = all.filter((item) => after === undefined || compare(placeOf(item), after) > 0);
  const items = behind.sort((a, b) => compare(placeOf(a), placeOf(b))).slice(0, limit);
  const last = items.at(-1);
  return { items, next: behind.length > limit && last !== undefined ? placeOf(last) : undefined };
}
