import { untilAborted } from "../../call.ts";
import { isHexkitError } from "../../errors.ts";
import type { ProtocolContext } from "../index.ts";
import { nameOf } from "./arguments.ts";
import type { ObjectStorageDriver, StoredFacts } from "./driver.ts";
import type { ObjectRef } from "./object-storage.ts";
import type { StorageSettings } from "./settings.ts";

type Signal = AbortSignal | undefined;

/** Single requests to the driver: repeated where they may be, with errors that tell a missing bucket from a missing object. */
export class Requests {
  readonly #driver: ObjectStorageDriver;
  readonly #context: ProtocolContext<StorageSettings>;

  constructor(driver: ObjectStorageDriver, context: ProtocolContext<StorageSettings>) {
    this.#driver = driver;
    this.#context = context;
  }

  /** Does `work`, again after a failure that passes. Only for what may happen twice. Rejects at once when the signal aborts. */
  async repeat<Result>(operation: string, subject: string, signal: Signal, work: () => Promise<Result>): Promise<Result> {
    const { maxRetries, retryDelayMs } = this.#context.settings;
    for (let retries = 0; ; retries += 1) {
      try {
        return await untilAborted(work(), signal);
      } catch (error) {
        if (signal?.aborted) throw error;
        const mapped = this.#context.mapError(error, operation, subject);
        if (!mapped.retryable || retries >= maxRetries) throw mapped;
      }
      await this.#context.clock.sleep(retryDelayMs * 2 ** retries, signal);
      signal?.throwIfAborted();
    }
  }

  /** `undefined` for a missing object in an existing bucket. */
  async find(operation: string, object: ObjectRef, signal: Signal): Promise<StoredFacts | undefined> {
    const facts = await this.repeat(operation, nameOf(object), signal, () => this.#driver.stat(object, { signal }));
    if (facts === undefined) await this.demandBucket(operation, object.bucket, signal);
    return facts;
  }

  async demandObject(operation: string, object: ObjectRef, signal: Signal): Promise<StoredFacts> {
    const facts = await this.find(operation, object, signal);
    if (facts !== undefined) return facts;
    throw this.#context.error("ERR_HEXKIT_OBJECT_NOT_FOUND", `${operation}: object ${nameOf(object)} does not exist`);
  }

  async demandBucket(operation: string, bucket: string, signal: Signal): Promise<void> {
    if (await this.repeat(operation, bucket, signal, () => this.#driver.bucketExists(bucket, { signal }))) return;
    throw this.#context.error("ERR_HEXKIT_BUCKET_NOT_FOUND", `${operation}: bucket ${JSON.stringify(bucket)} does not exist`);
  }

  /** Does `work` on an object; where it is missing, finds out whether it is not rather the bucket. */
  async onObject<Result>(operation: string, object: ObjectRef, signal: Signal, work: () => Promise<Result>): Promise<Result> {
    try {
      return await this.repeat(operation, nameOf(object), signal, work);
    } catch (error) {
      if (isHexkitError(error, "ERR_HEXKIT_OBJECT_NOT_FOUND")) await this.demandBucket(operation, object.bucket, signal);
      throw error;
    }
  }
}
