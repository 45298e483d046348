import { type DocumentId, type DocumentValue, isUuid, type StoredDocument, Uuid } from "../../core/index.ts";
import type { Bson, RawDocument } from "./client.ts";
import { StoredValueError } from "./errors.ts";

/** Between documents as core has them and as the npm driver has them. */
export class DocumentCodec {
  readonly #bson: Bson;

  constructor(bson: Bson) {
    this.#bson = bson;
  }

  id(id: DocumentId): RawDocument["_id"] {
    return this.value(id) as RawDocument["_id"];
  }

  /** A copy. */
  encode(document: StoredDocument): RawDocument {
    return this.value(document) as RawDocument;
  }

  /** A copy. */
  value(value: DocumentValue): unknown {
    if (typeof value === "number") {
      // By itself the npm driver writes whole numbers that are longer than 32 bits as doubles.
      const isLong = (value > 0x7fff_ffff || value < -0x8000_0000) && Number.isSafeInteger(value);
      return isLong ? this.#bson.Long.fromNumber(value) : value;
    }
    if (typeof value !== "object" || value === null) return value;
    if (isUuid(value)) return new this.#bson.UUID(value.text);
    if (value instanceof Date) return new Date(value.getTime());
    if (value instanceof Uint8Array) return Buffer.from(value);
    if (Array.isArray(value)) return value.map((each: DocumentValue) => this.value(each));
    const copy: Record<string, unknown> = {};
    const fields = value as Readonly<Record<string, DocumentValue>>;
    for (const key of Object.keys(fields)) {
      const each = fields[key] as DocumentValue;
      if (key === "__proto__")
        Object.defineProperty(copy, key, { value: this.value(each), enumerable: true, configurable: true, writable: true });
      else copy[key] = this.value(each);
    }
    return copy;
  }

  /**
   * The document itself, its values replaced where core has other types: nobody else knows it.
   * @throws StoredValueError for a type that core has no word for.
   */
  decode(document: object): StoredDocument {
    decodeFields(document as Record<string, unknown>);
    return document as StoredDocument;
  }
}

function decodeFields(fields: Record<string, unknown>): void {
  for (const key of Object.keys(fields)) {
    const value = fields[key];
    if (typeof value === "object" ? value === null : value !== undefined) continue;
    try {
      const decoded = decodeValue(value);
      if (decoded !== value) fields[key] = decoded;
    } catch (error) {
      // The place is made up on the way out: most documents have no use for it.
      throw error instanceof StoredValueError ? error.inside(key) : error;
    }
  }
}

function decodeValue(value: unknown): unknown {
  if (value === undefined) throw new StoredValueError("Undefined");
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw new StoredValueError("a date outside of what JavaScript can hold");
    return value;
  }
  if (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype) {
    decodeFields(value as Record<string, unknown>);
    return value;
  }
  const type = (value as { _bsontype?: unknown })._bsontype;
  if (type === "Long") return (value as { toBigInt(): bigint }).toBigInt();
  if (type === "Binary") {
    const binary = value as { sub_type: number; buffer: Uint8Array; value(): Uint8Array };
    if (binary.sub_type === 4 && binary.buffer.length === 16) return new Uuid(hyphenated(binary.buffer));
    // A copy: the npm driver's is a view of the whole answer.
    if (binary.sub_type === 0) return new Uint8Array(binary.value());
    throw new StoredValueError(`Binary of subtype ${binary.sub_type}`);
  }
  throw new StoredValueError(typeof type === "string" ? type : (value?.constructor.name ?? "an object"));
}

/** In canonical form. The npm driver's own takes six times as long. */
function hyphenated({ buffer, byteOffset, byteLength }: Uint8Array): string {
  const hex = Buffer.from(buffer, byteOffset, byteLength).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
