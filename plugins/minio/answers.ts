import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { ContentFacts, ListedObject, ListedPart, ListedUpload, StoredFacts } from "../../core/index.ts";
import type { AnswerError } from "./errors.ts";
import { childrenOf, parseXml, textOf, type XmlElement } from "./xml.ts";

const octets = "application/octet-stream";
const metadataPrefix = "x-amz-meta-";

/** Reads an answer in XML. Some operations report a failure in it, though its status is 200. */
export async function readXml(response: IncomingMessage): Promise<XmlElement> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const element = parseXml(Buffer.concat(chunks).toString("utf8"));
  if (element.name === "Error") throw errorOf(element, response.statusCode ?? 0);
  return element;
}

/** Reads an answer that says nothing beyond its headers. */
export async function readHeaders(response: IncomingMessage): Promise<IncomingHttpHeaders> {
  for await (const _ of response);
  return response.headers;
}

/** An error as the client makes them. */
export function errorOf(element: XmlElement, status: number): AnswerError {
  const code = textOf(element, "Code");
  const message = textOf(element, "Message") ?? `the server answered with ${code ?? "an error"}`;
  return Object.assign(new Error(message), { name: "S3Error", status, ...(code !== undefined && { code }) });
}

export function contentHeaders({ contentType = octets, metadata = {} }: ContentFacts): Record<string, string> {
  const named = Object.entries(metadata).map(([name, value]) => [metadataPrefix + name, value]);
  return { "content-type": contentType, ...Object.fromEntries(named) };
}

export function unquoted(etag = ""): string {
  return etag.replace(/^"|"$/g, "");
}

export function factsOf(headers: IncomingHttpHeaders): StoredFacts {
  const metadata: Record<string, string> = {};
  for (const name in headers) {
    if (name.startsWith(metadataPrefix)) metadata[name.slice(metadataPrefix.length)] = String(headers[name]);
  }
  const range = headers["content-range"];
  return {
    sizeBytes: Number(range === undefined ? (headers["content-length"] ?? 0) : range.slice(range.indexOf("/") + 1)),
    etag: unquoted(headers.etag),
    contentType: headers["content-type"] ?? octets,
    metadata,
    modifiedAt: new Date(headers["last-modified"] ?? 0),
  };
}

export function listedObjects(page: XmlElement): ListedObject[] {
  return childrenOf(page, "Contents").map((each) => ({
    key: textOf(each, "Key") ?? "",
    sizeBytes: Number(textOf(each, "Size")),
    etag: unquoted(textOf(each, "ETag")),
    modifiedAt: dateOf(each, "LastModified"),
  }));
}

export function listedParts(page: XmlElement): ListedPart[] {
  return childrenOf(page, "Part").map((each) => ({
    partNumber: Number(textOf(each, "PartNumber")),
    sizeBytes: Number(textOf(each, "Size")),
    etag: unquoted(textOf(each, "ETag")),
    modifiedAt: dateOf(each, "LastModified"),
  }));
}

export function listedUploads(page: XmlElement): ListedUpload[] {
  return childrenOf(page, "Upload").map((each) => ({
    key: textOf(each, "Key") ?? "",
    uploadId: textOf(each, "UploadId") ?? "",
    startedAt: dateOf(each, "Initiated"),
  }));
}

/** What has to follow, if the page is not the last one. */
export function nextOf(page: XmlElement, name: string): string | undefined {
  return textOf(page, "IsTruncated") === "true" ? textOf(page, name) : undefined;
}

export function dateOf(element: XmlElement, name: string): Date {
  return new Date(textOf(element, name) ?? 0);
}
