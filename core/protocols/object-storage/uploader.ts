import { settlesWithin } from "../../promise.ts";
import type { ProtocolContext } from "../index.ts";
import { type Arguments, nameOf } from "./arguments.ts";
import { Cleaner } from "./cleaner.ts";
import type { ContentFacts, ObjectStorageDriver } from "./driver.ts";
import type { ObjectRef, StoredRef, UploadRef } from "./object-storage.ts";
import { PartReader, type SourceFaults } from "./part-reader.ts";
import { maxPartCount, recommendPartSize } from "./part-size.ts";
import type { Requests } from "./requests.ts";
import type { StorageSettings } from "./settings.ts";
import type { Source } from "./source.ts";

type Part = { readonly partNumber: number; readonly etag: string };

/** How long parts that were told to end may take before their upload is aborted all the same. */
const settleMs = 5000;

/** Stores bodies of any size: small ones at once, others in parts. What fails is undone. */
export class Uploader {
  readonly #driver: ObjectStorageDriver;
  readonly #context: ProtocolContext<StorageSettings>;
  readonly #requests: Requests;
  readonly #check: Arguments;
  readonly #cleaner: Cleaner;

  constructor(driver: ObjectStorageDriver, context: ProtocolContext<StorageSettings>, requests: Requests, check: Arguments) {
    this.#driver = driver;
    this.#context = context;
    this.#requests = requests;
    this.#check = check;
    this.#cleaner = new Cleaner(driver, context);
  }

  /** Settles when everything is done, cleaning up included; a caller who does not wait for that goes by the signal. */
  async put(object: ObjectRef, source: Source, content: ContentFacts, ifAbsent: boolean, signal: AbortSignal): Promise<StoredRef> {
    const { partSizeBytes: preferred } = this.#context.settings;
    const partSizeBytes = source.sizeBytes === undefined ? preferred : recommendPartSize(source.sizeBytes, preferred);
    const reader = new PartReader(source, partSizeBytes, signal, this.#faults(object));
    const first = await reader.next();
    if (reader.ended || first.byteLength < partSizeBytes) return this.#putWhole(object, first, content, ifAbsent, signal);
    if (ifAbsent) await this.#demandAbsent(object, signal);
    return this.inParts(object, content, ifAbsent, signal, async (upload, run) => {
      let sizeBytes = 0;
      for (let part = first; ; part = await reader.next()) {
        if (part.byteLength === 0) break;
        sizeBytes += part.byteLength;
        const sent = part;
        await run((partNumber, stop) =>
          this.#requests
            .repeat("put", nameOf(object), stop, () => this.#driver.putPart(upload, partNumber, sent, { signal: stop }))
            .finally(() => reader.release(sent)),
        );
        if (reader.ended) break;
        await run.room();
      }
      return sizeBytes;
    });
  }

  /**
   * Opens an upload, lets `send` run its parts, and completes it with all of them. The first failure ends everything else that runs,
   * and the upload is aborted.
   */
  async inParts(
    object: ObjectRef,
    content: ContentFacts,
    ifAbsent: boolean,
    signal: AbortSignal,
    send: (upload: UploadRef, run: RunPart) => Promise<number>,
  ): Promise<StoredRef> {
    const name = nameOf(object);
    const starting = this.#driver.startUpload(object, { ...content, signal });
    const uploadId = await this.#cleaner.ownedBy(object, starting, signal);
    const upload = { ...object, uploadId };
    const lanes = new Lanes(this.#context.settings.uploadConcurrency, signal, (count) =>
      this.#check.tooLarge(
        "put",
        `${name} would have ${count} parts, ${maxPartCount} are possible: give its sizeBytes, or raise partSizeBytes`,
      ),
    );
    try {
      const sizeBytes = await send(upload, lanes.run);
      const parts = await lanes.finish();
      // Not repeated: one that had happened would be reported as a missing upload.
      const { etag } = await this.#driver.completeUpload(upload, parts, { signal, ...(ifAbsent && { ifAbsent }) });
      return { ...object, etag, sizeBytes };
    } catch (error) {
      await this.#cleaner.abort(upload, await lanes.stop(error));
      throw lanes.failure ?? error;
    }
  }

  async #putWhole(object: ObjectRef, body: Uint8Array, content: ContentFacts, ifAbsent: boolean, signal: AbortSignal): Promise<StoredRef> {
    const put = (): Promise<{ etag: string }> => this.#driver.put(object, body, { ...content, ...(ifAbsent && { ifAbsent }), signal });
    // With a condition, a repetition of what had happened would fail on itself.
    const { etag } = ifAbsent ? await put() : await this.#requests.repeat("put", nameOf(object), signal, put);
    return { ...object, etag, sizeBytes: body.byteLength };
  }

  /** Before a large body is moved; the server decides again in the end. */
  async #demandAbsent(object: ObjectRef, signal: AbortSignal): Promise<void> {
    const name = nameOf(object);
    if (!this.#driver.capabilities.conditionalComplete) {
      throw this.#context.error("ERR_HEXKIT_UNSUPPORTED", `put ${name}: the provider cannot store a large object only if it is absent`);
    }
    if ((await this.#requests.find("put", object, signal)) === undefined) return;
    throw this.#context.error("ERR_HEXKIT_OBJECT_EXISTS", `put ${name}: the object exists; leave \`ifAbsent\` out to replace it`);
  }

  #faults(object: ObjectRef): SourceFaults {
    const name = nameOf(object);
    return {
      failed: (error) =>
        this.#context.error("ERR_HEXKIT_SOURCE_FAILED", `put ${name}: the stream to be stored failed; nothing was stored`, error),
      notBytes: (chunk) =>
        this.#check.invalid("put", `the stream for ${name} gave ${chunk === null ? "null" : typeof chunk}, not bytes (Uint8Array)`),
      wrongSize: (expected, received, ended) => {
        const fact = ended ? `ended after ${received}` : `has more than that (${received} so far)`;
        return this.#check.invalid("put", `sizeBytes of ${name} is ${expected}, its stream ${fact}; nothing was stored`);
      },
    };
  }
}

/** Begins a part as soon as there is room for it. `room` waits for the room of the next one, before it is read into memory. */
export interface RunPart {
  (work: (partNumber: number, stop: AbortSignal) => Promise<{ etag: string }>): Promise<void>;
  room(): Promise<void>;
}

/** Parts under way, numbered in the order in which they begin. */
class Lanes {
  readonly run: RunPart;
  /** The first one; what follows from it is of no interest. */
  failure: unknown;
  readonly #width: number;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #parts: Part[] = [];
  readonly #unlink: () => void;
  #count = 0;
  #cutOff = false;

  constructor(width: number, signal: AbortSignal, tooMany: (count: number) => Error) {
    this.#width = width;
    const onAbort = (): void => this.#stop.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    this.#unlink = () => signal.removeEventListener("abort", onAbort);
    const room = async (): Promise<void> => {
      while (this.#running.size >= this.#width && this.failure === undefined) await Promise.race(this.#running);
      if (this.failure !== undefined) throw this.failure;
      this.#stop.signal.throwIfAborted();
    };
    this.run = Object.assign(
      async (work: Parameters<RunPart>[0]): Promise<void> => {
        await room();
        this.#count += 1;
        const partNumber = this.#count;
        if (partNumber > maxPartCount) throw tooMany(partNumber);
        const running: Promise<void> = work(partNumber, this.#stop.signal).then(
          ({ etag }) => {
            this.#parts.push({ partNumber, etag });
            this.#running.delete(running);
          },
          (error) => {
            this.#running.delete(running);
            this.#fail(error);
          },
        );
        this.#running.add(running);
      },
      { room },
    );
  }

  /** All parts, ascending, once the last one has been sent. */
  async finish(): Promise<readonly Part[]> {
    while (this.#running.size > 0 && this.failure === undefined) await Promise.race(this.#running);
    if (this.failure !== undefined) throw this.failure;
    this.#unlink();
    return this.#parts.sort((a, b) => a.partNumber - b.partNumber);
  }

  /** Ends what runs, and waits for that: a part that came after the abort would stay. Resolves to whether any part was cut off. */
  async stop(error: unknown): Promise<boolean> {
    this.#fail(error);
    this.#unlink();
    await settlesWithin(Promise.all(this.#running), settleMs);
    return this.#cutOff;
  }

  #fail(error: unknown): void {
    this.failure ??= error;
    if (this.#running.size > 0) this.#cutOff = true;
    if (!this.#stop.signal.aborted) this.#stop.abort(error);
  }
}
