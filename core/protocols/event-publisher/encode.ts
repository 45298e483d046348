import type { HexkitError } from "../../errors.ts";

/** Why a value cannot go out, in words; the publisher adds where and makes the error. */
class Unencodable extends Error {}

const nonAscii = /\P{ASCII}/u;
export const isAscii = (text: string): boolean => !nonAscii.test(text);

/** Deeper payloads are taken for circular ones. */
const maxDepth = 500;

/**
 * Writes a payload as JSON in ASCII: every other character becomes `\uXXXX`, as Python's `json.dumps` does, because
 * Python hexkit reads nothing else. A `Date` becomes ISO 8601 text, a property that is `undefined` is left out.
 * @throws Unencodable for whatever JSON would drop or change silently (NaN, Infinity, bigint, functions, Map, Set, holes …).
 */
function encodePayload(payload: unknown): string {
  if (typeof payload !== "object" || payload === null || Array.isArray(payload) || payload instanceof Date) {
    throw new Unencodable(`payload must be an object, not ${nameOf(payload)}`);
  }
  check(payload, "payload", 0);
  const json = JSON.stringify(payload);
  if (!json.startsWith("{")) throw new Unencodable(`payload must be an object, not ${nameOf(JSON.parse(json))}, which its toJSON gives`);
  return toAscii(json);
}

/** `encodePayload` for a caller that knows what to say around a refusal. */
export function encodeOrRefuse(payload: unknown, refuse: (code: "ERR_HEXKIT_PAYLOAD_INVALID", fact: string) => HexkitError): string {
  try {
    return encodePayload(payload);
  } catch (error) {
    // A toJSON of the caller's may throw anything.
    const fact = error instanceof Unencodable ? error.message : `payload cannot be written as JSON: ${error}`;
    throw refuse("ERR_HEXKIT_PAYLOAD_INVALID", fact);
  }
}

/** The text with every character outside ASCII written as `\uXXXX`. */
export function toAscii(text: string): string {
  if (isAscii(text)) return text;
  return text.replace(/[\u0080-\uffff]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** `converted`: a `toJSON` gave it, and JSON does not ask twice. */
function check(value: unknown, path: string, depth: number, converted = false): void {
  switch (typeof value) {
    case "string":
    case "boolean":
      return;
    case "number":
      if (!Number.isFinite(value)) throw new Unencodable(`${path} is ${value}, which JSON does not have`);
      return;
    case "object":
      break;
    default:
      throw new Unencodable(`${path} is ${nameOf(value)}, which JSON does not have${typeof value === "bigint" ? "; send it as text" : ""}`);
  }
  if (value === null) return;
  if (depth === maxDepth) throw new Unencodable(`${path.slice(0, 80)}… is circular, or nested deeper than ${maxDepth} levels`);
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) check(value[index], `${path}[${index}]`, depth + 1);
    return;
  }
  // A view of bytes may have a toJSON (Buffer does), which gives a list of numbers in an object of its own.
  if (!converted && !ArrayBuffer.isView(value)) {
    if (value instanceof Date && Number.isNaN(value.getTime())) throw new Unencodable(`${path} is an invalid Date`);
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === "function") {
      check(toJSON.call(value, ""), path, depth + 1, true);
      return;
    }
  }
  if (Object.prototype.toString.call(value) !== "[object Object]") {
    throw new Unencodable(`${path} is ${nameOf(value)}, which JSON does not have`);
  }
  for (const key of Object.keys(value)) {
    const item = (value as Record<string, unknown>)[key];
    // Most are texts, and need no path.
    if (item !== undefined && typeof item !== "string") check(item, `${path}.${key}`, depth + 1);
  }
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  return `a ${Array.isArray(value) ? "list" : (value.constructor?.name ?? "object")}`;
}
