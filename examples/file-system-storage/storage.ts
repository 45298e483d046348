import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import {
  type Clock,
  type ContentFacts,
  type ErrorCode,
  HexkitError,
  type ListedUpload,
  type ObjectRef,
  type ObjectStorageDriver,
  type Page,
  type StoredFacts,
  type UploadRef,
} from "hexkit";
import { type Entry, Shelf } from "./shelf.ts";

const noBucket = { ENOENT: "ERR_HEXKIT_BUCKET_NOT_FOUND" } as const;
const noUpload = { ENOENT: "ERR_HEXKIT_UPLOAD_NOT_FOUND" } as const;
const notEmpty = { ENOTEMPTY: "ERR_HEXKIT_BUCKET_NOT_EMPTY", EEXIST: "ERR_HEXKIT_BUCKET_NOT_EMPTY" } as const;
type Write = (path: string) => Promise<void>;

/** `<root>/<bucket>/`: `objects`, `uploads` and `parts/<upload>` hold JSON, `contents` the files. A bucket is there while its `objects` is. */
export function fileSystemStorage(root: string, clock: Clock): ObjectStorageDriver {
  const turns = new Map<string, Promise<void>>();
  const shelf = (bucket: string, ...entries: string[]): Shelf =>
    new Shelf(join(root, bucket, ...entries), join(root, bucket, "contents"), turns);
  const objects = (bucket: string): Shelf => shelf(bucket, "objects");
  const uploads = (bucket: string): Shelf => shelf(bucket, "uploads");
  const bucketExists = (bucket: string): Promise<boolean> => stat(join(root, bucket, "objects")).then(() => true, ifMissing(false));

  const store = ({ bucket, key }: ObjectRef, { contentType, metadata }: ContentFacts, write: Write, ifAbsent?: boolean): Promise<Entry> => {
    const facts = { name: key, contentType, metadata, modifiedAt: clock.now() };
    return meaning({ EEXIST: "ERR_HEXKIT_OBJECT_EXISTS" }, objects(bucket).add(facts, write, ifAbsent));
  };

  const openObject = async ({ bucket, key }: ObjectRef): Promise<{ entry: Entry; file: FileHandle }> => {
    for (let last: string | undefined; ; ) {
      const entry = await objects(bucket).find(key);
      if (entry === undefined) throw new HexkitError("ERR_HEXKIT_OBJECT_NOT_FOUND", `there is no object "${key}"`);
      const file = await open(objects(bucket).contentOf(entry)).catch(ifMissing(undefined));
      if (file !== undefined) return { entry, file };
      // Replaced between the two steps: once more, unless it is the same again.
      if (entry.etag === last) throw new Error(`the content of "${key}" is gone: ${entry.etag}`);
      last = entry.etag;
    }
  };

  /** An upload's id is part of a path only once it is known. */
  const findUpload = async ({ bucket, key, uploadId }: UploadRef): Promise<{ entry: Entry; parts: Shelf }> => {
    const entry = await uploads(bucket).find(uploadId);
    if (entry?.key !== key) throw new HexkitError("ERR_HEXKIT_UPLOAD_NOT_FOUND", `there is no upload "${uploadId}" of "${key}"`);
    return { entry: entry as Entry, parts: shelf(bucket, "parts", uploadId) };
  };

  const storePart = async (upload: UploadRef, partNumber: number, write: Write): Promise<Entry> => {
    const { parts } = await findUpload(upload);
    return meaning(noUpload, parts.add({ name: String(partNumber), modifiedAt: clock.now() }, write));
  };

  const abortUpload = async (upload: UploadRef): Promise<void> => {
    const { parts } = await findUpload(upload);
    await uploads(upload.bucket).remove(upload.uploadId);
    for (const { name } of await parts.all()) await parts.remove(name);
    await rm(join(root, upload.bucket, "parts", upload.uploadId), { recursive: true, force: true });
  };

  return {
    // #region capabilities
    capabilities: {
      conditionalPut: true,
      conditionalComplete: true,
      links: false, // so there is no `presign`
      postForm: false, // nor `presignPost`
      partCopy: true,
      tenants: false,
    },
    limits: { minPartBytes: 1, maxPutBytes: 5 * 2 ** 30, maxCopyBytes: 5 * 2 ** 40 },
    // #endregion

    async createBucket(bucket) {
      for (const room of ["contents", "uploads", "parts"]) await mkdir(join(root, bucket, room), { recursive: true });
      await meaning({ EEXIST: "ERR_HEXKIT_BUCKET_EXISTS" }, mkdir(join(root, bucket, "objects")));
    },

    bucketExists,

    async listBuckets() {
      const names = await readdir(root);
      const there = await Promise.all(names.map(bucketExists));
      return names.filter((_, index) => there[index]).map((bucket) => ({ bucket }));
    },

    async deleteBucket(bucket) {
      await meaning({ ...noBucket, ...notEmpty }, rmdir(join(root, bucket, "objects")));
      await rm(join(root, bucket), { recursive: true, force: true });
    },

    // #region put
    put(object, body, { signal, ifAbsent, ...content }) {
      return meaning(
        noBucket,
        store(object, content, (path) => writeFile(path, body, { signal }), ifAbsent),
      );
    },
    // #endregion

    async get(object, { range }) {
      const { entry, file } = await openObject(object);
      if (range !== undefined && range.start >= entry.sizeBytes) {
        await file.close();
        throw new HexkitError("ERR_HEXKIT_RANGE_NOT_SATISFIABLE", `the object has ${entry.sizeBytes} bytes`);
      }
      // It closes the file at its end and when it is destroyed, also unread.
      return { ...factsOf(entry), body: file.createReadStream({ ...range }) };
    },

    async stat({ bucket, key }) {
      const entry = await objects(bucket).find(key);
      return entry && factsOf(entry);
    },

    async delete({ bucket, key }) {
      await meaning(noBucket, stat(join(root, bucket, "objects")));
      await objects(bucket).remove(key);
    },

    async deleteMany(bucket, keys) {
      await meaning(noBucket, stat(join(root, bucket, "objects")));
      for (const key of keys) await objects(bucket).remove(key);
      return [];
    },

    async listPage(bucket, { prefix, next, limit }) {
      const entries = await meaning(noBucket, objects(bucket).all());
      const found = entries.filter(({ name }) => name.startsWith(prefix) && (next === undefined || isBehind(name, next)));
      const items = found.map((entry) => ({ key: entry.name, ...factsOf(entry) }));
      return pageOf(items, limit, ({ key }) => key);
    },

    async copy(from, to, { signal }) {
      const { entry, file } = await openObject(from);
      const write = (path: string): Promise<void> => pipeline(file.createReadStream(), createWriteStream(path), { signal });
      return meaning(noBucket, store(to, entry, write));
    },

    async startUpload({ bucket, key }, { contentType, metadata }) {
      const name = randomUUID();
      await meaning(noBucket, mkdir(join(root, bucket, "parts", name)));
      await uploads(bucket).add({ name, key, contentType, metadata, modifiedAt: clock.now() }, (path) => writeFile(path, ""));
      return name;
    },

    putPart: (upload, partNumber, body, { signal }) => storePart(upload, partNumber, (path) => writeFile(path, body, { signal })),

    async copyPart(upload, partNumber, { range: { start, end }, sourceEtag, ...source }, { signal }) {
      const { entry, file } = await openObject(source);
      const content = file.createReadStream({ start, end });
      if (entry.etag !== sourceEtag) {
        content.destroy();
        throw new HexkitError("ERR_HEXKIT_OBJECT_CHANGED", "the source was replaced during the copy");
      }
      return storePart(upload, partNumber, (path) => pipeline(content, createWriteStream(path), { signal }));
    },

    async listPartsPage(upload, { after, limit }) {
      const { parts } = await findUpload(upload);
      const items = (await meaning(noUpload, parts.all())).map((entry) => ({ partNumber: Number(entry.name), ...factsOf(entry) }));
      const found = items.filter(({ partNumber }) => partNumber > after).sort((a, b) => a.partNumber - b.partNumber);
      return pageOf(found, limit, ({ partNumber }) => partNumber);
    },

    async completeUpload(upload, chosen, { signal, ifAbsent }) {
      const { entry, parts } = await findUpload(upload);
      const files: string[] = [];
      for (const { partNumber, etag } of chosen) {
        const part = await parts.find(String(partNumber));
        if (part?.etag !== etag) throw new HexkitError("ERR_HEXKIT_UPLOAD_INCOMPLETE", `part ${partNumber} is not there as it was named`);
        files.push(parts.contentOf(part));
      }
      const joined = async function* (): AsyncGenerator<Buffer> {
        for (const file of files) yield* createReadStream(file);
      };
      const write = (path: string): Promise<void> => pipeline(joined, createWriteStream(path), { signal });
      const stored = await meaning(noUpload, store(upload, entry, write, ifAbsent));
      await abortUpload(upload);
      return stored;
    },

    abortUpload,

    async listUploadsPage(bucket, { key, next, limit }) {
      const place = (upload: ListedUpload): string => `${upload.key}\0${upload.uploadId}`;
      const all = await meaning(noBucket, uploads(bucket).all());
      const found = all
        .map((entry) => ({ key: entry.key ?? "", uploadId: entry.name, startedAt: new Date(entry.modifiedAt) }))
        .filter((upload) => (key === undefined || upload.key === key) && (next === undefined || isBehind(place(upload), next)))
        .sort((a, b) => (isBehind(place(a), place(b)) ? 1 : -1));
      return pageOf(found, limit, place);
    },
  };
}

// #region meaning
/** What an error of the file system means to this call. The rest goes on to `classify`. */
async function meaning<Result>(codes: Readonly<Record<string, ErrorCode>>, work: Promise<Result>): Promise<Result> {
  return work.catch((error: NodeJS.ErrnoException) => {
    const code = codes[error.code ?? ""];
    throw code === undefined ? error : new HexkitError(code, error.message, { cause: error });
  });
}
// #endregion

function ifMissing<Value>(value: Value): (error: NodeJS.ErrnoException) => Value {
  return (error) => {
    if (error.code === "ENOENT") return value;
    throw error;
  };
}

function factsOf({ sizeBytes, etag, contentType = "application/octet-stream", metadata = {}, modifiedAt }: Entry): StoredFacts {
  return { sizeBytes, etag, contentType, metadata, modifiedAt: new Date(modifiedAt) };
}

function isBehind(text: string, other: string): boolean {
  return Buffer.compare(Buffer.from(text), Buffer.from(other)) > 0;
}

function pageOf<Item, Next>(items: readonly Item[], limit: number, placeOf: (item: Item) => Next): Page<Item, Next> {
  const page = items.slice(0, limit);
  const last = page.at(-1);
  return { items: page, next: items.length > limit && last !== undefined ? placeOf(last) : undefined };
}
