import { createHash, createHmac } from "node:crypto";
import { escaped } from "./client.ts";
import type { MinioOptions } from "./options.ts";

/** What a link allows. */
export interface LinkParts {
  readonly method: "GET" | "PUT";
  readonly bucket: string;
  readonly key: string;
  readonly query: Readonly<Record<string, string | number | undefined>>;
  /** Headers that the client must send as they are, names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly expiresInSeconds: number;
}

/**
 * A signed URL (AWS Signature Version 4, in the query). minio 8.0.7 signs no header but the host, so that anyone could
 * send another content type or MD5 than the link was made for.
 */
export function signLink(options: MinioOptions, link: LinkParts, now = new Date()): string {
  const { accessKeyId, secretAccessKey, sessionToken, region, pathStyle } = options;
  const address = new URL(options.publicEndpoint ?? options.endpoint);
  const key = link.key.split("/").map(escaped).join("/");
  const host = pathStyle ? address.host : `${link.bucket}.${address.host}`;
  const path = pathStyle ? `/${link.bucket}/${key}` : `/${key}`;
  const time = now.toISOString().replace(/[-:]|\.\d+/g, "");
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`;
  const headers = entriesOf({ ...link.headers, host });
  const names = headers.map(([name]) => name).join(";");
  const query = entriesOf({
    ...link.query,
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": `${accessKeyId}/${scope}`,
    "X-Amz-Date": time,
    "X-Amz-Expires": link.expiresInSeconds,
    "X-Amz-SignedHeaders": names,
    "X-Amz-Security-Token": sessionToken,
  })
    .map(([name, value]) => `${escaped(name)}=${escaped(value)}`)
    .join("&");
  const canonical = [link.method, path, query, ...headers.map(([name, value]) => `${name}:${value.trim()}`), "", names, "UNSIGNED-PAYLOAD"];
  const hash = createHash("sha256").update(canonical.join("\n")).digest("hex");
  const signingKey = scope.split("/").reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${secretAccessKey}`);
  const signature = hmac(signingKey, ["AWS4-HMAC-SHA256", time, scope, hash].join("\n")).toString("hex");
  return `${address.protocol}//${host}${path}?${query}&X-Amz-Signature=${signature}`;
}

function hmac(secret: string | Buffer, text: string): Buffer {
  return createHmac("sha256", secret).update(text).digest();
}

/** In the order that the signature wants: by the bytes of their names. */
function entriesOf(values: Readonly<Record<string, string | number | undefined>>): [string, string][] {
  return Object.entries(values)
    .flatMap<[string, string]>(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))
    .sort(([one], [other]) => (one < other ? -1 : 1));
}
