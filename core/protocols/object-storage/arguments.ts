import type { ErrorCode, HexkitError } from "../../errors.ts";
import type { ByteRange, ObjectMetadata, ObjectRef, UploadRef } from "./object-storage.ts";
import { maxObjectBytes, maxPartCount } from "./part-size.ts";

export type Refuse = (code: ErrorCode, message: string, cause?: unknown) => HexkitError;

/** What names may look like, besides the rules for all. */
export interface NameRules {
  readonly tenants: boolean;
  readonly narrowKeys: boolean;
}

const maxKeyBytes = 1024;
const maxMetadataBytes = 2048;
const dayMs = 86_400_000;
const bucketName = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;
const tenantName = /^[A-Za-z0-9_]{1,191}$/;
const narrowKey = /^[A-Za-z0-9_][A-Za-z0-9_.-]{1,253}[A-Za-z0-9_]$/;
// Lone surrogates and what XML, in which listings are written, cannot hold.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const unwritable = /[\u0000-\u001f\u007f-\u009f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const metadataName = /^[a-z0-9][a-z0-9._-]*$/;
const printable = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const md5Text = /^[A-Za-z0-9+/]{22}==$/;

const quoted = (value: unknown): string => (typeof value === "string" ? JSON.stringify(value) : value === null ? "null" : typeof value);

/** `"reports/2026.csv"`: how messages name an object. */
export function nameOf({ bucket, key }: ObjectRef): string {
  return JSON.stringify(`${bucket}/${key}`);
}

/** Checks what callers give, before anything is sent. Each method returns normally or throws the error that `refuse` makes. */
export class Arguments {
  readonly #rules: NameRules;
  readonly #refuse: Refuse;

  constructor(rules: NameRules, refuse: Refuse) {
    this.#rules = rules;
    this.#refuse = refuse;
  }

  bucket(operation: string, bucket: string): void {
    const colon = typeof bucket === "string" && this.#rules.tenants ? bucket.indexOf(":") : -1;
    const fits =
      typeof bucket === "string" && (colon < 0 || tenantName.test(bucket.slice(0, colon))) && bucketName.test(bucket.slice(colon + 1));
    if (fits) return;
    const rule = "3 to 63 of a-z, 0-9 and -, with a letter or digit at both ends";
    const tenants = this.#rules.tenants ? ", with or without `tenant:` before it (1 to 191 letters, digits and _)" : "";
    throw this.#refuse("ERR_HEXKIT_BUCKET_NAME_INVALID", `${operation}: ${quoted(bucket)} is no bucket name: ${rule}${tenants}`);
  }

  key(operation: string, key: string): void {
    const fault = this.#keyFault(key);
    if (fault !== undefined) throw this.#refuse("ERR_HEXKIT_OBJECT_KEY_INVALID", `${operation}: ${quoted(key)} is no object key: ${fault}`);
  }

  object(operation: string, { bucket, key }: ObjectRef): void {
    this.bucket(operation, bucket);
    this.key(operation, key);
  }

  upload(operation: string, upload: UploadRef): void {
    this.object(operation, upload ?? {});
    const id: unknown = upload.uploadId;
    if (typeof id !== "string" || id === "")
      throw this.invalid(operation, `uploadId must be the one that \`start\` gave, not ${quoted(id)}`);
  }

  prefix(operation: string, prefix: string): void {
    if (typeof prefix !== "string" || Buffer.byteLength(prefix) > maxKeyBytes || unwritable.test(prefix)) {
      throw this.invalid(operation, `${quoted(prefix)} is no prefix: up to ${maxKeyBytes} bytes without control characters`);
    }
  }

  contentType(operation: string, contentType: string | undefined): void {
    if (contentType === undefined) return;
    if (typeof contentType !== "string" || !printable.test(contentType)) {
      throw this.invalid(operation, `contentType must be printable ASCII, such as text/plain, not ${quoted(contentType)}`);
    }
  }

  metadata(operation: string, metadata: ObjectMetadata | undefined): void {
    if (metadata === undefined) return;
    if (Object.prototype.toString.call(metadata) !== "[object Object]")
      throw this.invalid(operation, "metadata must be an object of strings");
    let bytes = 0;
    for (const [name, value] of Object.entries(metadata)) {
      if (!metadataName.test(name)) throw this.invalid(operation, `metadata name ${quoted(name)}: use a-z, 0-9, -, _ and ., in lower case`);
      if (typeof value !== "string" || !printable.test(value)) {
        throw this.invalid(
          operation,
          `metadata ${quoted(name)} must be printable ASCII, not empty, without spaces at its ends; encode other text`,
        );
      }
      bytes += name.length + value.length;
    }
    if (bytes > maxMetadataBytes)
      throw this.invalid(operation, `metadata has ${bytes} bytes; names and values may have ${maxMetadataBytes} in all`);
  }

  /** A size that something may have. */
  size(operation: string, name: string, sizeBytes: number | undefined, smallest = 0): void {
    if (sizeBytes === undefined) return;
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < smallest) {
      throw this.invalid(operation, `${name} must be a whole number of bytes from ${smallest}, not ${String(sizeBytes)}`);
    }
    if (sizeBytes > maxObjectBytes) throw this.tooLarge(operation, `${name} is ${sizeBytes}`);
  }

  count(operation: string, name: string, count: number | undefined, largest = Number.MAX_SAFE_INTEGER): void {
    if (count === undefined || (Number.isSafeInteger(count) && count >= 1 && count <= largest)) return;
    const bounds = largest === Number.MAX_SAFE_INTEGER ? "from 1" : `from 1 to ${largest}`;
    throw this.invalid(operation, `${name} must be a whole number ${bounds}, not ${String(count)}`);
  }

  partNumber(operation: string, partNumber: number): void {
    this.count(operation, "partNumber", partNumber ?? Number.NaN, maxPartCount);
  }

  range(operation: string, range: ByteRange | undefined): void {
    if (range === undefined) return;
    const { start, end = start } = range ?? {};
    if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end >= start) return;
    throw this.invalid(operation, "range is { start, end? } with whole numbers from 0, and end not before start");
  }

  /** The time for which a link is good, in whole seconds. */
  expiry(operation: string, expiresInMs: number): number {
    if (Number.isFinite(expiresInMs) && expiresInMs >= 1000 && expiresInMs <= 7 * dayMs) return Math.floor(expiresInMs / 1000) * 1000;
    throw this.invalid(operation, `expiresInMs must be from 1,000 (1 s) to 604,800,000 (7 days), not ${String(expiresInMs)}`);
  }

  md5(operation: string, md5: string | undefined): void {
    if (md5 !== undefined && (typeof md5 !== "string" || !md5Text.test(md5)))
      throw this.invalid(operation, "md5 must be an MD5 in base64, 24 characters");
  }

  age(operation: string, ageMs: number): void {
    if (!Number.isFinite(ageMs) || ageMs < 0)
      throw this.invalid(operation, `ageMs must be a number of milliseconds from 0, not ${String(ageMs)}`);
  }

  /** `attachment` with a name for old browsers and one for all others. */
  disposition(operation: string, fileName: string | undefined): string | undefined {
    if (fileName === undefined) return undefined;
    if (typeof fileName !== "string" || fileName === "" || unwritable.test(fileName) || Buffer.byteLength(fileName) > maxKeyBytes) {
      throw this.invalid(operation, `fileName ${quoted(fileName)}: 1 to ${maxKeyBytes} bytes without control characters`);
    }
    const plain = fileName.replace(/[^\x20-\x7e]|["\\%]/gu, "_");
    const encoded = encodeURIComponent(fileName).replace(/['()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
    return `attachment; filename="${plain}"${plain === fileName ? "" : `; filename*=UTF-8''${encoded}`}`;
  }

  invalid(operation: string, fact: string, cause?: unknown): HexkitError {
    return this.#refuse("ERR_HEXKIT_INVALID_ARGUMENT", `${operation}: ${fact}`, cause);
  }

  tooLarge(operation: string, fact: string): HexkitError {
    return this.#refuse("ERR_HEXKIT_OBJECT_TOO_LARGE", `${operation}: ${fact}; an object has at most 5 TiB (${maxObjectBytes} bytes)`);
  }

  #keyFault(key: unknown): string | undefined {
    if (typeof key !== "string") return "it must be a string";
    if (this.#rules.narrowKeys && !narrowKey.test(key))
      return "3 to 255 letters, digits, -, _ and ., no - or . at either end (narrowKeys is on)";
    const bytes = Buffer.byteLength(key);
    if (bytes === 0 || bytes > maxKeyBytes) return `it has ${bytes} bytes of UTF-8; 1 to ${maxKeyBytes} are possible`;
    if (unwritable.test(key)) return "it has a control character or half a surrogate pair";
    if (key.startsWith("/") || key.includes("//")) return "it must not begin with / or have two in a row";
    if (key.split("/").some((segment) => segment === "." || segment === "..")) return "it has a segment . or ..";
    return undefined;
  }
}
