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
import type { S3Api, S3Client, S3Signer } from "./client.ts";
import { statusOf } from "./errors.ts";

const gibibyte = 1024 ** 3;
const octets = "application/octet-stream";

export class S3StorageDriver implements ObjectStorageDriver {
  readonly capabilities: ObjectStorageCapabilities;
  readonly limits: ObjectStorageLimits = { minPartBytes: 5 * 1024 ** 2, maxPutBytes: 5 * gibibyte, maxCopyBytes: 5 * gibibyte };
  readonly #api: S3Api;
  readonly #parts: S3Api;
  readonly #signer: S3Signer;

  constructor({ api, parts, signer, options }: S3Client) {
    const { conditionalWrites, postForms, partCopy, tenants } = options;
    this.capabilities = {
      conditionalPut: conditionalWrites,
      conditionalComplete: conditionalWrites,
      links: true,
      postForm: postForms,
      partCopy,
      tenants,
    };
    this.#api = api;
    this.#parts = parts;
    this.#signer = signer;
  }

  async createBucket(bucket: string, { signal }: CallOptions): Promise<void> {
    await this.#api.createBucket({ Bucket: bucket }, until(signal));
  }

  async bucketExists(bucket: string, { signal }: CallOptions): Promise<boolean> {
    const answer = await unlessMissing(this.#api.headBucket({ Bucket: bucket }, until(signal)));
    return answer !== undefined;
  }

  async listBuckets({ signal }: CallOptions): Promise<readonly BucketInfo[]> {
    const found: BucketInfo[] = [];
    for (let next: string | undefined, first = true; first || next !== undefined; first = false) {
      const page = await this.#api.listBuckets({ ContinuationToken: next }, until(signal));
      for (const { Name, CreationDate } of page.Buckets ?? []) found.push({ bucket: Name ?? "", createdAt: CreationDate });
      next = page.ContinuationToken;
    }
    return found;
  }

  async deleteBucket(bucket: string, { signal }: CallOptions): Promise<void> {
    await this.#api.deleteBucket({ Bucket: bucket }, until(signal));
  }

  async put(
    object: ObjectRef,
    body: Uint8Array,
    { signal, ifAbsent, ...facts }: CallOptions & ContentFacts & { readonly ifAbsent?: boolean },
  ): Promise<{ etag: string }> {
    const input = { ...inputOf(object), ...contentOf(facts), ...conditionOf(ifAbsent), Body: body, ContentLength: body.byteLength };
    const { ETag } = await this.#api.putObject(input, until(signal));
    return { etag: unquoted(ETag) };
  }

  async get(
    object: ObjectRef,
    { signal, range }: CallOptions & { readonly range?: ByteRange | undefined },
  ): Promise<StoredFacts & { readonly body: Readable }> {
    const input = { ...inputOf(object), ...(range !== undefined && { Range: `bytes=${range.start}-${range.end ?? ""}` }) };
    const answer = await whileOpening(signal, (opening) => this.#api.getObject(input, until(opening)));
    return { ...factsOf(answer), body: answer.Body as Readable };
  }

  async stat(object: ObjectRef, { signal }: CallOptions): Promise<StoredFacts | undefined> {
    const answer = await unlessMissing(this.#api.headObject(inputOf(object), until(signal)));
    return answer && factsOf(answer);
  }

  async delete(object: ObjectRef, { signal }: CallOptions): Promise<void> {
    await this.#api.deleteObject(inputOf(object), until(signal));
  }

  async deleteMany(
    bucket: string,
    keys: readonly string[],
    { signal }: CallOptions,
  ): Promise<readonly { readonly key: string; readonly error: unknown }[]> {
    const wanted = { Objects: keys.map((key) => ({ Key: key })), Quiet: true };
    const { Errors = [] } = await this.#api.deleteObjects({ Bucket: bucket, Delete: wanted }, until(signal));
    return Errors.filter(({ Code }) => Code !== "NoSuchKey").map(({ Key = "", Code, Message }) => ({
      key: Key,
      error: Object.assign(new Error(Message ?? Code), { name: Code }),
    }));
  }

  async listPage(
    bucket: string,
    { signal, prefix, next, limit }: CallOptions & { readonly prefix: string; readonly next?: string | undefined; readonly limit: number },
  ): Promise<Page<ListedObject>> {
    const input = { Bucket: bucket, Prefix: prefix, MaxKeys: limit, ContinuationToken: next };
    const page = await this.#api.listObjectsV2(input, until(signal));
    const items = (page.Contents ?? []).map(({ Key = "", Size = 0, ETag, LastModified = new Date(0) }) => ({
      key: Key,
      sizeBytes: Size,
      etag: unquoted(ETag),
      modifiedAt: LastModified,
    }));
    return { items, next: page.IsTruncated ? page.NextContinuationToken : undefined };
  }

  async copy(from: ObjectRef, to: ObjectRef, { signal }: CallOptions): Promise<{ etag: string }> {
    const { CopyObjectResult } = await this.#api.copyObject({ ...inputOf(to), CopySource: sourceOf(from) }, until(signal));
    return { etag: unquoted(CopyObjectResult?.ETag) };
  }

  async startUpload(object: ObjectRef, { signal, ...facts }: CallOptions & ContentFacts): Promise<string> {
    const input = { ...inputOf(object), ...contentOf(facts) };
    const { UploadId } = await this.#parts.createMultipartUpload(input, until(signal));
    if (UploadId === undefined) throw new Error("the server opened an upload and gave it no id");
    return UploadId;
  }

  async putPart(upload: UploadRef, partNumber: number, body: Uint8Array, { signal }: CallOptions): Promise<{ etag: string }> {
    const input = { ...uploadOf(upload), PartNumber: partNumber, Body: body, ContentLength: body.byteLength };
    const { ETag } = await this.#parts.uploadPart(input, until(signal));
    return { etag: unquoted(ETag) };
  }

  async copyPart(
    upload: UploadRef,
    partNumber: number,
    source: ObjectRef & { readonly range: Required<ByteRange>; readonly sourceEtag: string },
    { signal }: CallOptions,
  ): Promise<{ etag: string }> {
    const { start, end } = source.range;
    const input = {
      ...uploadOf(upload),
      PartNumber: partNumber,
      CopySource: sourceOf(source),
      CopySourceIfMatch: `"${source.sourceEtag}"`,
      CopySourceRange: `bytes=${start}-${end}`,
    };
    try {
      const { CopyPartResult } = await this.#parts.uploadPartCopy(input, until(signal));
      return { etag: unquoted(CopyPartResult?.ETag) };
    } catch (cause) {
      if (statusOf(cause) !== 412) throw cause;
      throw new HexkitError("ERR_HEXKIT_OBJECT_CHANGED", `${source.bucket}/${source.key} was changed while it was copied`, { cause });
    }
  }

  async listPartsPage(
    upload: UploadRef,
    { signal, after, limit }: CallOptions & { readonly after: number; readonly limit: number },
  ): Promise<Page<ListedPart, number>> {
    const input = { ...uploadOf(upload), PartNumberMarker: String(after), MaxParts: limit };
    const page = await this.#api.listParts(input, until(signal));
    const items = (page.Parts ?? []).map(({ PartNumber = 0, Size = 0, ETag, LastModified = new Date(0) }) => ({
      partNumber: PartNumber,
      sizeBytes: Size,
      etag: unquoted(ETag),
      modifiedAt: LastModified,
    }));
    return { items, next: page.IsTruncated ? Number(page.NextPartNumberMarker) : undefined };
  }

  async completeUpload(
    upload: UploadRef,
    parts: readonly { readonly partNumber: number; readonly etag: string }[],
    { signal, ifAbsent }: CallOptions & { readonly ifAbsent?: boolean },
  ): Promise<{ etag: string }> {
    const listed = parts.map(({ partNumber, etag }) => ({ PartNumber: partNumber, ETag: `"${etag}"` }));
    const input = { ...uploadOf(upload), ...conditionOf(ifAbsent), MultipartUpload: { Parts: listed } };
    const { ETag } = await this.#parts.completeMultipartUpload(input, until(signal));
    return { etag: unquoted(ETag) };
  }

  async abortUpload(upload: UploadRef, { signal }: CallOptions): Promise<void> {
    await this.#api.abortMultipartUpload(uploadOf(upload), until(signal));
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
    const markers = next === undefined ? {} : (JSON.parse(next) as { KeyMarker?: string; UploadIdMarker?: string });
    const input = { Bucket: bucket, Prefix: key, MaxUploads: limit, ...markers };
    const page = await this.#api.listMultipartUploads(input, until(signal));
    const items = (page.Uploads ?? []).map(({ Key = "", UploadId = "", Initiated = new Date(0) }) => ({
      key: Key,
      uploadId: UploadId,
      startedAt: Initiated,
    }));
    const after = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    return { items, next: page.IsTruncated ? JSON.stringify(after) : undefined };
  }

  presign(link: LinkRequest): Promise<string> {
    const expiresIn = link.expiresInMs / 1000;
    switch (link.kind) {
      case "download": {
        const answer = { ResponseContentDisposition: link.contentDisposition, ResponseContentType: link.contentType };
        return this.#signer.url("GetObject", { ...inputOf(link), ...answer }, expiresIn);
      }
      case "put":
        return this.#signer.url("PutObject", { ...inputOf(link), ContentType: link.contentType }, expiresIn);
      case "part": {
        const part = { UploadId: link.uploadId, PartNumber: link.partNumber, ContentMD5: link.md5 };
        return this.#signer.url("UploadPart", { ...inputOf(link), ...part }, expiresIn);
      }
    }
  }

  presignPost({ maxBytes, expiresInMs, ...object }: FormRequest): Promise<{ url: string; fields: Record<string, string> }> {
    const limit: ["content-length-range", number, number][] = maxBytes === undefined ? [] : [["content-length-range", 0, maxBytes]];
    return this.#signer.form(inputOf(object), limit, expiresInMs / 1000);
  }
}

function until(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}

function inputOf({ bucket, key }: ObjectRef): { Bucket: string; Key: string } {
  return { Bucket: bucket, Key: key };
}

function uploadOf({ uploadId, ...object }: UploadRef): { Bucket: string; Key: string; UploadId: string } {
  return { ...inputOf(object), UploadId: uploadId };
}

function contentOf({ contentType = octets, metadata = {} }: ContentFacts): { ContentType: string; Metadata: Record<string, string> } {
  return { ContentType: contentType, Metadata: { ...metadata } };
}

function conditionOf(ifAbsent: boolean | undefined): { IfNoneMatch?: string } {
  return ifAbsent ? { IfNoneMatch: "*" } : {};
}

/** The wire wants it encoded, slashes excepted; the SDK leaves that to us. */
function sourceOf({ bucket, key }: ObjectRef): string {
  return `${encodeURIComponent(bucket)}/${key.split("/").map(encodeURIComponent).join("/")}`;
}

function unquoted(etag = ""): string {
  return etag.replace(/^"|"$/g, "");
}

function factsOf(answer: {
  ContentLength?: number | undefined;
  ContentRange?: string | undefined;
  ContentType?: string | undefined;
  ETag?: string | undefined;
  LastModified?: Date | undefined;
  Metadata?: Record<string, string> | undefined;
}): StoredFacts {
  const whole = /\/(\d+)$/.exec(answer.ContentRange ?? "")?.[1];
  return {
    sizeBytes: Number(whole ?? answer.ContentLength ?? 0),
    etag: unquoted(answer.ETag),
    contentType: answer.ContentType ?? octets,
    metadata: answer.Metadata ?? {},
    modifiedAt: answer.LastModified ?? new Date(0),
  };
}

async function unlessMissing<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}
