import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ByteRange, ObjectRef } from "../../core/index.ts";
import { isStorageError, statusOf } from "./errors.ts";
import { cutRange, type MemoryObjectStore, md5, pieces, storeLimits } from "./object-store.ts";

/** What a form's policy says. */
export interface FormPolicy extends ObjectRef {
  readonly expires: number;
  readonly maxBytes?: number | undefined;
}

/** Why a link or form is refused. */
export type Refusal = "expired" | "signature";

interface Verifier {
  now(): number;
  refusal(request: ObjectRef & { method: string; query: URLSearchParams; header(name: string): string | undefined }): Refusal | undefined;
  readPolicy(policy: string, signature: string): FormPolicy | Refusal;
}

/** A request that is refused with a status of its own. */
class Refused extends Error {
  override readonly name = "Refused";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const refusals: Readonly<Record<Refusal, string>> = {
  expired: "the link has expired",
  signature: "method, address, query or a signed header is not what was signed",
};
const formFields = ["key", "policy", "signature"];

/** Answers signed links on 127.0.0.1. Does not keep the process alive. */
export class LinkServer {
  readonly #store: MemoryObjectStore;
  readonly #verifier: Verifier;
  readonly #demandPresence: () => void;
  #server: Server | undefined;
  #opening: Promise<string> | undefined;

  constructor(store: MemoryObjectStore, verifier: Verifier, demandPresence: () => void) {
    this.#store = store;
    this.#verifier = verifier;
    this.#demandPresence = demandPresence;
  }

  /** The address, without a slash at its end. */
  open(): Promise<string> {
    this.#opening ??= new Promise((resolve, reject) => {
      const server = createServer((request, response) => void this.#answer(request, response));
      this.#server = server;
      server.unref();
      server.on("connection", (socket) => socket.unref());
      server.once("error", reject);
      server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
    });
    return this.#opening;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#opening = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      this.#demandPresence();
      const { pathname, query } = split(request.url ?? "/");
      const [, bucket = "", ...segments] = pathname.split("/");
      const object = { bucket: decode(bucket), key: segments.map(decode).join("/") };
      if (request.method === "POST") await this.#takeForm(object.bucket, request);
      else {
        const method = request.method ?? "";
        const header = (name: string): string | undefined => request.headers[name]?.toString();
        const refusal = this.#verifier.refusal({ ...object, method, query, header });
        if (refusal !== undefined) throw new Refused(403, refusals[refusal]);
        if (method === "GET") return await this.#serve(object, query, request, response);
        response.setHeader("etag", `"${await this.#take(object, query, request)}"`);
        response.writeHead(200).end();
        return;
      }
      response.writeHead(204).end();
    } catch (error) {
      fail(request, response, error);
    }
  }

  async #serve(object: ObjectRef, query: URLSearchParams, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { chunks, sizeBytes, etag, contentType, modifiedAt, metadata } = this.#store.get(object);
    const range = parseRange(request.headers.range, sizeBytes);
    const [start, end] = range === undefined ? [0, sizeBytes - 1] : cutRange(range, sizeBytes);
    const disposition = query.get("response-content-disposition");
    response.writeHead(range === undefined ? 200 : 206, {
      "content-type": query.get("response-content-type") ?? contentType,
      "content-length": end - start + 1,
      "accept-ranges": "bytes",
      etag: `"${etag}"`,
      "last-modified": modifiedAt.toUTCString(),
      ...(disposition !== null && { "content-disposition": disposition }),
      ...(range !== undefined && { "content-range": `bytes ${start}-${end}/${sizeBytes}` }),
      ...Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`x-meta-${name}`, value])),
    });
    await pipeline(Readable.from(pieces(chunks, start, end), { objectMode: false }), response);
  }

  /** A PUT, of an object or of a part. */
  async #take(object: ObjectRef, query: URLSearchParams, request: IncomingMessage): Promise<string> {
    const body = await readBody(request);
    const digest = request.headers["content-md5"];
    if (digest !== undefined && digest !== md5(body).toString("base64"))
      throw new Refused(400, "the content does not have the MD5 that was sent");
    const now = this.#verifier.now();
    const uploadId = query.get("uploadId");
    if (uploadId !== null) return this.#store.putPart({ ...object, uploadId }, Number(query.get("partNumber")), body, now).etag;
    return this.#store.put(object, body, { contentType: request.headers["content-type"] }, { now }).etag;
  }

  async #takeForm(bucket: string, request: IncomingMessage): Promise<void> {
    const body = await readBody(request);
    const form = await new Response(body, { headers: { "content-type": request.headers["content-type"] ?? "" } }).formData().catch(() => {
      throw new Refused(400, "the body is no form");
    });
    const names = [...form.keys()];
    const [key, policy, signature] = formFields.map((name) => form.get(name));
    const file = form.get("file");
    if (names.at(-1) !== "file" || !(file instanceof Blob)) throw new Refused(400, "the last field must be a file named `file`");
    if (names.some((name) => name !== "file" && !formFields.includes(name)))
      throw new Refused(403, "the form has fields that were not signed");
    if (typeof policy !== "string" || typeof signature !== "string") throw new Refused(403, "the form is not signed");
    const content = this.#verifier.readPolicy(policy, signature);
    if (typeof content === "string") throw new Refused(403, refusals[content]);
    if (content.bucket !== bucket || content.key !== key) throw new Refused(403, "the form was signed for another bucket or key");
    if (content.maxBytes !== undefined && file.size > content.maxBytes) {
      throw new Refused(400, `the file has ${file.size} bytes, at most ${content.maxBytes} are allowed`);
    }
    this.#store.put(content, new Uint8Array(await file.arrayBuffer()), {}, { now: this.#verifier.now() });
  }
}

function split(url: string): { pathname: string; query: URLSearchParams } {
  const at = url.indexOf("?");
  return { pathname: at < 0 ? url : url.slice(0, at), query: new URLSearchParams(at < 0 ? "" : url.slice(at + 1)) };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new Refused(400, "the address is not encoded as it should be");
  }
}

/** `bytes=5-9`, `bytes=5-`, `bytes=-5`; anything else is ignored, as HTTP wants it. */
function parseRange(header: string | undefined, sizeBytes: number): ByteRange | undefined {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (from === undefined || to === undefined || from + to === "") return undefined;
  if (from === "") return { start: Math.max(sizeBytes - Number(to), 0) };
  return { start: Number(from), ...(to !== "" && { end: Number(to) }) };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > storeLimits.maxPutBytes) throw new Refused(413, `more than ${storeLimits.maxPutBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.headersSent || (request.destroyed && !request.complete)) {
    response.destroy();
    return;
  }
  const status = error instanceof Refused ? error.status : statusOf(error);
  const message = error instanceof Refused || isStorageError(error) ? error.message : status === 503 ? "the storage is away" : "it failed";
  // A body that is still on its way would be taken for the next request.
  if (!request.complete) response.setHeader("connection", "close");
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ message }));
}
