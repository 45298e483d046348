import { isHexkitError, type ObjectStorage } from "hexkit";
import type { FileStore, KeptFile, OpenFile } from "../ports/file-store.ts";

const bucket = "file-service";
const prefix = "files/";

/** Outbound: the port `FileStore` → objects of one bucket. */
export class ObjectFiles implements FileStore {
  readonly #storage: ObjectStorage;

  constructor(storage: ObjectStorage) {
    this.#storage = storage;
  }

  /** Makes the bucket, unless it is there, or another instance is faster. */
  async prepare(): Promise<void> {
    if (await this.#storage.bucketExists(bucket)) return;
    await this.#storage.createBucket(bucket).catch((error) => {
      if (!isHexkitError(error, "ERR_HEXKIT_BUCKET_EXISTS")) throw error;
    });
  }

  async keep(name: string, type: string, content: AsyncIterable<Uint8Array>): Promise<KeptFile> {
    const { sizeBytes } = await this.#storage.put(bucket, prefix + name, content, { contentType: type });
    return { name, bytes: sizeBytes };
  }

  async open(name: string): Promise<OpenFile | undefined> {
    const object = await unlessMissing(this.#storage.get(bucket, prefix + name));
    return object && { type: object.info.contentType, bytes: object.info.sizeBytes, content: object.body };
  }

  async *list(): AsyncGenerator<KeptFile> {
    for await (const { key, sizeBytes } of this.#storage.list(bucket, { prefix }))
      yield { name: key.slice(prefix.length), bytes: sizeBytes };
  }

  remove(name: string): Promise<void> {
    return this.#storage.delete(bucket, prefix + name);
  }

  async share(name: string, forMs: number): Promise<string | undefined> {
    const link = await unlessMissing(this.#storage.presignDownload(bucket, prefix + name, { expiresInMs: forMs, fileName: name }));
    return link?.url;
  }
}

async function unlessMissing<Result>(work: Promise<Result>): Promise<Result | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isHexkitError(error, "ERR_HEXKIT_OBJECT_NOT_FOUND")) return undefined;
    throw error;
  }
}
