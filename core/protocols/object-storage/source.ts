import { Readable } from "node:stream";
import type { ObjectBody } from "./object-storage.ts";

/** The chunks of a body, one after the other. */
export interface Source {
  /** Where it is known. */
  readonly sizeBytes: number | undefined;
  /** All of it, where it is in memory already. */
  readonly bytes?: Uint8Array;
  /** `undefined` at the end. Anything may come out of a stream. */
  next(): Promise<unknown>;
  /** Frees what the stream holds. Whatever it says to that is of no interest. */
  discard(reason: unknown): void;
}

const nothing = (): void => undefined;

/** Reads a body of any kind; `undefined` for what is none. Nothing is read yet. */
export function openSource(body: ObjectBody, sizeBytes: number | undefined): Source | undefined {
  if (typeof body === "string") return inMemory(Buffer.from(body));
  if (body instanceof Uint8Array) return inMemory(body);
  if (typeof body !== "object" || body === null) return undefined;
  if (body instanceof Blob) return fromWebStream(body.stream(), body.size);
  if (body instanceof ReadableStream) return fromWebStream(body, sizeBytes);
  if (typeof (body as AsyncIterable<unknown>)[Symbol.asyncIterator] !== "function") return undefined;
  return body instanceof Readable ? fromReadable(body, sizeBytes) : fromIterable(body as AsyncIterable<unknown>, sizeBytes, nothing);
}

function inMemory(bytes: Uint8Array): Source {
  let rest: Uint8Array | undefined = bytes;
  const next = async (): Promise<unknown> => {
    const chunk = rest;
    rest = undefined;
    return chunk;
  };
  return { sizeBytes: bytes.byteLength, bytes, next, discard: nothing };
}

function fromReadable(stream: Readable, sizeBytes: number | undefined): Source {
  // It may fail while nobody reads, and a failure that nobody listens to ends the process.
  stream.on("error", nothing);
  return fromIterable(stream, sizeBytes, () => stream.destroy());
}

function fromIterable(iterable: AsyncIterable<unknown>, sizeBytes: number | undefined, destroy: () => void): Source {
  let iterator: AsyncIterator<unknown> | undefined;
  return {
    sizeBytes,
    next: async () => {
      iterator ??= iterable[Symbol.asyncIterator]();
      const { done, value } = await iterator.next();
      // A stream of nothing but `undefined` has not ended.
      return done ? undefined : (value ?? null);
    },
    discard: () => {
      destroy();
      // A generator that waits for something answers only once it goes on.
      ignore(async () => (iterator ?? iterable[Symbol.asyncIterator]()).return?.());
    },
  };
}

function fromWebStream(stream: ReadableStream<unknown>, sizeBytes: number | undefined): Source {
  let reader: ReadableStreamDefaultReader<unknown> | undefined;
  return {
    sizeBytes,
    next: async () => {
      reader ??= stream.getReader();
      const { done, value } = await reader.read();
      return done ? undefined : (value ?? null);
    },
    discard: (reason) => ignore(async () => (reader ?? stream).cancel(reason)),
  };
}

function ignore(work: () => Promise<unknown>): void {
  work().catch(nothing);
}
