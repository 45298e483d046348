import { coerce, itemsOf, propertyOf } from "./coerce.ts";
import type { VariableTable } from "./env.ts";
import { type Branch, childrenOf, isBranch, isObject, isReference, keysOf, type Leaf, leavesOf, type Node, placeOf } from "./layers.ts";
import { escapePointer } from "./names.ts";
import { addSecret, collectSecrets, fetchReference, isSecret, mask, maskPasswords } from "./secrets.ts";
import type { EffectiveValue, ObjectSchema, Problem, PropertySchema } from "./types.ts";
import { check } from "./validate.ts";

/** What one resolution has found so far. */
export interface Findings {
  readonly problems: Problem[];
  readonly values: EffectiveValue[];
  readonly secrets: Set<string>;
  /** Pointers whose value is there but unusable: reported already, so not missing. */
  readonly failed: Set<string>;
}

export interface Surroundings extends Findings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly table: VariableTable;
  readonly tree: Branch;
}

export interface Evaluated {
  readonly node: Node | undefined;
  readonly pointer: string;
  readonly schema: ObjectSchema;
  /** For messages: `provider "events" (plugin kafka)`. */
  readonly subject: string;
  /** `$env` and `$file` in it are a convenience and hold no secrets. */
  readonly open?: boolean;
  /** Only what is set is of interest; nothing missing is a problem. */
  readonly optional?: boolean;
}

const nothing = Symbol("nothing");
type Sources = Map<string, { readonly origin: string; readonly fetched: boolean }>;

/** Gathers, checks and completes the value of one object, and notes its problems, secrets and effective values. */
export function evaluate(around: Surroundings, input: Evaluated): Record<string, unknown> {
  const sources: Sources = new Map();
  const schema: PropertySchema = { ...input.schema };
  const gathered = input.node === undefined ? {} : materialize(around, input, input.node, schema, input.pointer, sources);
  const value = isObject(gathered) ? gathered : {};
  const findings =
    isObject(gathered) || gathered === nothing ? check(input.schema, value) : [{ pointer: "", message: "must be an object" }];
  for (const { pointer: below, message, missing = false, faulty = false } of findings) {
    const pointer = input.pointer + below;
    const known = [...around.failed].some((failed) => pointer === failed || pointer.startsWith(`${failed}/`));
    if (known || (missing && input.optional === true)) continue;
    around.problems.push(
      missing
        ? missingProblem(around, input, pointer)
        : {
            place: placeAt(around, pointer, input.subject),
            message: faulty ? `${input.subject}: ${message}` : within(around, pointer, message),
          },
    );
  }
  collectSecrets(schema, value, around.secrets);
  list(around, value, schema, input.pointer, sources, 0);
  return value;
}

function materialize(
  around: Surroundings,
  input: Evaluated,
  node: Node,
  schema: PropertySchema,
  pointer: string,
  sources: Sources,
): unknown {
  if (!isBranch(node)) return fromLeaf(around, input, node, node.value, schema, pointer, sources);
  const entries: [string, unknown][] = [];
  for (const [key, child] of node.children) {
    const value = materialize(around, input, child, propertyOf(schema, key), `${pointer}/${escapePointer(key)}`, sources);
    if (value !== nothing) entries.push([key, value]);
  }
  return Object.fromEntries(entries);
}

function fromLeaf(
  around: Surroundings,
  input: Evaluated,
  leaf: Leaf,
  value: unknown,
  schema: PropertySchema,
  pointer: string,
  sources: Sources,
): unknown {
  sources.set(pointer, { origin: leaf.origin, fetched: false });
  if (leaf.variable !== undefined) return value;
  if (isReference(value)) {
    const fetched = fetchReference(value, leaf.folder, around.env);
    const coerced = "problem" in fetched ? undefined : coerce(schema, fetched.text);
    if ("problem" in fetched || coerced === undefined || "expected" in coerced) {
      const message =
        "problem" in fetched
          ? fetched.problem
          : `the value from the ${fetched.origin} must be ${coerced !== undefined && "expected" in coerced ? coerced.expected : "valid"}`;
      around.problems.push({ place: placeAt(around, pointer, leaf.place), message });
      around.failed.add(pointer);
      if (!("problem" in fetched) && input.open !== true) addSecret(fetched.text, around.secrets);
      return nothing;
    }
    sources.set(pointer, { origin: fetched.origin, fetched: input.open !== true });
    if (input.open !== true) addFetched(coerced.value, around.secrets);
    return coerced.value;
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, child]): [string, unknown] => {
    const childSchema = Array.isArray(value) ? itemsOf(schema) : propertyOf(schema, key);
    const inner = `${pointer}/${escapePointer(key)}`;
    return [
      key,
      isReference(child) || typeof child === "object" ? fromLeaf(around, input, leaf, child, childSchema, inner, sources) : child,
    ];
  });
  if (entries.some(([, child]) => child === nothing)) {
    around.failed.add(pointer);
    return nothing;
  }
  return Array.isArray(value) ? entries.map(([, child]) => child) : Object.fromEntries(entries);
}

/** Shorter ones, such as a region's name, would be cut out of every other text; they are still masked where values are shown. */
const shortestFetched = 8;

/** Texts fetched for options that are not marked as secret, in case they are. Marked ones are collected by the schema, whatever they are. */
function addFetched(value: unknown, secrets: Set<string>): void {
  if (typeof value === "string") {
    if (value.length >= shortestFetched) addSecret(value, secrets);
  } else if (Array.isArray(value)) for (const item of value) addFetched(item, secrets);
  else if (isObject(value)) for (const item of Object.values(value)) addFetched(item, secrets);
}

function missingProblem({ table, tree }: Surroundings, { node, pointer: scope, subject }: Evaluated, pointer: string): Problem {
  const variable = table.nameFor(pointer);
  const name = JSON.stringify(keysOf(pointer.slice(scope.length)).join("."));
  const place = placeOf(node, "") || placeOf(nearestNode(tree, pointer), "");
  if (place === "" || !place.includes("#")) return { place: variable ?? place, message: `is missing: ${subject} needs ${name}` };
  return { place, message: `${name} is missing: ${subject} needs it${variable === undefined ? "" : `; set it here or by ${variable}`}` };
}

/** The innermost node on the way to a pointer that is not the root or a whole section. */
function nearestNode(tree: Branch, pointer: string): Node | undefined {
  let node: Node | undefined = tree;
  let depth = 0;
  for (const key of keysOf(pointer)) {
    const next: Node | undefined = childrenOf(node).get(key);
    if (next === undefined) break;
    node = next;
    depth += 1;
  }
  return depth < 2 ? undefined : node;
}

/** Where the value at a pointer stands: a variable's name, or file and pointer. */
function placeAt({ tree }: Pick<Surroundings, "tree">, pointer: string, otherwise: string): string {
  let node: Node = tree;
  let rest = pointer;
  for (const key of keysOf(pointer)) {
    const next = childrenOf(node).get(key);
    if (next === undefined) break;
    node = next;
    rest = rest.slice(escapePointer(key).length + 1);
  }
  if (!isBranch(node)) return node.variable ?? node.place + rest;
  const place = placeOf(node, otherwise);
  return rest === "" || !place.includes("#") ? place : place + rest;
}

/** For a variable that holds a whole object, tells which part of it the message is about. */
function within({ table, tree }: Surroundings, pointer: string, message: string): string {
  const variable = table.get(placeAt({ tree }, pointer, ""));
  return variable === undefined || !pointer.startsWith(`${variable.pointer}/`)
    ? message
    : `${pointer.slice(variable.pointer.length)}: ${message}`;
}

function list(around: Surroundings, value: object, schema: PropertySchema, pointer: string, sources: Sources, depth: number): void {
  for (const [key, child] of Object.entries(value)) {
    const property = propertyOf(schema, key);
    const below = `${pointer}/${escapePointer(key)}`;
    if (depth === 0 && property.properties !== undefined && isObject(child) && property.writeOnly !== true) {
      list(around, child, property, below, sources, 1);
      continue;
    }
    const from = [...sources].filter(([source]) => source === below || source.startsWith(`${below}/`)).map(([, source]) => source);
    // A key that the schema does not know may be a secret's, misspelt.
    const stray = schema.additionalProperties === false && !Object.hasOwn(schema.properties ?? {}, key);
    const hidden = stray || isSecret(property) || from.some(({ fetched }) => fetched);
    const shown = hidden ? mask : withoutPasswords(child);
    const variable = around.table.nameFor(below);
    around.values.push({
      pointer: below,
      value: shown,
      secret: hidden || JSON.stringify(shown) !== JSON.stringify(child),
      origin: from.length === 0 ? "default" : [...new Set(from.map(({ origin }) => origin))].join(", "),
      ...(variable === undefined ? {} : { variable }),
    });
  }
}

/** A copy with the passwords in addresses masked. */
function withoutPasswords(value: unknown): unknown {
  if (typeof value === "string") return maskPasswords(value);
  if (Array.isArray(value)) return value.map(withoutPasswords);
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, child]) => [key, withoutPasswords(child)])) : value;
}

/** Lists what is set but belongs to nothing that is bound. Shown is only what a schema knows not to be secret. */
export function listUnused(around: Findings, node: Node | undefined, schema: ObjectSchema | undefined, scope: string): void {
  for (const leaf of leavesOf(node)) {
    const key = keysOf(leaf.pointer.slice(scope.length))[0] ?? "";
    const property = schema !== undefined && Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined;
    const hidden = property === undefined || isSecret(property) || JSON.stringify(leaf.value ?? null).includes('{"$');
    const shown = hidden ? mask : withoutPasswords(leaf.value);
    around.values.push({
      pointer: leaf.pointer,
      value: shown,
      secret: hidden || JSON.stringify(shown) !== JSON.stringify(leaf.value),
      origin: leaf.origin,
      ...(leaf.variable === undefined ? {} : { variable: leaf.variable }),
      unused: true,
    });
  }
}
