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
    for (const [key, each] of Object.entries(value as Readonly<Record<string, DocumentValue>>)) {
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
    decodeFields(document as Record<string, unknown>, "");
    return document as StoredDocument;
  }
}

function decodeFields(fields: Record<string, unknown>, path: string): void {
  for (const key of Object.keys(fields)) {
    const value = fields[key];
    if (typeof value === "object" ? value !== null : value === undefined)
      fields[key] = decodeValue(value, path === "" ? key : `${path}.${key}`);
  }
}

function decodeValue(value: unknown, path: string): unknown {
  if (value === undefined) throw new StoredValueError(path, "Undefined");
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw new StoredValueError(path, "a date outside of what JavaScript can hold");
    return value;
  }
  if (Array.isArray(value)) {
    decodeFields(value as unknown as Record<string, unknown>, path);
    return value;
  }
  const type = (value as { _bsontype?: unknown })._bsontype;
  if (typeof type !== "string" || Object.getPrototypeOf(value) === Object.prototype) {
    if (Object.getPrototypeOf(value) !== Object.prototype) throw new StoredValueError(path, value?.constructor.name ?? "an object");
    decodeFields(value as Record<string, unknown>, path);
    return value;
  }
  if (type === "Long") return (value as { toBigInt(): bigint }).toBigInt();
  if (type === "Binary") {
    const binary = value as { sub_type: number; value(): Uint8Array; toHexString?(): string };
    if (binary.sub_type === 4 && binary.toHexString !== undefined) return new Uuid(binary.toHexString());
    // A copy: the npm driver's is a view of the whole answer.
    if (binary.sub_type === 0) return new Uint8Array(binary.value());
    throw new StoredValueError(path, `Binary of subtype ${binary.sub_type}`);
  }
  throw new StoredValueError(path, type);
}
