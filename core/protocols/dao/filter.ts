import type { DocumentValue, FilterNode, SortKey } from "./driver.ts";
import { encodeValue, Unstorable } from "./encode.ts";
import type { Shape } from "./shape.ts";

/** Why a filter or a sort is refused. */
export class BadFilter extends Error {}

const comparisons = { $eq: "eq", $gt: "gt", $gte: "gte", $lt: "lt", $lte: "lte" } as const;
const operatorNames = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$not"];
const logicalNames = ["$and", "$or", "$nor"];
const maxDepth = 90;

/** The names of a schema's fields, and where its id is. */
export interface Fields {
  readonly shape: Shape;
  readonly idField: string;
}

/** Reads a filter as services write it. @throws BadFilter */
export function parseFilter(filter: unknown, fields: Fields, depth = 0): FilterNode {
  if (depth > maxDepth) throw new BadFilter(`nested deeper than ${maxDepth}, or circular`);
  if (!isPlain(filter)) throw new BadFilter(`a filter is an object of fields, not ${kindOf(filter)}`);
  const filters = Object.entries(filter).map(([name, condition]): FilterNode => {
    if (!name.startsWith("$")) return parseCondition(name, condition, fields, depth);
    if (!logicalNames.includes(name)) throw new BadFilter(`unknown operator ${name}; between filters there are ${logicalNames.join(", ")}`);
    if (!Array.isArray(condition) || condition.length === 0) throw new BadFilter(`${name} takes a list of at least one filter`);
    const parsed = Array.from(condition, (each) => parseFilter(each, fields, depth + 1));
    if (name === "$and") return { op: "and", filters: parsed };
    const or: FilterNode = { op: "or", filters: parsed };
    return name === "$or" ? or : { op: "not", filter: or };
  });
  return all(filters);
}

/** A conjunction without needless nesting. */
function all(filters: readonly FilterNode[]): FilterNode {
  return filters.length === 1 ? (filters[0] as FilterNode) : { op: "and", filters };
}

function parseCondition(name: string, condition: unknown, fields: Fields, depth: number): FilterNode {
  const { path, shape } = resolveField(name, fields);
  if (!isPlain(condition)) return { op: "eq", path, value: operand(condition, shape, name) };
  const keys = Object.keys(condition);
  const operators = keys.filter((key) => key.startsWith("$"));
  if (operators.length === 0) return { op: "eq", path, value: operand(condition, shape, name) };
  if (operators.length < keys.length) throw new BadFilter(`${name}: operators and fields in one object`);
  return parseOperators(name, path, shape, condition, depth);
}

function parseOperators(
  name: string,
  path: readonly string[],
  shape: Shape,
  operators: Readonly<Record<string, unknown>>,
  depth: number,
): FilterNode {
  if (depth > maxDepth) throw new BadFilter(`${name}: nested deeper than ${maxDepth}, or circular`);
  const filters = Object.entries(operators).map(([operator, value]): FilterNode => {
    const at = `${name} ${operator}`;
    switch (operator) {
      case "$eq":
      case "$gt":
      case "$gte":
      case "$lt":
      case "$lte":
        // Null is the only one of its kind. A database may look for what is not less than null in a sparse index, where missing fields are not.
        if (value === null && (operator === "$gte" || operator === "$lte")) return { op: "eq", path, value };
        return { op: comparisons[operator], path, value: operand(value, shape, at) };
      case "$ne":
        return { op: "not", filter: { op: "eq", path, value: operand(value, shape, at) } };
      case "$in":
      case "$nin": {
        if (!Array.isArray(value)) throw new BadFilter(`${at} takes a list, not ${kindOf(value)}`);
        const node: FilterNode = { op: "in", path, values: Array.from(value, (each) => operand(each, shape, at)) };
        return operator === "$in" ? node : { op: "not", filter: node };
      }
      case "$exists":
        if (typeof value !== "boolean") throw new BadFilter(`${at} takes true or false, not ${kindOf(value)}`);
        return value ? { op: "exists", path } : { op: "not", filter: { op: "exists", path } };
      case "$not":
        if (!isPlain(value) || Object.keys(value).length === 0)
          throw new BadFilter(`${at} takes an object of operators, not ${kindOf(value)}`);
        return { op: "not", filter: parseOperators(name, path, shape, value, depth + 1) };
      default:
        throw new BadFilter(`${name}: unknown operator ${operator}; there are ${operatorNames.join(", ")}`);
    }
  });
  return all(filters);
}

/** A value to compare with, of a type that may be in the field, in the form in which it is stored there. */
function operand(value: unknown, shape: Shape, at: string): DocumentValue {
  if (value === null) return null;
  if (value === undefined) throw new BadFilter(`${at} is undefined; to ask for a missing field use null or $exists`);
  const candidates = shape.types?.has("array") ? [shape, shape.element] : [shape];
  const fitting = candidates.find((candidate) => fits(value, candidate));
  if (fitting === undefined) throw new BadFilter(`${at}: ${kindOf(value)} never matches; the field holds ${describe(shape)}`);
  try {
    return encodeValue(value, fitting, "");
  } catch (error) {
    if (error instanceof Unstorable) throw new BadFilter(`${at}: ${error.message.replace("(root): ", "the value ")}`);
    throw error;
  }
}

function fits(value: unknown, shape: Shape | undefined, depth = 0): boolean {
  // Too deep, or circular: encoding says so.
  if (value === null || depth > maxDepth) return true;
  if (shape === undefined) return false;
  const { types, native } = shape;
  if (types === undefined) {
    if (native === "bigint") return typeof value === "bigint";
    if (native === "bytes") return value instanceof Uint8Array;
    if (native === "date") return value instanceof Date;
    if (native === "uuid") return typeof value === "string";
    return true;
  }
  switch (typeof value) {
    case "string":
      return types.has("string");
    case "number":
      return types.has("number") || types.has("integer");
    case "boolean":
      return types.has("boolean");
    case "bigint":
      return native === "bigint";
    default:
      if (Array.isArray(value)) return types.has("array") && value.every((each) => fits(each, shape.element, depth + 1));
      if (value instanceof Uint8Array) return native === "bytes";
      if (!isPlain(value) || !types.has("object")) return false;
      return Object.entries(value).every(([name, each]) => each === undefined || fits(each, shape.property(name), depth + 1));
  }
}

/** The path of a field and what is there. @throws BadFilter if the schema has none of that name. */
export function resolveField(name: string, { shape, idField }: Fields): { readonly path: readonly string[]; readonly shape: Shape } {
  const path = name.split(".");
  const [first = ""] = path;
  const found = path.includes("") || first === "__metadata__" || (first === "_id" && idField !== "_id") ? undefined : shape.at(path);
  if (found === undefined) {
    const near =
      path.length > 1 && shape.at([first]) !== undefined ? "the schema has nothing there" : `the schema has ${shape.names.join(", ")}`;
    throw new BadFilter(`unknown field ${JSON.stringify(name)}: ${near}`);
  }
  return { path: [first === idField ? "_id" : first, ...path.slice(1)], shape: found };
}

/** Reads the sort of `find`: names, `-` before those that descend. @throws BadFilter */
export function parseSort(sort: unknown, fields: Fields): SortKey[] {
  const names: unknown[] = typeof sort === "string" ? [sort] : Array.isArray(sort) ? sort : [undefined];
  const keys = names.map((name) => {
    if (typeof name !== "string") throw new BadFilter("sort takes a field's name, or a list of them, `-` before one that descends");
    const descending = name.startsWith("-");
    const { path, shape } = resolveField(descending ? name.slice(1) : name, fields);
    return { path, descending, isArray: shape.types?.has("array") ?? false };
  });
  if (new Set(keys.map(({ path }) => path.join("."))).size < keys.length) throw new BadFilter("sort names a field twice");
  if (keys.filter(({ isArray }) => isArray).length > 1) throw new BadFilter("sort names more than one list");
  return keys.map(({ path, descending }) => ({ path, descending }));
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return value.constructor === Object ? "an object" : `a ${value.constructor?.name ?? "strange object"}`;
  return value === undefined ? "undefined" : `a ${typeof value}`;
}

function describe({ types, native }: Shape): string {
  return native ?? (types === undefined ? "anything" : [...types].join(", "));
}
