import type { ProtocolContext } from "../index.ts";
import { type Arguments, nameOf } from "./arguments.ts";
import type { LinkRequest, ObjectStorageDriver } from "./driver.ts";
import type { DownloadLinkOptions, FormLink, Link, ObjectRef, ObjectStorage, PutLink } from "./object-storage.ts";
import type { Requests } from "./requests.ts";
import type { StorageSettings } from "./settings.ts";

const linkMs = 86_400_000;
type Signal = AbortSignal | undefined;

/** Signs links, after looking whether they make sense. */
export class Linker {
  readonly #driver: ObjectStorageDriver;
  readonly #context: ProtocolContext<StorageSettings>;
  readonly #requests: Requests;
  readonly #check: Arguments;

  constructor(driver: ObjectStorageDriver, context: ProtocolContext<StorageSettings>, requests: Requests, check: Arguments) {
    this.#driver = driver;
    this.#context = context;
    this.#requests = requests;
    this.#check = check;
  }

  async download(object: ObjectRef, options: DownloadLinkOptions = {}): Promise<Link> {
    const { expiresInMs = linkMs, fileName, contentType } = options;
    this.#check.object("presignDownload", object);
    const expiry = this.#check.expiry("presignDownload", expiresInMs);
    const contentDisposition = this.#check.disposition("presignDownload", fileName);
    this.#check.contentType("presignDownload", contentType);
    const sign = this.signer("presignDownload");
    return this.#context.call("presignDownload", nameOf(object), options, async (signal) => {
      await this.#requests.demandObject("presignDownload", object, signal);
      return sign({ ...object, kind: "download", contentDisposition, contentType, expiresInMs: expiry }, signal);
    });
  }

  async form(object: ObjectRef, options: Parameters<ObjectStorage["presignUpload"]>[2] = {}): Promise<FormLink> {
    const { expiresInMs = linkMs, maxBytes, overwrite = false } = options;
    this.#check.object("presignUpload", object);
    const expiry = this.#check.expiry("presignUpload", expiresInMs);
    this.#check.size("presignUpload", "maxBytes", maxBytes);
    this.signer("presignUpload");
    const { capabilities, presignPost } = this.#driver;
    if (!capabilities.postForm || presignPost === undefined) {
      throw this.#context.error("ERR_HEXKIT_UNSUPPORTED", "presignUpload: the provider has no upload forms; use presignPut");
    }
    return this.#context.call("presignUpload", nameOf(object), options, async (signal) => {
      await this.#demandAbsent("presignUpload", object, overwrite, signal);
      const { expiresAt } = this.#expiring(expiry);
      return { ...(await presignPost.call(this.#driver, { ...object, maxBytes, expiresInMs: expiry }, { signal })), expiresAt };
    });
  }

  async put(object: ObjectRef, options: Parameters<ObjectStorage["presignPut"]>[2] = {}): Promise<PutLink> {
    const { expiresInMs = linkMs, contentType, overwrite = false } = options;
    this.#check.object("presignPut", object);
    const expiry = this.#check.expiry("presignPut", expiresInMs);
    this.#check.contentType("presignPut", contentType);
    const sign = this.signer("presignPut");
    return this.#context.call("presignPut", nameOf(object), options, async (signal) => {
      await this.#demandAbsent("presignPut", object, overwrite, signal);
      const link = await sign({ ...object, kind: "put", contentType, expiresInMs: expiry }, signal);
      return { ...link, headers: contentType === undefined ? {} : { "content-type": contentType } };
    });
  }

  /** What signs links. To be asked for before any I/O. */
  signer(operation: string): (link: LinkRequest, signal: Signal) => Promise<Link> {
    const { capabilities, presign } = this.#driver;
    if (!capabilities.links || presign === undefined) {
      throw this.#context.error(
        "ERR_HEXKIT_UNSUPPORTED",
        `${operation}: the provider signs no links; move the content by \`get\` and \`put\``,
      );
    }
    return async (link, signal) => {
      const { expiresAt } = this.#expiring(link.expiresInMs);
      return { url: await presign.call(this.#driver, link, { signal }), expiresAt };
    };
  }

  #expiring(expiresInMs: number): { readonly expiresAt: Date } {
    return { expiresAt: new Date(this.#context.clock.now() + expiresInMs) };
  }

  async #demandAbsent(operation: string, object: ObjectRef, overwrite: boolean, signal: Signal): Promise<void> {
    if (overwrite) return this.#requests.demandBucket(operation, object.bucket, signal);
    if ((await this.#requests.find(operation, object, signal)) === undefined) return;
    throw this.#context.error(
      "ERR_HEXKIT_OBJECT_EXISTS",
      `${operation}: object ${nameOf(object)} exists; \`overwrite: true\` signs all the same`,
    );
  }
}
