import type { ProtocolContext } from "../index.ts";
import { nameOf } from "./arguments.ts";
import type { ObjectStorageDriver, StoredFacts } from "./driver.ts";
import type { ObjectRef, StoredRef } from "./object-storage.ts";
import { recommendPartSize } from "./part-size.ts";
import type { Requests } from "./requests.ts";
import type { StorageSettings } from "./settings.ts";
import type { Uploader } from "./uploader.ts";

/** Copies on the server: whole where that is one request, else in parts. */
export class Copier {
  readonly #driver: ObjectStorageDriver;
  readonly #context: ProtocolContext<StorageSettings>;
  readonly #requests: Requests;
  readonly #uploader: Uploader;

  constructor(driver: ObjectStorageDriver, context: ProtocolContext<StorageSettings>, requests: Requests, uploader: Uploader) {
    this.#driver = driver;
    this.#context = context;
    this.#requests = requests;
    this.#uploader = uploader;
  }

  async copy(from: ObjectRef, to: ObjectRef, overwrite: boolean, signal: AbortSignal): Promise<StoredRef> {
    // The destination first, so that a repeated copy says that it is done rather than that its source has gone.
    if (overwrite) await this.#requests.demandBucket("copy", to.bucket, signal);
    else if ((await this.#requests.find("copy", to, signal)) !== undefined) {
      throw this.#context.error("ERR_HEXKIT_OBJECT_EXISTS", `copy: object ${nameOf(to)} exists; \`overwrite: true\` replaces it`);
    }
    const source = await this.#requests.demandObject("copy", from, signal);
    const { partCopy } = this.#driver.capabilities;
    const { maxCopyBytes } = this.#driver.limits;
    if (source.sizeBytes <= (partCopy ? Math.min(this.#context.settings.maxSingleCopyBytes, maxCopyBytes) : maxCopyBytes)) {
      const { etag } = await this.#requests.onObject("copy", from, signal, () => this.#driver.copy(from, to, { signal }));
      return { ...to, etag, sizeBytes: source.sizeBytes };
    }
    if (partCopy) return this.#inParts(from, to, source, signal);
    const fact = `${nameOf(from)} has ${source.sizeBytes} bytes, the provider copies at most ${maxCopyBytes}; get it and put it`;
    throw this.#context.error("ERR_HEXKIT_UNSUPPORTED", `copy: ${fact}`);
  }

  #inParts(from: ObjectRef, to: ObjectRef, source: StoredFacts, signal: AbortSignal): Promise<StoredRef> {
    const { sizeBytes, etag: sourceEtag, contentType, metadata } = source;
    const partSizeBytes = recommendPartSize(sizeBytes, this.#context.settings.partSizeBytes);
    return this.#uploader.inParts(to, { contentType, metadata }, false, signal, async (upload, run) => {
      for (let start = 0; start < sizeBytes; start += partSizeBytes) {
        const range = { start, end: Math.min(start + partSizeBytes, sizeBytes) - 1 };
        await run((partNumber, stop) =>
          this.#requests.repeat("copy", nameOf(from), stop, () =>
            this.#driver.copyPart(upload, partNumber, { ...from, range, sourceEtag }, { signal: stop }),
          ),
        );
      }
      return sizeBytes;
    });
  }
}
