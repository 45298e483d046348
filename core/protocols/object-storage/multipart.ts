import type { CallOptions } from "../../call.ts";
import { isHexkitError } from "../../errors.ts";
import type { ProtocolContext } from "../index.ts";
import { type Arguments, nameOf } from "./arguments.ts";
import { completionFault } from "./completion.ts";
import type { ListedPart, ListedUpload, ObjectStorageDriver } from "./driver.ts";
import type { Linker } from "./links.ts";
import type {
  ContentOptions,
  ExpiryOptions,
  MultipartUploads,
  ObjectRef,
  PartInfo,
  PutLink,
  StoredRef,
  UploadInfo,
  UploadRef,
} from "./object-storage.ts";
import type { Requests } from "./requests.ts";
import type { StorageSettings } from "./settings.ts";

const pageSize = 1000;
const partLinkMs = 3_600_000;
type Signal = AbortSignal | undefined;

/** Uploads in parts by links, with the rules of contract 6.7. */
export class PortableMultipart implements MultipartUploads {
  readonly #driver: ObjectStorageDriver;
  readonly #context: ProtocolContext<StorageSettings>;
  readonly #requests: Requests;
  readonly #check: Arguments;
  readonly #links: Linker;

  constructor(driver: ObjectStorageDriver, context: ProtocolContext<StorageSettings>, requests: Requests, check: Arguments, links: Linker) {
    this.#driver = driver;
    this.#context = context;
    this.#requests = requests;
    this.#check = check;
    this.#links = links;
  }

  async start(bucket: string, key: string, options: CallOptions & ContentOptions = {}): Promise<UploadRef> {
    const object = { bucket, key };
    const { contentType, metadata } = options;
    this.#check.object("multipart.start", object);
    this.#check.contentType("multipart.start", contentType);
    this.#check.metadata("multipart.start", metadata);
    return this.#context.call("multipart.start", nameOf(object), options, async (signal) => {
      const [open] = await this.#openUploads("multipart.start", object, signal);
      if (open !== undefined) {
        throw this.#context.error(
          "ERR_HEXKIT_UPLOAD_EXISTS",
          `multipart.start: an upload is open for ${nameOf(object)}; complete or abort it`,
        );
      }
      return { ...object, uploadId: await this.#driver.startUpload(object, { contentType, metadata, signal }) };
    });
  }

  async partUrl(
    upload: UploadRef,
    partNumber: number,
    options: ExpiryOptions & { readonly md5?: string | undefined } = {},
  ): Promise<PutLink> {
    const { expiresInMs = partLinkMs, md5 } = options;
    this.#check.upload("multipart.partUrl", upload);
    this.#check.partNumber("multipart.partUrl", partNumber);
    this.#check.md5("multipart.partUrl", md5);
    const expiry = this.#check.expiry("multipart.partUrl", expiresInMs);
    const sign = this.#links.signer("multipart.partUrl");
    const { bucket, key, uploadId } = upload;
    return this.#context.call("multipart.partUrl", nameOf(upload), options, async (signal) => {
      await this.#demandExclusive("multipart.partUrl", upload, signal);
      const link = await sign({ kind: "part", bucket, key, uploadId, partNumber, md5, expiresInMs: expiry }, signal);
      return { ...link, headers: md5 === undefined ? {} : { "content-md5": md5 } };
    });
  }

  async listParts(upload: UploadRef, options: Parameters<MultipartUploads["listParts"]>[1] = {}): Promise<readonly PartInfo[]> {
    const { maxParts, firstPartNumber = 1 } = options;
    this.#check.upload("multipart.listParts", upload);
    this.#check.count("multipart.listParts", "maxParts", maxParts);
    this.#check.count("multipart.listParts", "firstPartNumber", firstPartNumber);
    return this.#context.call("multipart.listParts", nameOf(upload), options, (signal) =>
      this.#parts("multipart.listParts", upload, signal, firstPartNumber, maxParts),
    );
  }

  async complete(upload: UploadRef, options: Parameters<MultipartUploads["complete"]>[1] = {}): Promise<StoredRef> {
    const { partCount, partSizeBytes, ifAbsent = false } = options;
    this.#check.upload("multipart.complete", upload);
    this.#check.count("multipart.complete", "partCount", partCount);
    this.#check.size("multipart.complete", "partSizeBytes", partSizeBytes, 1);
    if (ifAbsent && !this.#driver.capabilities.conditionalComplete) {
      throw this.#context.error("ERR_HEXKIT_UNSUPPORTED", "multipart.complete: the provider does not support `ifAbsent`");
    }
    const { bucket, key } = upload;
    const name = nameOf(upload);
    return this.#context.call("multipart.complete", name, options, async (signal) => {
      await this.#demandExclusive("multipart.complete", upload, signal);
      const parts = await this.#parts("multipart.complete", upload, signal);
      const fault = completionFault(parts, { partCount, partSizeBytes, minPartBytes: this.#driver.limits.minPartBytes });
      if (fault !== undefined) throw this.#context.error("ERR_HEXKIT_UPLOAD_INCOMPLETE", `multipart.complete ${name}: ${fault}`);
      const chosen = parts.map(({ partNumber, etag }) => ({ partNumber, etag }));
      const { etag } = await this.#driver.completeUpload(upload, chosen, { signal, ...(ifAbsent && { ifAbsent }) });
      return { bucket, key, etag, sizeBytes: parts.reduce((sum, part) => sum + part.sizeBytes, 0) };
    });
  }

  async abort(upload: UploadRef, options: CallOptions = {}): Promise<void> {
    this.#check.upload("multipart.abort", upload);
    return this.#context.call("multipart.abort", nameOf(upload), options, (signal) => this.#abort(upload, signal));
  }

  list(bucket: string, options: CallOptions & { readonly key?: string | undefined } = {}): AsyncIterable<UploadInfo> {
    const { key } = options;
    this.#check.bucket("multipart.list", bucket);
    if (key !== undefined) this.#check.key("multipart.list", key);
    return this.#list(bucket, key, options);
  }

  async abortOlderThan(bucket: string, ageMs: number, options: CallOptions = {}): Promise<readonly UploadInfo[]> {
    this.#check.bucket("multipart.abortOlderThan", bucket);
    this.#check.age("multipart.abortOlderThan", ageMs);
    const startedBefore = this.#context.clock.now() - ageMs;
    const old: UploadInfo[] = [];
    for await (const upload of this.#list(bucket, undefined, options)) if (upload.startedAt.getTime() < startedBefore) old.push(upload);
    const aborted: UploadInfo[] = [];
    for (const upload of old) {
      await this.#context.call("multipart.abortOlderThan", nameOf(upload), options, async (signal) => {
        try {
          await this.#abort(upload, signal);
          aborted.push(upload);
        } catch (error) {
          // Whoever it belongs to was faster.
          if (!isHexkitError(error, "ERR_HEXKIT_UPLOAD_NOT_FOUND")) throw error;
        }
      });
    }
    return aborted;
  }

  /** Aborts every open upload of a bucket that is to be deleted. */
  async abortAll(bucket: string, signal: Signal): Promise<void> {
    for await (const { key, uploadId } of this.#pages(bucket, undefined, (work) => work(signal))) {
      const upload = { bucket, key, uploadId };
      await this.#ignoringMissing(() =>
        this.#requests.repeat("deleteBucket", nameOf(upload), signal, () => this.#driver.abortUpload(upload, { signal })),
      );
    }
  }

  async *#list(bucket: string, key: string | undefined, options: CallOptions): AsyncGenerator<UploadInfo> {
    const subject = JSON.stringify(bucket);
    const pages = this.#pages(bucket, key, (work) => this.#context.call("multipart.list", subject, options, work));
    for await (const { key: name, uploadId, startedAt } of pages) yield { bucket, key: name, uploadId, startedAt };
  }

  async *#pages(
    bucket: string,
    key: string | undefined,
    call: <Result>(work: (signal: Signal) => Promise<Result>) => Promise<Result>,
  ): AsyncGenerator<ListedUpload> {
    let next: string | undefined;
    do {
      const page = await call((signal) =>
        this.#requests.repeat("multipart.list", JSON.stringify(bucket), signal, () =>
          this.#driver.listUploadsPage(bucket, { key, next, limit: pageSize, signal }),
        ),
      );
      // A server that filters by prefix gives those of longer keys as well.
      yield* page.items.filter((upload) => key === undefined || upload.key === key);
      next = page.next;
    } while (next !== undefined);
  }

  async #openUploads(operation: string, { bucket, key }: ObjectRef, signal: Signal): Promise<readonly ListedUpload[]> {
    const open: ListedUpload[] = [];
    const subject = nameOf({ bucket, key });
    let next: string | undefined;
    do {
      const from = next;
      const page = await this.#requests.repeat(operation, subject, signal, () =>
        this.#driver.listUploadsPage(bucket, { key, next: from, limit: pageSize, signal }),
      );
      open.push(...page.items.filter((upload) => upload.key === key));
      next = page.next;
    } while (next !== undefined);
    return open;
  }

  async #demandExclusive(operation: string, upload: UploadRef, signal: Signal): Promise<void> {
    const open = await this.#openUploads(operation, upload, signal);
    if (open.length > 1) {
      const fact = `${open.length} uploads are open for ${nameOf(upload)}; abort all but one`;
      throw this.#context.error("ERR_HEXKIT_UPLOAD_NOT_EXCLUSIVE", `${operation}: ${fact}`);
    }
    if (open[0]?.uploadId === upload.uploadId) return;
    throw this.#context.error(
      "ERR_HEXKIT_UPLOAD_NOT_FOUND",
      `${operation}: that upload is not open for ${nameOf(upload)}; it was completed, aborted, or never there`,
    );
  }

  async #parts(
    operation: string,
    upload: UploadRef,
    signal: Signal,
    first = 1,
    max = Number.POSITIVE_INFINITY,
  ): Promise<readonly ListedPart[]> {
    const parts: ListedPart[] = [];
    let after: number | undefined = first - 1;
    while (after !== undefined && parts.length < max) {
      const from: number = after;
      const limit = Math.min(pageSize, max - parts.length);
      const page = await this.#requests.repeat(operation, nameOf(upload), signal, () =>
        this.#driver.listPartsPage(upload, { after: from, limit, signal }),
      );
      parts.push(...page.items);
      after = page.next;
    }
    return parts.slice(0, max);
  }

  async #abort(upload: UploadRef, signal: Signal): Promise<void> {
    // Servers differ in what they say to an unknown upload; to a listing of its parts they all say the same.
    await this.#parts("multipart.abort", upload, signal, 1, 1);
    const name = nameOf(upload);
    await this.#ignoringMissing(() =>
      this.#requests.repeat("multipart.abort", name, signal, () => this.#driver.abortUpload(upload, { signal })),
    );
    const left = await this.#ignoringMissing(() => this.#parts("multipart.abort", upload, signal, 1, 1));
    if (left === undefined || left.length === 0) return;
    const fact = `parts of the upload of ${name} are still there; part uploads may have been under way: abort it again`;
    throw this.#context.error("ERR_HEXKIT_UPLOAD_ABORT_FAILED", `multipart.abort: ${fact}`);
  }

  async #ignoringMissing<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      if (isHexkitError(error, "ERR_HEXKIT_UPLOAD_NOT_FOUND")) return undefined;
      throw error;
    }
  }
}
