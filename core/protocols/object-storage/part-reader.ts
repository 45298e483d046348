import { Buffer } from "node:buffer";
import { isUint8Array } from "node:util/types";
import { untilAborted } from "../../call.ts";
import type { HexkitError } from "../../errors.ts";
import type { Source } from "./source.ts";

/** What can be wrong with a source. */
export interface SourceFaults {
  failed(error: unknown): HexkitError;
  notBytes(chunk: unknown): HexkitError;
  wrongSize(expected: number, received: number, ended: boolean): HexkitError;
}

/** A body cut into parts of equal size, the last one excepted. Reads no further than what was asked for. */
export class PartReader {
  readonly #source: Source;
  readonly #partSizeBytes: number;
  readonly #faults: SourceFaults;
  readonly #signal: AbortSignal;
  /** Buffers whose part has been sent; using them again keeps memory from growing until the collector runs. */
  readonly #free: Uint8Array[] = [];
  #rest: Uint8Array = new Uint8Array(0);
  #received = 0;
  #ended = false;

  constructor(source: Source, partSizeBytes: number, signal: AbortSignal, faults: SourceFaults) {
    this.#source = source;
    this.#partSizeBytes = partSizeBytes;
    this.#signal = signal;
    this.#faults = faults;
  }

  /** Whether everything has been read; known before the part that would be empty is asked for. */
  get ended(): boolean {
    return this.#ended && this.#rest.byteLength === 0;
  }

  /** The next part: full, or the last one, which may be empty. */
  async next(): Promise<Uint8Array> {
    const { bytes } = this.#source;
    if (bytes !== undefined) return this.#cut(bytes);
    const { sizeBytes = Number.POSITIVE_INFINITY } = this.#source;
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(Math.min(this.#partSizeBytes, Math.max(sizeBytes, 1)));
    let filled = 0;
    // A full part is not looked behind, unless all that was announced has come: then the end must follow.
    while (!this.#ended || this.#rest.byteLength > 0) {
      const taken = this.#rest.subarray(0, buffer.byteLength - filled);
      buffer.set(taken, filled);
      filled += taken.byteLength;
      this.#rest = this.#rest.subarray(taken.byteLength);
      if (filled === buffer.byteLength && (this.#rest.byteLength > 0 || this.#received < sizeBytes)) break;
      if (!this.#ended) await this.#read(sizeBytes);
    }
    return buffer.subarray(0, filled);
  }

  /** Gives a part back once it has been sent. */
  release(part: Uint8Array): void {
    if (this.#source.bytes === undefined && part.byteLength === this.#partSizeBytes) this.#free.push(part);
  }

  #cut(bytes: Uint8Array): Uint8Array {
    const part = bytes.subarray(this.#received, this.#received + this.#partSizeBytes);
    this.#received += part.byteLength;
    this.#ended = this.#received === bytes.byteLength;
    return part;
  }

  async #read(sizeBytes: number): Promise<void> {
    let chunk: unknown;
    try {
      chunk = await untilAborted(this.#source.next(), this.#signal);
    } catch (error) {
      throw this.#signal.aborted ? error : this.#faults.failed(error);
    }
    if (chunk === undefined) {
      this.#ended = true;
      if (this.#received < sizeBytes && sizeBytes !== Number.POSITIVE_INFINITY) {
        throw this.#faults.wrongSize(sizeBytes, this.#received, true);
      }
      return;
    }
    if (!isUint8Array(chunk)) throw this.#faults.notBytes(chunk);
    this.#received += chunk.byteLength;
    if (this.#received > sizeBytes) throw this.#faults.wrongSize(sizeBytes, this.#received, false);
    this.#rest = chunk;
  }
}
