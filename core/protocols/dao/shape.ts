import type { NativeType } from "./dao.ts";

type Node = Readonly<Record<string, unknown>>;
type JsonType = "string" | "number" | "integer" | "boolean" | "null" | "array" | "object";

/** Where we note what a schema library knows and JSON Schema cannot say. */
export const nativeKeyword = "x-hexkit-native";

/** What a JSON Schema says about one place in a document; alternatives are taken together. Made as far as it is asked for. */
export class Shape {
  readonly #root: Node;
  readonly #nodes: readonly Node[];
  /** Names from the root to here, as they are and with `*` for those that only a map allows. */
  readonly #paths: readonly string[];
  readonly #declared: ReadonlyMap<string, NativeType>;
  readonly #children = new Map<string, Shape | undefined>();
  #element: Shape | undefined;
  #isPlain: boolean | undefined;
  /** What may be here; `undefined` if anything may. */
  readonly types: ReadonlySet<JsonType> | undefined;
  readonly native: NativeType | undefined;

  private constructor(root: Node, schemas: readonly unknown[], paths: readonly string[], declared: ReadonlyMap<string, NativeType>) {
    this.#root = root;
    this.#nodes = schemas.flatMap((schema) => alternatives(schema, root, new Set()));
    this.#paths = paths;
    this.#declared = declared;
    this.types = typesOf(this.#nodes);
    this.native = paths.map((path) => declared.get(path)).find((native) => native !== undefined) ?? nativeOf(this.#nodes);
  }

  static of(schema: Node, declared: ReadonlyMap<string, NativeType>): Shape {
    return new Shape(schema, [schema], [""], declared);
  }

  /** Names of the properties that the schema lists. */
  get names(): readonly string[] {
    return [...new Set(this.#nodes.flatMap(({ properties }) => Object.keys((properties as object | undefined) ?? {})))];
  }

  /** Whether all alternatives say the same, so that the type is not a union in disguise. */
  get isSingle(): boolean {
    return this.#nodes.length === 1 && this.types?.size === 1;
  }

  /** A property of an object here; `undefined` if there can be none of that name. */
  property(name: string): Shape | undefined {
    const known = name === "*" ? undefined : this.#children.get(name);
    if (known !== undefined) return known;
    const listed = this.#nodes.some(({ properties }) => hasOwn(properties, name));
    // Names that only a map allows share one shape, because a map may have any number of them.
    const key = listed || this.#declares(name) ? name : "*";
    if (!this.#children.has(key)) this.#children.set(key, this.#make(name, key));
    return this.#children.get(key);
  }

  /** Whether what fits here is the same in the DTO and in the database, all through: texts, numbers, booleans and null, in objects of no other fields than those listed. */
  get isPlain(): boolean {
    if (this.#isPlain === undefined) {
      // What a schema that contains itself finds while it asks.
      this.#isPlain = false;
      this.#isPlain = this.#findPlain();
    }
    return this.#isPlain;
  }

  #findPlain(): boolean {
    const { types, native } = this;
    if (types === undefined || native !== undefined) return false;
    if (types.has("array") && !this.element.isPlain) return false;
    if (!types.has("object")) return true;
    const isClosed = this.#nodes.every(({ type, additionalProperties, patternProperties }) => {
      const isOther = type !== undefined && ![type].flat().includes("object");
      return isOther || (additionalProperties === false && patternProperties === undefined);
    });
    return isClosed && this.names.every((name) => this.property(name)?.isPlain === true);
  }

  /** The elements of an array here. */
  get element(): Shape {
    this.#element ??= new Shape(
      this.#root,
      this.#nodes.flatMap((node) => elementSchemas(node)),
      this.#paths,
      this.#declared,
    );
    return this.#element;
  }

  /** What a dotted path leads to, through arrays as filters go; `undefined` if it leads nowhere. */
  at(path: readonly string[]): Shape | undefined {
    const [name, ...rest] = path;
    if (name === undefined) return this;
    const found = [this.property(name)?.at(rest)];
    if (this.types === undefined || this.types.has("array")) found.push(/^\d+$/.test(name) ? this.element.at(rest) : undefined);
    if (this.types?.has("array")) found.push(this.element.property(name)?.at(rest));
    return found.find((shape) => shape !== undefined);
  }

  #declares(name: string): boolean {
    return this.#paths.some((path) => {
      const own = join(path, name);
      for (const declared of this.#declared.keys()) if (declared === own || declared.startsWith(`${own}.`)) return true;
      return false;
    });
  }

  #make(name: string, key: string): Shape | undefined {
    const schemas = this.#nodes.flatMap((node) => propertySchemas(node, name));
    if (schemas.length === 0) return undefined;
    const listed = this.#nodes.some(({ properties }) => hasOwn(properties, name));
    const names = listed ? [name] : [...new Set([key, "*"])];
    const paths = this.#paths.flatMap((path) => names.map((each) => join(path, each)));
    return new Shape(this.#root, schemas, paths, this.#declared);
  }
}

const join = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);

function hasOwn(properties: unknown, name: string): boolean {
  return typeof properties === "object" && properties !== null && Object.hasOwn(properties, name);
}

/** A schema with its references followed and its unions opened. `true` and what we cannot read stand for anything. */
function alternatives(schema: unknown, root: Node, seen: Set<unknown>): Node[] {
  if (schema === false || seen.has(schema)) return [];
  if (typeof schema !== "object" || schema === null) return [{}];
  seen.add(schema);
  const node = schema as Node;
  const { $ref, anyOf, oneOf, allOf, ...own } = node;
  const found = [$ref === undefined ? [] : alternatives(resolve($ref, root), root, seen)];
  for (const some of [anyOf, oneOf, allOf]) {
    if (Array.isArray(some)) found.push(some.flatMap((each) => alternatives(each, root, seen)));
  }
  const inner = found.flat();
  const says = ["type", "properties", "items", "enum", "const", "additionalProperties", nativeKeyword].some((key) => key in own);
  return says || inner.length === 0 ? [own, ...inner] : inner;
}

function resolve(reference: unknown, root: Node): unknown {
  if (typeof reference !== "string" || !reference.startsWith("#")) return true;
  let found: unknown = root;
  for (const part of reference.slice(1).split("/").slice(1)) {
    const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    found = typeof found === "object" && found !== null ? (found as Node)[key] : undefined;
  }
  return found ?? true;
}

const typeNames: ReadonlySet<string> = new Set(["string", "number", "integer", "boolean", "null", "array", "object"]);

function typesOf(nodes: readonly Node[]): ReadonlySet<JsonType> | undefined {
  const types = new Set<JsonType>();
  for (const node of nodes) {
    const { type, const: constant, enum: values, properties, additionalProperties } = node;
    const named = [type].flat().filter((name): name is JsonType => typeof name === "string" && typeNames.has(name));
    const given = "const" in node ? [constant] : Array.isArray(values) ? values : undefined;
    if (nativeKeyword in node) return undefined;
    if (named.length > 0) for (const name of named) types.add(name);
    else if (given !== undefined) for (const value of given) types.add(typeOf(value));
    else if (properties !== undefined || additionalProperties !== undefined) types.add("object");
    else if (node.items !== undefined) types.add("array");
    else return undefined;
  }
  return types;
}

function typeOf(value: unknown): JsonType {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "bigint" ? "integer" : (typeof value as JsonType);
}

/** UUIDs are kept as such only where nothing else that is text may stand; otherwise the same text would have two forms. */
function nativeOf(nodes: readonly Node[]): NativeType | undefined {
  const marked = nodes.map((node) => node[nativeKeyword]).find((native) => native !== undefined);
  if (marked !== undefined) return marked as NativeType;
  const texts = nodes.filter((node) => typesOf([node])?.has("string") ?? false);
  return texts.length > 0 && texts.every(({ format }) => format === "uuid") ? "uuid" : undefined;
}

function propertySchemas(node: Node, name: string): unknown[] {
  const { type, properties, patternProperties, additionalProperties } = node;
  if (hasOwn(properties, name)) return [(properties as Node)[name]];
  if (type !== undefined && ![type].flat().includes("object")) return [];
  const isScalar = "const" in node || "enum" in node || nativeKeyword in node || (type === undefined && "items" in node);
  if (isScalar) return [];
  const patterns = Object.entries((patternProperties as object | undefined) ?? {}).filter(([pattern]) =>
    new RegExp(pattern, "u").test(name),
  );
  if (patterns.length > 0) return patterns.map(([, schema]) => schema);
  // Where a schema lists properties and says nothing about others, others are a mistake in a filter, although it lets them pass.
  if (additionalProperties === undefined) return properties === undefined && patternProperties === undefined ? [true] : [];
  return additionalProperties === false ? [] : [additionalProperties];
}

function elementSchemas(node: Node): unknown[] {
  const { type, items, prefixItems, additionalItems } = node;
  if (type !== undefined && ![type].flat().includes("array")) return [];
  const known = [items, prefixItems, additionalItems].flat().filter((schema) => schema !== undefined && schema !== false);
  return known.length > 0 ? known : [true];
}
