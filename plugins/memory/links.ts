import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Clock, FormRequest, LinkRequest, ObjectRef } from "../../core/index.ts";
import { type FormPolicy, LinkServer, type Refusal } from "./link-server.ts";
import type { MemoryObjectStore } from "./object-store.ts";

/** What a signature covers: method, place, expiry, the rest of the query, and the headers that are named in it. */
interface Signed extends ObjectRef {
  readonly method: string;
  readonly query: URLSearchParams;
  header(name: string): string | undefined;
}

/** Signs links of one space and answers them over HTTP on the loopback interface, from the first one on. */
export class MemoryLinks {
  readonly #secret = randomBytes(32);
  readonly #server: LinkServer;
  #clock: Clock | undefined;

  constructor(store: MemoryObjectStore, demandPresence: () => void) {
    this.#server = new LinkServer(store, this, demandPresence);
  }

  async sign(link: LinkRequest, clock: Clock): Promise<string> {
    const base = await this.#open(clock);
    const { bucket, key, expiresInMs } = link;
    const query = new URLSearchParams({ expires: String(this.now() + expiresInMs) });
    const headers = new Map<string, string>();
    if (link.kind === "part") {
      query.set("partNumber", String(link.partNumber));
      query.set("uploadId", link.uploadId);
      if (link.md5 !== undefined) headers.set("content-md5", link.md5);
    } else if (link.kind === "put") {
      if (link.contentType !== undefined) headers.set("content-type", link.contentType);
    } else {
      if (link.contentDisposition !== undefined) query.set("response-content-disposition", link.contentDisposition);
      if (link.contentType !== undefined) query.set("response-content-type", link.contentType);
    }
    if (headers.size > 0) query.set("signed-headers", [...headers.keys()].join(","));
    const method = link.kind === "download" ? "GET" : "PUT";
    query.set("signature", this.#signature({ method, bucket, key, query, header: (name) => headers.get(name) }));
    return `${base}/${encodeURIComponent(bucket)}/${key.split("/").map(encodeURIComponent).join("/")}?${query}`;
  }

  async signForm(
    { bucket, key, expiresInMs, maxBytes }: FormRequest,
    clock: Clock,
  ): Promise<{ url: string; fields: Record<string, string> }> {
    const base = await this.#open(clock);
    const content: FormPolicy = { bucket, key, expires: this.now() + expiresInMs, maxBytes };
    const policy = Buffer.from(JSON.stringify(content)).toString("base64");
    return { url: `${base}/${encodeURIComponent(bucket)}`, fields: { key, policy, signature: this.#mac(policy) } };
  }

  /** Milliseconds since the epoch, by the clock of the registry that signed last. */
  now(): number {
    return this.#clock?.now() ?? Date.now();
  }

  /** `undefined` if the request is what was signed, and in time. */
  refusal(request: Signed): Refusal | undefined {
    if (!this.#matches(request.query.get("signature"), this.#signature(request))) return "signature";
    return this.now() < Number(request.query.get("expires")) ? undefined : "expired";
  }

  readPolicy(policy: string, signature: string): FormPolicy | Refusal {
    if (!this.#matches(signature, this.#mac(policy))) return "signature";
    const content = JSON.parse(Buffer.from(policy, "base64").toString()) as FormPolicy;
    return this.now() < content.expires ? content : "expired";
  }

  /** Links end; a later one opens another endpoint. */
  close(): Promise<void> {
    return this.#server.close();
  }

  #open(clock: Clock): Promise<string> {
    this.#clock = clock;
    return this.#server.open();
  }

  #signature({ method, bucket, key, query, header }: Signed): string {
    const rest = [...query].filter(([name]) => name !== "signature").sort();
    const names = query.get("signed-headers")?.split(",") ?? [];
    return this.#mac(JSON.stringify([method, bucket, key, rest, names.map((name) => [name, header(name) ?? null])]));
  }

  #mac(text: string): string {
    return createHmac("sha256", this.#secret).update(text).digest("hex");
  }

  #matches(given: string | null, expected: string): boolean {
    const [a, b] = [Buffer.from(given ?? ""), Buffer.from(expected)];
    return a.byteLength === b.byteLength && timingSafeEqual(a, b);
  }
}
