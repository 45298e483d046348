import type { HexkitError } from "../../errors.ts";
import type { ContentStream, ObjectInfo, StoredObject } from "./object-storage.ts";

const nothing = (): void => undefined;

/**
 * Makes a body fail with our errors only. In its own `destroy`, through which every failure goes: another stream around it would cost
 * an event for each chunk.
 */
export function mapFailures(body: ContentStream, mapError: (error: unknown) => HexkitError): void {
  const destroy = body.destroy.bind(body);
  const finish = body._destroy.bind(body);
  body.destroy = (error) => destroy(error ? mapError(error) : undefined);
  body._destroy = (error, callback) => finish(error, (other) => callback(other ? mapError(other) : null));
  // A failure of one that nobody reads would end the process.
  body.on("error", nothing);
}

export class PortableStoredObject implements StoredObject {
  readonly info: ObjectInfo;
  readonly body: ContentStream;
  readonly #refuse: (fact: string) => HexkitError;
  #read = false;

  constructor(info: ObjectInfo, body: ContentStream, refuse: (fact: string) => HexkitError) {
    this.info = info;
    this.body = body;
    this.#refuse = refuse;
  }

  async bytes(): Promise<Uint8Array> {
    if (this.#read || this.body.readableDidRead) throw this.#refuse("its content has been read or is being read; get it again");
    if (this.body.destroyed && this.body.errored === null) throw this.#refuse("it was closed before its content was read");
    this.#read = true;
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.body) chunks.push(chunk);
    return chunks.length === 1 ? new Uint8Array(chunks[0] as Uint8Array) : concat(chunks);
  }

  async text(): Promise<string> {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(await this.bytes());
  }

  async close(): Promise<void> {
    if (!this.body.closed) {
      await new Promise<void>((resolve) => {
        this.body.once("close", resolve);
        this.body.destroy();
      });
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A plain `Uint8Array`, over memory of its own. */
function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}
