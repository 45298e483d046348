import { untilAborted } from "../../call.ts";
import { deadline } from "../../promise.ts";
import type { ProtocolContext } from "../index.ts";
import { nameOf } from "./arguments.ts";
import type { ObjectStorageDriver } from "./driver.ts";
import type { ObjectRef, UploadRef } from "./object-storage.ts";
import type { StorageSettings } from "./settings.ts";

/** Time for getting rid of one upload, in ms. */
const cleaningMs = 15_000;
const tries = 5;
/** Shortest pause before looking again, in ms: a server may still be writing a part whose request was cut off. */
const pauseMs = 50;

/** Gets rid of uploads that lead nowhere. Never fails: what is left is logged, for `multipart.abortOlderThan` to find. */
export class Cleaner {
  readonly #driver: ObjectStorageDriver;
  readonly #context: ProtocolContext<StorageSettings>;

  constructor(driver: ObjectStorageDriver, context: ProtocolContext<StorageSettings>) {
    this.#driver = driver;
    this.#context = context;
  }

  /** The id of an upload that is being started. If nobody waits for it any more when it comes, it is aborted. */
  async ownedBy(object: ObjectRef, starting: Promise<string>, signal: AbortSignal): Promise<string> {
    try {
      return await untilAborted(starting, signal);
    } catch (error) {
      if (signal.aborted) {
        const late = await starting.catch(() => undefined);
        if (late !== undefined) await this.abort({ ...object, uploadId: late });
      }
      throw error;
    }
  }

  /** With `cutOff`, parts of it were under way until just now: one that the server finishes late may bring the upload back, so it is looked for twice. */
  async abort(upload: UploadRef, cutOff = false): Promise<void> {
    const { signal, clear } = deadline(cleaningMs, new Error(`not done within ${cleaningMs} ms`));
    const retryMs = Math.max(this.#context.settings.retryDelayMs, pauseMs);
    let looks = cutOff ? 2 : 1;
    try {
      for (let attempt = 1; ; attempt += 1) {
        const failure = await this.#try(upload, signal);
        if (failure === undefined) looks -= 1;
        if (looks === 0) return;
        if (failure !== undefined && (attempt >= tries || signal.aborted)) {
          const left = { bucket: upload.bucket, key: upload.key, uploadId: upload.uploadId, err: failure };
          this.#context.logger.warn(left, "an upload that failed could not be aborted; multipart.abortOlderThan finds it");
          return;
        }
        await this.#context.clock.sleep(failure === undefined ? pauseMs : retryMs * 2 ** (attempt - 1), signal);
      }
    } finally {
      clear();
    }
  }

  /** `undefined` once the upload is gone: a part that was under way may keep it, or bring it back. */
  async #try(upload: UploadRef, signal: AbortSignal): Promise<unknown> {
    try {
      await untilAborted(this.#driver.abortUpload(upload, { signal }), signal);
      await untilAborted(this.#driver.listPartsPage(upload, { after: 0, limit: 1, signal }), signal);
      return new Error("it was aborted, and is still there");
    } catch (error) {
      const mapped = this.#context.mapError(error, "abort upload of", nameOf(upload));
      return mapped.code === "ERR_HEXKIT_UPLOAD_NOT_FOUND" ? undefined : mapped;
    }
  }
}
