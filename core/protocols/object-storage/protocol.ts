import type { CallOptions } from "../../call.ts";
import { HexkitError } from "../../errors.ts";
import { defineProtocol, type ProtocolContext } from "../index.ts";
import { Arguments, nameOf } from "./arguments.ts";
import { Copier } from "./copier.ts";
import type { ObjectStorageDriver, StoredFacts } from "./driver.ts";
import { Linker } from "./links.ts";
import { PortableMultipart } from "./multipart.ts";
import type {
  BucketInfo,
  ByteRange,
  DownloadLinkOptions,
  FormLink,
  Link,
  ObjectBody,
  ObjectInfo,
  ObjectRef,
  ObjectStorage,
  ObjectSummary,
  PutLink,
  PutOptions,
  StoredObject,
  StoredRef,
} from "./object-storage.ts";
import { Requests } from "./requests.ts";
import { type StorageSettings, storageSettings } from "./settings.ts";
import { openSource } from "./source.ts";
import { mapFailures, PortableStoredObject } from "./stored-object.ts";
import { Transfers } from "./transfers.ts";
import { Uploader } from "./uploader.ts";

export const objectStorageProtocol = defineProtocol({
  name: "objectStorage",
  id: "hexkit/objectStorage",
  version: 1,
  summary: "Stores objects in buckets, signs links to them.",
  settings: storageSettings,
  methods: {
    createBucket: true,
    bucketExists: true,
    listBuckets: true,
    deleteBucket: true,
    put: true,
    get: true,
    stat: true,
    delete: true,
    deleteMany: true,
    listPage: true,
    copy: true,
    startUpload: true,
    putPart: true,
    copyPart: true,
    listPartsPage: true,
    completeUpload: true,
    abortUpload: true,
    listUploadsPage: true,
  },
  create: (driver, context) => new PortableObjectStorage(driver, context),
});

/** Keys of one listing page, and of one request to delete. */
const pageSize = 1000;
type Signal = AbortSignal | undefined;

class PortableObjectStorage implements ObjectStorage {
  readonly multipart: PortableMultipart;
  readonly #driver: ObjectStorageDriver;
  readonly #context: ProtocolContext<StorageSettings>;
  readonly #check: Arguments;
  readonly #requests: Requests;
  readonly #links: Linker;
  readonly #uploader: Uploader;
  readonly #copier: Copier;
  readonly #transfers: Transfers;

  constructor(driver: ObjectStorageDriver, context: ProtocolContext<StorageSettings>) {
    this.#driver = driver;
    this.#context = context;
    const rules = { tenants: driver.capabilities.tenants, narrowKeys: context.settings.narrowKeys };
    this.#check = new Arguments(rules, (code, message, cause) => context.error(code, message, cause));
    this.#requests = new Requests(driver, context);
    this.#links = new Linker(driver, context, this.#requests, this.#check);
    this.#uploader = new Uploader(driver, context, this.#requests, this.#check);
    this.#copier = new Copier(driver, context, this.#requests, this.#uploader);
    this.#transfers = new Transfers(() => context.error("ERR_HEXKIT_CLOSED", "the registry closed during the transfer"));
    this.multipart = new PortableMultipart(driver, context, this.#requests, this.#check, this.#links);
    context.onClose("publishers", (signal) => this.#transfers.close(signal));
  }

  async createBucket(bucket: string, options: CallOptions = {}): Promise<void> {
    this.#check.bucket("createBucket", bucket);
    await this.#context.call("createBucket", JSON.stringify(bucket), options, async (signal) => {
      // Servers differ in whether they mind the caller's own bucket.
      if (await this.#bucketExists("createBucket", bucket, signal)) {
        throw this.#context.error("ERR_HEXKIT_BUCKET_EXISTS", `createBucket: bucket ${JSON.stringify(bucket)} exists`);
      }
      await this.#driver.createBucket(bucket, { signal });
    });
  }

  async bucketExists(bucket: string, options: CallOptions = {}): Promise<boolean> {
    this.#check.bucket("bucketExists", bucket);
    return this.#context.call("bucketExists", JSON.stringify(bucket), options, (signal) =>
      this.#bucketExists("bucketExists", bucket, signal),
    );
  }

  async listBuckets(options: CallOptions = {}): Promise<readonly BucketInfo[]> {
    const buckets = await this.#context.call("listBuckets", "", options, (signal) =>
      this.#requests.repeat("listBuckets", "", signal, () => this.#driver.listBuckets({ signal })),
    );
    return [...buckets].sort((a, b) => (a.bucket < b.bucket ? -1 : 1));
  }

  async deleteBucket(bucket: string, options: CallOptions & { readonly deleteContent?: boolean | undefined } = {}): Promise<void> {
    this.#check.bucket("deleteBucket", bucket);
    await this.#context.call("deleteBucket", JSON.stringify(bucket), options, async (signal) => {
      if (options.deleteContent) await this.#empty(bucket, signal);
      await this.#driver.deleteBucket(bucket, { signal });
    });
  }

  async put(bucket: string, key: string, body: ObjectBody, options: PutOptions = {}): Promise<StoredRef> {
    const object = { bucket, key };
    const { contentType, metadata, ifAbsent = false } = options;
    const source = openSource(body, options.sizeBytes);
    try {
      this.#check.object("put", object);
      if (source === undefined) {
        throw this.#check.invalid(
          "put",
          "body must be bytes, a string, a Blob, a ReadableStream, a Readable or an async iterable of bytes",
        );
      }
      this.#check.contentType("put", contentType);
      this.#check.metadata("put", metadata);
      this.#check.size("put", "sizeBytes", options.sizeBytes);
      this.#check.size("put", "the body's size", source.sizeBytes);
      if (options.sizeBytes !== undefined && source.sizeBytes !== options.sizeBytes) {
        throw this.#check.invalid(
          "put",
          `sizeBytes is ${options.sizeBytes}, the body has ${source.sizeBytes}; leave it out for what is no stream`,
        );
      }
      if (ifAbsent) this.#demandConditional(source.sizeBytes);
      return await this.#context.call("put", nameOf(object), options, (signal) =>
        this.#transfers.run(signal, (stop) => this.#uploader.put(object, source, { contentType, metadata }, ifAbsent, stop)),
      );
    } catch (error) {
      source?.discard(error);
      throw error;
    }
  }

  async get(bucket: string, key: string, options: CallOptions & { readonly range?: ByteRange | undefined } = {}): Promise<StoredObject> {
    const object = { bucket, key };
    const { range } = options;
    this.#check.object("get", object);
    this.#check.range("get", range);
    const name = nameOf(object);
    return this.#context.call("get", name, options, async (signal) => {
      const { body, ...facts } = await this.#requests.onObject("get", object, signal, async () => {
        const opened = await this.#driver.get(object, { range, signal });
        mapFailures(opened.body, (error) => this.#context.mapError(error, "reading", name));
        // Nobody waits for it any more.
        if (signal?.aborted) opened.body.destroy();
        return opened;
      });
      this.#transfers.hold(body, signal, (reason) =>
        this.#context.error("ERR_HEXKIT_ABORTED", `reading ${name} was aborted by its signal`, reason),
      );
      return new PortableStoredObject(infoOf(object, facts), body, (fact) => this.#check.invalid("get", `${name}: ${fact}`));
    });
  }

  async stat(bucket: string, key: string, options: CallOptions = {}): Promise<ObjectInfo> {
    const object = { bucket, key };
    this.#check.object("stat", object);
    return this.#context.call("stat", nameOf(object), options, async (signal) =>
      infoOf(object, await this.#requests.demandObject("stat", object, signal)),
    );
  }

  async exists(bucket: string, key: string, options: CallOptions = {}): Promise<boolean> {
    const object = { bucket, key };
    this.#check.object("exists", object);
    return this.#context.call(
      "exists",
      nameOf(object),
      options,
      async (signal) => (await this.#requests.find("exists", object, signal)) !== undefined,
    );
  }

  async delete(bucket: string, key: string, options: CallOptions = {}): Promise<void> {
    const object = { bucket, key };
    this.#check.object("delete", object);
    await this.#context.call("delete", nameOf(object), options, (signal) =>
      this.#requests.repeat("delete", nameOf(object), signal, () => this.#driver.delete(object, { signal })),
    );
  }

  async deleteMany(bucket: string, keys: Iterable<string>, options: CallOptions = {}): Promise<void> {
    this.#check.bucket("deleteMany", bucket);
    if (typeof keys === "string" || typeof (keys as Iterable<string> | undefined)?.[Symbol.iterator] !== "function") {
      throw this.#check.invalid("deleteMany", "keys must be a list of keys");
    }
    const all = [...new Set(keys)];
    for (const key of all) this.#check.key("deleteMany", key);
    await this.#context.call("deleteMany", JSON.stringify(bucket), options, (signal) =>
      this.#deleteMany("deleteMany", bucket, all, signal),
    );
  }

  list(bucket: string, options: CallOptions & { readonly prefix?: string | undefined } = {}): AsyncIterable<ObjectSummary> {
    const { prefix = "" } = options;
    this.#check.bucket("list", bucket);
    this.#check.prefix("list", prefix);
    return this.#list(bucket, prefix, options);
  }

  async copy(from: ObjectRef, to: ObjectRef, options: CallOptions & { readonly overwrite?: boolean | undefined } = {}): Promise<StoredRef> {
    const source = { bucket: from?.bucket, key: from?.key };
    const target = { bucket: to?.bucket, key: to?.key };
    this.#check.object("copy", source);
    this.#check.object("copy", target);
    const { overwrite = false } = options;
    if (overwrite && nameOf(source) === nameOf(target)) throw this.#check.invalid("copy", `${nameOf(source)} cannot replace itself`);
    return this.#context.call("copy", `${nameOf(source)} to ${nameOf(target)}`, options, (signal) =>
      this.#transfers.run(signal, (stop) => this.#copier.copy(source, target, overwrite, stop)),
    );
  }

  presignDownload(bucket: string, key: string, options?: DownloadLinkOptions): Promise<Link> {
    return this.#links.download({ bucket, key }, options);
  }

  presignUpload(bucket: string, key: string, options?: Parameters<ObjectStorage["presignUpload"]>[2]): Promise<FormLink> {
    return this.#links.form({ bucket, key }, options);
  }

  presignPut(bucket: string, key: string, options?: Parameters<ObjectStorage["presignPut"]>[2]): Promise<PutLink> {
    return this.#links.put({ bucket, key }, options);
  }

  #bucketExists(operation: string, bucket: string, signal: Signal): Promise<boolean> {
    return this.#requests.repeat(operation, JSON.stringify(bucket), signal, () => this.#driver.bucketExists(bucket, { signal }));
  }

  /** Before any I/O, as far as the size is known. */
  #demandConditional(sizeBytes: number | undefined): void {
    const { conditionalPut, conditionalComplete } = this.#driver.capabilities;
    const large = sizeBytes !== undefined && sizeBytes > this.#context.settings.partSizeBytes;
    if (large ? conditionalComplete : conditionalPut) return;
    throw this.#context.error(
      "ERR_HEXKIT_UNSUPPORTED",
      `put: the provider does not support \`ifAbsent\`${large ? " for a large object" : ""}`,
    );
  }

  async *#list(bucket: string, prefix: string, options: CallOptions): AsyncGenerator<ObjectSummary> {
    let next: string | undefined;
    do {
      const from = next;
      const page = await this.#context.call("list", JSON.stringify(bucket), options, (signal) =>
        this.#requests.repeat("list", JSON.stringify(bucket), signal, () =>
          this.#driver.listPage(bucket, { prefix, next: from, limit: pageSize, signal }),
        ),
      );
      for (const { key, sizeBytes, etag, modifiedAt } of page.items) yield { bucket, key, sizeBytes, etag, modifiedAt };
      next = page.next;
    } while (next !== undefined);
  }

  async #empty(bucket: string, signal: Signal): Promise<void> {
    await this.multipart.abortAll(bucket, signal);
    // Always the first page: what has been deleted may have hidden others, on servers that keep objects as files.
    for (;;) {
      const { items } = await this.#requests.repeat("deleteBucket", JSON.stringify(bucket), signal, () =>
        this.#driver.listPage(bucket, { prefix: "", limit: pageSize, signal }),
      );
      if (items.length === 0) return;
      const keys = items.map(({ key }) => key);
      await this.#deleteMany("deleteBucket", bucket, keys, signal);
    }
  }

  async #deleteMany(operation: string, bucket: string, keys: readonly string[], signal: Signal): Promise<void> {
    const failures: HexkitError[] = [];
    for (let at = 0; at < keys.length; at += pageSize) {
      const some = keys.slice(at, at + pageSize);
      const failed = await this.#requests.repeat(operation, JSON.stringify(bucket), signal, () =>
        this.#driver.deleteMany(bucket, some, { signal }),
      );
      for (const { key, error } of failed) failures.push(this.#context.mapError(error, operation, nameOf({ bucket, key })));
    }
    const [first] = failures;
    if (first === undefined) return;
    const message = failures.length === 1 ? first.message : `${first.message}; so did ${failures.length - 1} more`;
    throw new HexkitError(first.code, message, {
      cause: first.cause,
      origin: first.origin,
      failures,
      redact: (text) => this.#context.redact(text),
    });
  }
}

function infoOf({ bucket, key }: ObjectRef, { sizeBytes, etag, contentType, metadata, modifiedAt }: StoredFacts): ObjectInfo {
  return { bucket, key, sizeBytes, etag, contentType, metadata, modifiedAt };
}
