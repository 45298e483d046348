import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import {
  type BucketInfo,
  type ByteRange,
  type CallOptions,
  type ContentFacts,
  type FormRequest,
  HexkitError,
  type LinkRequest,
  type ListedObject,
  type ListedPart,
  type ListedUpload,
  type ObjectRef,
  type ObjectStorageCapabilities,
  type ObjectStorageDriver,
  type ObjectStorageLimits,
  type Page,
  type StoredFacts,
  type UploadRef,
  whileOpening,
} from "../../core/index.ts";
import {
  contentHeaders,
  dateOf,
  errorOf,
  factsOf,
  listedObjects,
  listedParts,
  listedUploads,
  nextOf,
  readHeaders,
  readXml,
  unquoted,
} from "./answers.ts";
import { escaped, type MinioClient, type SignedForm } from "./client.ts";
import { type LinkParts, signLink } from "./sign.ts";
import { childrenOf, escapeXml, textOf } from "./xml.ts";

const gibibyte = 1024 ** 3;

export class MinioStorageDriver implements ObjectStorageDriver {
  readonly capabilities: ObjectStorageCapabilities;
  readonly limits: ObjectStorageLimits = { minPartBytes: 5 * 1024 ** 2, maxPutBytes: 5 * gibibyte, maxCopyBytes: 5 * gibibyte };
  readonly #client: MinioClient;

  constructor(client: MinioClient) {
    const { conditionalWrites, postForms, partCopy } = client.options;
    this.capabilities = {
      conditionalPut: conditionalWrites,
      conditionalComplete: conditionalWrites,
      links: true,
      postForm: postForms,
      partCopy,
      tenants: false,
    };
    this.#client = client;
  }

  async createBucket(bucket: string, { signal }: CallOptions): Promise<void> {
    const { region } = this.#client.options;
    const payload =
      region === "us-east-1"
        ? ""
        : `<CreateBucketConfiguration><LocationConstraint>${escapeXml(region)}</LocationConstraint></CreateBucketConfiguration>`;
    await readHeaders(await this.#client.send({ method: "PUT", bucket, payload, signal }));
  }

  async bucketExists(bucket: string, { signal }: CallOptions): Promise<boolean> {
    const answer = await unlessMissing(this.#client.send({ method: "HEAD", bucket, signal }));
    if (answer !== undefined) await readHeaders(answer);
    return answer !== undefined;
  }

  async listBuckets({ signal }: CallOptions): Promise<readonly BucketInfo[]> {
    const page = await readXml(await this.#client.send({ method: "GET", signal }));
    const buckets = childrenOf(page, "Buckets").flatMap((each) => childrenOf(each, "Bucket"));
    return buckets.map((each) => ({ bucket: textOf(each, "Name") ?? "", createdAt: dateOf(each, "CreationDate") }));
  }

  async deleteBucket(bucket: string, { signal }: CallOptions): Promise<void> {
    await readHeaders(await this.#client.send({ method: "DELETE", bucket, signal }));
  }

  async put(
    { bucket, key }: ObjectRef,
    payload: Uint8Array,
    { signal, ifAbsent, ...facts }: CallOptions & ContentFacts & { readonly ifAbsent?: boolean },
  ): Promise<{ etag: string }> {
    const headers = { ...contentHeaders(facts), ...conditionOf(ifAbsent) };
    const answer = await readHeaders(await this.#client.send({ method: "PUT", bucket, key, headers, payload, signal }));
    return { etag: unquoted(answer.etag) };
  }

  async get(
    { bucket, key }: ObjectRef,
    { signal, range }: CallOptions & { readonly range?: ByteRange | undefined },
  ): Promise<StoredFacts & { readonly body: Readable }> {
    const headers = { range: range && `bytes=${range.start}-${range.end ?? ""}` };
    const body = await whileOpening(signal, (opening) => this.#client.send({ method: "GET", bucket, key, headers, signal: opening }));
    return { ...factsOf(body.headers), body };
  }

  async stat({ bucket, key }: ObjectRef, { signal }: CallOptions): Promise<StoredFacts | undefined> {
    const answer = await unlessMissing(this.#client.send({ method: "HEAD", bucket, key, signal }));
    return answer && factsOf(await readHeaders(answer));
  }

  async delete({ bucket, key }: ObjectRef, { signal }: CallOptions): Promise<void> {
    await readHeaders(await this.#client.send({ method: "DELETE", bucket, key, signal }));
  }

  async deleteMany(
    bucket: string,
    keys: readonly string[],
    { signal }: CallOptions,
  ): Promise<readonly { readonly key: string; readonly error: unknown }[]> {
    const objects = keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`).join("");
    const payload = `<Delete><Quiet>true</Quiet>${objects}</Delete>`;
    const headers = { "content-md5": createHash("md5").update(payload).digest("base64") };
    const answer = await readXml(await this.#client.send({ method: "POST", bucket, query: { delete: "" }, headers, payload, signal }));
    return childrenOf(answer, "Error")
      .filter((each) => textOf(each, "Code") !== "NoSuchKey")
      .map((each) => ({ key: textOf(each, "Key") ?? "", error: errorOf(each, 0) }));
  }

  async listPage(
    bucket: string,
    { signal, prefix, next, limit }: CallOptions & { readonly prefix: string; readonly next?: string | undefined; readonly limit: number },
  ): Promise<Page<ListedObject>> {
    const query = { "continuation-token": next, "list-type": 2, "max-keys": limit, prefix };
    const page = await readXml(await this.#client.send({ method: "GET", bucket, query, signal }));
    return { items: listedObjects(page), next: nextOf(page, "NextContinuationToken") };
  }

  async copy(from: ObjectRef, { bucket, key }: ObjectRef, { signal }: CallOptions): Promise<{ etag: string }> {
    const headers = { "x-amz-copy-source": sourceOf(from) };
    const answer = await readXml(await this.#client.send({ method: "PUT", bucket, key, headers, signal }));
    return { etag: unquoted(textOf(answer, "ETag")) };
  }

  async startUpload({ bucket, key }: ObjectRef, { signal, ...facts }: CallOptions & ContentFacts): Promise<string> {
    const headers = contentHeaders(facts);
    const answer = await readXml(await this.#client.send({ method: "POST", bucket, key, query: { uploads: "" }, headers, signal }));
    const uploadId = textOf(answer, "UploadId");
    if (uploadId === undefined) throw new Error("the server opened an upload and gave it no id");
    return uploadId;
  }

  async putPart(
    { bucket, key, uploadId }: UploadRef,
    partNumber: number,
    payload: Uint8Array,
    { signal }: CallOptions,
  ): Promise<{ etag: string }> {
    const answer = await readHeaders(
      await this.#client.send({ method: "PUT", bucket, key, query: { partNumber, uploadId }, payload, signal }),
    );
    return { etag: unquoted(answer.etag) };
  }

  async copyPart(
    { bucket, key, uploadId }: UploadRef,
    partNumber: number,
    source: ObjectRef & { readonly range: Required<ByteRange>; readonly sourceEtag: string },
    { signal }: CallOptions,
  ): Promise<{ etag: string }> {
    const headers = {
      "x-amz-copy-source": sourceOf(source),
      "x-amz-copy-source-if-match": `"${source.sourceEtag}"`,
      "x-amz-copy-source-range": `bytes=${source.range.start}-${source.range.end}`,
    };
    try {
      const sent = await this.#client.send({ method: "PUT", bucket, key, query: { partNumber, uploadId }, headers, signal });
      return { etag: unquoted(textOf(await readXml(sent), "ETag")) };
    } catch (cause) {
      if (statusOf(cause) !== 412) throw cause;
      throw new HexkitError("ERR_HEXKIT_OBJECT_CHANGED", `${source.bucket}/${source.key} was changed while it was copied`, { cause });
    }
  }

  async listPartsPage(
    { bucket, key, uploadId }: UploadRef,
    { signal, after, limit }: CallOptions & { readonly after: number; readonly limit: number },
  ): Promise<Page<ListedPart, number>> {
    const query = { "max-parts": limit, "part-number-marker": after, uploadId };
    const page = await readXml(await this.#client.send({ method: "GET", bucket, key, query, signal }));
    const next = nextOf(page, "NextPartNumberMarker");
    return { items: listedParts(page), next: next === undefined ? undefined : Number(next) };
  }

  async completeUpload(
    { bucket, key, uploadId }: UploadRef,
    parts: readonly { readonly partNumber: number; readonly etag: string }[],
    { signal, ifAbsent }: CallOptions & { readonly ifAbsent?: boolean },
  ): Promise<{ etag: string }> {
    const listed = parts.map(
      ({ partNumber, etag }) => `<Part><PartNumber>${partNumber}</PartNumber><ETag>"${escapeXml(etag)}"</ETag></Part>`,
    );
    const payload = `<CompleteMultipartUpload>${listed.join("")}</CompleteMultipartUpload>`;
    const headers = { "content-type": "application/xml", ...conditionOf(ifAbsent) };
    const answer = await readXml(await this.#client.send({ method: "POST", bucket, key, query: { uploadId }, headers, payload, signal }));
    return { etag: unquoted(textOf(answer, "ETag")) };
  }

  async abortUpload({ bucket, key, uploadId }: UploadRef, { signal }: CallOptions): Promise<void> {
    await readHeaders(await this.#client.send({ method: "DELETE", bucket, key, query: { uploadId }, signal }));
  }

  async listUploadsPage(
    bucket: string,
    {
      signal,
      key,
      next,
      limit,
    }: CallOptions & { readonly key?: string | undefined; readonly next?: string | undefined; readonly limit: number },
  ): Promise<Page<ListedUpload>> {
    const markers = next === undefined ? {} : (JSON.parse(next) as Record<"key-marker" | "upload-id-marker", string>);
    const query = { uploads: "", "max-uploads": limit, prefix: key ?? "", ...markers };
    const page = await readXml(await this.#client.send({ method: "GET", bucket, query, signal }));
    const after = { "key-marker": nextOf(page, "NextKeyMarker"), "upload-id-marker": nextOf(page, "NextUploadIdMarker") };
    return { items: listedUploads(page), next: after["key-marker"] === undefined ? undefined : JSON.stringify(after) };
  }

  async presign(link: LinkRequest): Promise<string> {
    return signLink(this.#client.options, { ...link, ...partsOf(link), expiresInSeconds: link.expiresInMs / 1000 });
  }

  presignPost({ maxBytes, expiresInMs, ...object }: FormRequest): Promise<SignedForm> {
    return this.#client.form(object, new Date(Date.now() + expiresInMs), maxBytes);
  }
}

function partsOf(link: LinkRequest): Pick<LinkParts, "headers" | "method" | "query"> {
  switch (link.kind) {
    case "download": {
      const query = { "response-content-disposition": link.contentDisposition, "response-content-type": link.contentType };
      return { method: "GET", query, headers: {} };
    }
    case "put":
      return { method: "PUT", query: {}, headers: { "content-type": link.contentType } };
    case "part":
      return { method: "PUT", query: { partNumber: link.partNumber, uploadId: link.uploadId }, headers: { "content-md5": link.md5 } };
  }
}

function conditionOf(ifAbsent: boolean | undefined): Record<string, string> {
  return ifAbsent ? { "if-none-match": "*" } : {};
}

function sourceOf({ bucket, key }: ObjectRef): string {
  return `/${bucket}/${key.split("/").map(escaped).join("/")}`;
}

function statusOf(error: unknown): unknown {
  return (error as { status?: unknown } | null)?.status;
}

async function unlessMissing<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}
