import type { DocumentValue } from "./driver.ts";
import type { Shape } from "./shape.ts";
import { isUuid, Uuid } from "./uuid-value.ts";

/** Why a value cannot be stored or read: place and fact. Never holds the value. */
export class Unstorable extends Error {}

const maxDepth = 90;
const int64 = 2n ** 63n;
const loneSurrogate = /\p{Surrogate}/u;

/** A DTO's value as it is stored; a copy. `shape` is what its schema says of it. */
export function encodeValue(value: unknown, shape: Shape | undefined, path: string, depth = 0): DocumentValue {
  const refuse = (fact: string): Unstorable => new Unstorable(`${path || "(root)"}: ${fact}`);
  if (depth > maxDepth) throw refuse(`nested deeper than ${maxDepth}, or circular`);
  const native = shape?.native;
  switch (typeof value) {
    case "string":
      return encodeText(value, shape, refuse);
    case "number":
      if (native === "bigint") throw refuse("must be a bigint");
      return value;
    case "boolean":
      return value;
    case "bigint":
      if (native !== "bigint") throw refuse('is a bigint: declare it in the spec, `native: { …: "bigint" }`');
      if (value < -int64 || value >= int64) throw refuse("does not fit into 64 bits");
      return value;
    case "object":
      break;
    default:
      throw refuse(`${typeof value} cannot be stored`);
  }
  if (value === null) return null;
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw refuse("is an invalid date");
    return new Date(value.getTime());
  }
  if (value instanceof Uint8Array) return Uint8Array.prototype.slice.call(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  if (Array.isArray(value)) {
    const element = shape?.element;
    // Not map, which passes over holes.
    return Array.from(value, (each, index) => encodeValue(each, element, `${path}.${index}`, depth + 1));
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw refuse(`${value.constructor?.name ?? "such an object"} cannot be stored; use plain objects`);
  }
  const encoded: Record<string, DocumentValue> = {};
  for (const [key, each] of Object.entries(value)) {
    if (each === undefined) continue;
    const at = path === "" ? key : `${path}.${key}`;
    if (key.startsWith("$") || key.includes("\0")) throw new Unstorable(`${at}: a name cannot begin with $ or hold a NUL`);
    setOwn(encoded, key, encodeValue(each, shape?.property(key), at, depth + 1));
  }
  return encoded;
}

function encodeText(value: string, shape: Shape | undefined, refuse: (fact: string) => Unstorable): DocumentValue {
  const native = shape?.native;
  if (native === "uuid") {
    const uuid = Uuid.from(value);
    if (uuid === undefined) throw refuse("is not a UUID");
    return uuid;
  }
  if (native === "date") {
    const at = new Date(value);
    if (!isTextual(shape) || Number.isNaN(at.getTime())) throw refuse(isTextual(shape) ? "is not a date in ISO 8601" : "must be a Date");
    return at;
  }
  if (native === "bigint" || native === "bytes") throw refuse(native === "bytes" ? "must be a Uint8Array" : "must be a bigint");
  if (loneSurrogate.test(value)) throw refuse("holds half a surrogate pair");
  return value;
}

/** A stored value as the DTO has it; a copy. UUIDs become text wherever they are. */
export function decodeValue(value: DocumentValue, shape: Shape | undefined, path: string): unknown {
  if (typeof value === "number" && shape?.native === "bigint" && Number.isInteger(value)) return BigInt(value);
  if (typeof value === "bigint") {
    if (shape?.native === "bigint") return value;
    throw new Unstorable(`${path}: holds an integer that no number can hold; declare it in the spec, \`native: { …: "bigint" }\``);
  }
  if (typeof value !== "object" || value === null) return value;
  if (isUuid(value)) return value.text;
  if (value instanceof Date) return shape?.native === "date" && isTextual(shape) ? value.toISOString() : value;
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) {
    const element = shape?.element;
    return value.map((each: DocumentValue, index) => decodeValue(each, element, `${path}.${index}`));
  }
  const decoded: Record<string, unknown> = {};
  for (const [key, each] of Object.entries(value as Readonly<Record<string, DocumentValue>>)) {
    setOwn(decoded, key, decodeValue(each, shape?.property(key), path === "" ? key : `${path}.${key}`));
  }
  return decoded;
}

/** As `decodeValue`, of a value that nobody else holds: its objects and lists are changed in place, and places are only made up when they are told. */
export function decodeOwned(value: DocumentValue, shape: Shape | undefined, path: string): unknown {
  try {
    return decodeInPlace(value, shape, false);
  } catch (error) {
    if (error instanceof Unstorable) decodeValue(value, shape, path);
    throw error;
  }
}

/** As `decodeOwned`, but passes over what the schema calls plain: what is not will not fit the schema, and must then be decoded anew. */
export function decodeUnlessPlain(value: DocumentValue, shape: Shape | undefined): unknown {
  return decodeInPlace(value, shape, true);
}

function decodeInPlace(value: DocumentValue, shape: Shape | undefined, passesPlain: boolean): unknown {
  if (passesPlain && shape?.isPlain) return value;
  const isNested =
    typeof value === "object" && value !== null && !isUuid(value) && !(value instanceof Date) && !(value instanceof Uint8Array);
  if (!isNested) return decodeValue(value, shape, "");
  if (Array.isArray(value)) {
    const list = value as unknown[];
    const element = shape?.element;
    for (let index = 0; index < list.length; index += 1) list[index] = decodeInPlace(list[index] as DocumentValue, element, passesPlain);
    return list;
  }
  const fields = value as Record<string, unknown>;
  for (const key of Object.keys(fields)) {
    const before = fields[key];
    const after = decodeInPlace(before as DocumentValue, shape?.property(key), passesPlain);
    // Its own property, also if it is named `__proto__`: a client makes it so.
    if (after !== before) fields[key] = after;
  }
  return fields;
}

/** Whether the DTO has text where a date is stored. */
function isTextual(shape: Shape | undefined): boolean {
  return shape?.types?.has("string") ?? false;
}

/** Assignment, also of a key named `__proto__`. */
export function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__") Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

/** Whether two stored values say the same; the order of keys does not matter. */
export function isSame(a: DocumentValue, b: DocumentValue): boolean {
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return Object.is(a, b) || a === b;
  if (isUuid(a) || isUuid(b)) return isUuid(a) && isUuid(b) && a.text === b.text;
  if (a instanceof Date || b instanceof Date) return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && a.length === b.length && a.every((byte, index) => byte === b[index]);
  }
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [one, other] = [Object.entries(a), b as Readonly<Record<string, DocumentValue>>];
  if (one.length !== Object.keys(other).length) return false;
  return one.every(([key, value]) => Object.hasOwn(other, key) && isSame(value, other[key] as DocumentValue));
}
