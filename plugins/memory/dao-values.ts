import { type DocumentValue, isUuid, Uuid } from "../../core/index.ts";

type Fields = Readonly<Record<string, DocumentValue>>;

/** Kinds in the order in which MongoDB sorts them; a missing value counts as null. What is of one kind has an order of its own. */
const kinds = { nothing: 0, null: 1, number: 2, string: 3, object: 4, array: 5, binary: 6, boolean: 7, date: 8 } as const;

/** What an empty array counts as in a sort and an index: less than null, equal to itself. */
export const emptyArray = Symbol("empty array");
/** A value to sort or index by. */
export type KeyValue = DocumentValue | typeof emptyArray;

export function kindOf(value: KeyValue): number {
  if (value === emptyArray) return kinds.nothing;
  switch (typeof value) {
    case "string":
      return kinds.string;
    case "number":
    case "bigint":
      return kinds.number;
    case "boolean":
      return kinds.boolean;
    default:
      if (value === null) return kinds.null;
      if (Array.isArray(value)) return kinds.array;
      if (value instanceof Date) return kinds.date;
      return value instanceof Uint8Array || isUuid(value) ? kinds.binary : kinds.object;
  }
}

/** Negative, 0 or positive: the order of any two values. */
export function compareValues(a: KeyValue, b: KeyValue): number {
  const [kind, other] = [kindOf(a), kindOf(b)];
  if (kind !== other) return kind - other;
  switch (kind) {
    case kinds.number:
      return compareNumbers(a as number | bigint, b as number | bigint);
    case kinds.string:
      return compareText(a as string, b as string);
    case kinds.object:
      return compareObjects(Object.entries(a as Fields), Object.entries(b as Fields));
    case kinds.array:
      return compareLists(a as readonly DocumentValue[], b as readonly DocumentValue[]);
    case kinds.binary:
      return compareBinary(a as Uint8Array | Uuid, b as Uint8Array | Uuid);
    case kinds.boolean:
      return Number(a) - Number(b);
    case kinds.date:
      return (a as Date).getTime() - (b as Date).getTime();
    default:
      return 0;
  }
}

/** Shorter first, then bytes before UUIDs, then by what they hold. */
function compareBinary(a: Uint8Array | Uuid, b: Uint8Array | Uuid): number {
  const [one, other] = [isUuid(a) ? uuidBytes(a) : a, isUuid(b) ? uuidBytes(b) : b];
  return one.length - other.length || Number(isUuid(a)) - Number(isUuid(b)) || Buffer.compare(one, other);
}

const uuidBytes = ({ text }: Uuid): Uint8Array => Buffer.from(text.replaceAll("-", ""), "hex");

/** NaN is less than every number and equal to itself. */
function compareNumbers(a: number | bigint, b: number | bigint): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(b)) - Number(Number.isNaN(a));
  return a < b ? -1 : a > b ? 1 : 0;
}

/** By code points, as UTF-8 is ordered. UTF-16 differs where one side has a surrogate pair. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += 1) {
    const [one, other] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (one !== other) {
      const [oneIsPair, otherIsPair] = [one >= 0xd800 && one <= 0xdfff, other >= 0xd800 && other <= 0xdfff];
      return oneIsPair === otherIsPair ? one - other : oneIsPair ? 1 : -1;
    }
  }
  return a.length - b.length;
}

/** Field by field: kind, then name, then value; the shorter one first. */
function compareObjects(a: readonly [string, DocumentValue][], b: readonly [string, DocumentValue][]): number {
  for (const [index, [name, value]] of a.entries()) {
    const other = b[index];
    if (other === undefined) return 1;
    const order = kindOf(value) - kindOf(other[1]) || compareText(name, other[0]) || compareValues(value, other[1]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareLists(a: readonly DocumentValue[], b: readonly DocumentValue[]): number {
  for (const [index, value] of a.entries()) {
    const other = b[index];
    if (other === undefined) return 1;
    const order = compareValues(value, other);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/** Text that is equal for equal values, and for no others. */
export function keyOf(value: KeyValue): string {
  const kind = kindOf(value);
  switch (kind) {
    case kinds.number:
      return `${kind}:${typeof value === "bigint" || Number.isInteger(value) ? BigInt(value as number | bigint) : String(value)}`;
    case kinds.string:
    case kinds.boolean:
      return `${kind}:${JSON.stringify(value)}`;
    case kinds.object:
      return `${kind}:{${Object.entries(value as Fields)
        .map(([name, each]) => `${JSON.stringify(name)}:${keyOf(each)}`)
        .join(",")}}`;
    case kinds.array:
      return `${kind}:[${(value as readonly DocumentValue[]).map(keyOf).join(",")}]`;
    case kinds.binary:
      return isUuid(value) ? `${kind}:u${value.text}` : `${kind}:${Buffer.from(value as Uint8Array).toString("base64url")}.`;
    case kinds.date:
      return `${kind}:${(value as Date).getTime()}`;
    default:
      return String(kind);
  }
}

/** A deep copy: what is stored and what is handed out have nothing in common. */
export function copyValue<Value extends DocumentValue>(value: Value): Value {
  return copy(value) as Value;
}

function copy(value: DocumentValue): DocumentValue {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(copy);
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof Uint8Array) return new Uint8Array(value);
  // One of another copy of this package becomes one of ours.
  if (isUuid(value)) return new Uuid(value.text);
  const made: Record<string, DocumentValue> = {};
  for (const [name, each] of Object.entries(value as Fields)) setField(made, name, copy(each));
  return made;
}

/** Assignment, also of a key named `__proto__`. */
export function setField(target: Record<string, DocumentValue>, name: string, value: DocumentValue): void {
  if (name === "__proto__") Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
  else target[name] = value;
}

/** About what a document takes in BSON: its bytes, and those of names, kinds and lengths. */
export function sizeOf(value: DocumentValue): number {
  switch (typeof value) {
    case "string":
      return 5 + Buffer.byteLength(value);
    case "number":
      return Number.isInteger(value) && Math.abs(value) < 2 ** 31 ? 4 : 8;
    case "bigint":
      return 8;
    case "boolean":
      return 1;
    default:
      break;
  }
  if (value === null) return 0;
  if (value instanceof Date) return 8;
  if (value instanceof Uint8Array) return 5 + value.length;
  if (isUuid(value)) return 21;
  let size = 5;
  for (const [name, each] of Object.entries(value as Fields)) size += 2 + Buffer.byteLength(name) + sizeOf(each);
  return size;
}
