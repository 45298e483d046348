import { type ErrorCode, HexkitError } from "../../errors.ts";
import { compileSchema, type Validation, type Validator } from "../../schema.ts";
import type { DaoIndex, DaoSpec, NativeType } from "./dao.ts";
import type { DocumentId, DocumentValue, FilterNode, IndexSpec, SortKey, StoredDocument } from "./driver.ts";
import { decodeOwned, decodeUnlessPlain, decodeValue, encodeValue, setOwn, Unstorable } from "./encode.ts";
import { BadFilter, type Fields, parseFilter, parseSort, resolveField } from "./filter.ts";
import { jsonSchemaOf, UnusableSchema } from "./json-schema.ts";
import { Shape } from "./shape.ts";
import { Uuid } from "./uuid-value.ts";

/** Makes an error of the binding that the model belongs to. */
export type Refuse = (code: ErrorCode, message: string, cause?: unknown) => HexkitError;

type IdKind = "text" | "integer" | "uuid";

/** The field under which composed protocols keep what is theirs. Never part of a DTO. */
export const metadataField = "__metadata__";

/** What a spec says, checked: turns DTOs into stored documents and back, and filters into what drivers understand. */
export class DaoModel<Dto> {
  readonly collection: string;
  readonly idField: string;
  readonly indexes: readonly IndexSpec[];
  readonly #fields: Fields;
  readonly #idKind: IdKind;
  readonly #validate: Validator;
  /** JSON Schema fills defaults in in place. */
  readonly #validatesInPlace: boolean;
  readonly #refuse: Refuse;

  private constructor(spec: DaoSpec, shape: Shape, validate: Validator, refuse: Refuse) {
    this.collection = spec.name;
    this.idField = spec.idField;
    this.#fields = { shape, idField: spec.idField };
    this.#validate = validate;
    this.#validatesInPlace = !("~standard" in spec.schema);
    this.#refuse = refuse;
    this.#idKind = idKindOf(spec, shape, refuse);
    this.indexes = (spec.indexes ?? [])
      .map((index) => indexSpec(index as DaoIndex<unknown>, this.#fields, spec.name, refuse))
      // Every collection has an index on the id, and databases refuse one with options.
      .filter(({ fields: [first, ...others] }) => others.length > 0 || first?.path.join() !== "_id");
  }

  /** @throws as `DaoFactory.open`, before any I/O. */
  static async open(spec: DaoSpec, refuse: Refuse): Promise<DaoModel<unknown>> {
    const bad = (fact: string): HexkitError => refuse("ERR_HEXKIT_INVALID_ARGUMENT", `open: ${fact}`);
    if (typeof spec !== "object" || spec === null) throw bad("it takes { name, schema, idField, … }");
    checkName(spec.name, bad);
    if (typeof spec.idField !== "string") throw bad("`idField` must be the name of the field that holds the id");
    try {
      const declared = declaredNatives(spec);
      const shape = Shape.of(jsonSchemaOf(spec.schema, spec.jsonSchema, "output"), declared);
      checkShape(spec, shape, declared, bad);
      const validate = await compileSchema(spec.schema, `${spec.name}: schema`);
      return new DaoModel<unknown>(spec, shape, validate, refuse);
    } catch (error) {
      if (error instanceof UnusableSchema) throw bad(`${spec.name}: ${error.message}`);
      if (error instanceof HexkitError && Object.keys(error.origin).length === 0)
        throw refuse(error.code, `open: ${error.message}`, error.cause);
      throw error;
    }
  }

  /**
   * The DTO as it is stored, checked and copied.
   * @throws ERR_HEXKIT_DOCUMENT_INVALID
   */
  async encode(dto: Dto, operation: string): Promise<StoredDocument> {
    const bad = (facts: string): HexkitError =>
      this.#refuse("ERR_HEXKIT_DOCUMENT_INVALID", `${operation} ${this.collection}: the DTO does not fit: ${facts}`);
    const validating = this.#check(this.#validatesInPlace ? copy(dto) : dto);
    const validation = validating instanceof Promise ? await validating : validating;
    if (validation.issues !== undefined) throw bad(summary(validation.issues));
    const { value } = validation;
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad("it is no object");
    const { [this.idField]: id, ...fields } = value as Record<string, unknown>;
    const reserved = Object.keys(fields).find((name) => name === "_id" || name === metadataField || name.includes(".") || name === "");
    if (reserved !== undefined) throw bad(`${JSON.stringify(reserved)}: a field cannot have this name`);
    const _id = this.id(id);
    if (_id === undefined) throw bad(`${this.idField}: is not a valid id`);
    try {
      return { _id, ...(encodeValue(fields, this.#fields.shape, "") as Record<string, never>) };
    } catch (error) {
      if (error instanceof Unstorable) throw bad(error.message);
      throw error;
    }
  }

  /**
   * A stored document as the DTO, checked. May be a promise if the schema's check is one.
   * @throws ERR_HEXKIT_STORED_DOCUMENT_INVALID
   */
  decode(document: StoredDocument, operation: string): Dto | Promise<Dto> {
    return this.#decode(document, operation, decodeValue);
  }

  /** As `decode`, of a document that nobody else holds: parts of it become parts of the DTO. */
  decodeOwned(document: StoredDocument, operation: string): Dto | Promise<Dto> {
    // A schema library may make something of a value that is not decoded; JSON Schema refuses it.
    if (!this.#validatesInPlace) return this.#decode(document, operation, decodeOwned);
    const checked = this.#checkUndecoded(document);
    if (checked !== undefined && !(checked instanceof Promise) && checked.issues === undefined) return checked.value as Dto;
    return this.#decode(document, operation, decodeValue);
  }

  #checkUndecoded(document: StoredDocument): Validation | Promise<Validation> | undefined {
    try {
      return this.#check(this.#fieldsOf(document, decodeUnlessPlain));
    } catch (error) {
      if (error instanceof Unstorable) return undefined;
      throw error;
    }
  }

  #decode(document: StoredDocument, operation: string, decode: typeof decodeValue): Dto | Promise<Dto> {
    const bad = (facts: string): HexkitError =>
      this.#refuse(
        "ERR_HEXKIT_STORED_DOCUMENT_INVALID",
        `${operation} ${this.collection}: the stored document ${JSON.stringify(String(document._id))} does not fit the schema: ${facts}`,
      );
    const take = (validation: Validation): Dto => {
      if (validation.issues !== undefined) throw bad(summary(validation.issues));
      return validation.value as Dto;
    };
    const checked = this.#check(this.#read(document, bad, decode));
    return checked instanceof Promise ? checked.then(take) : take(checked);
  }

  /** The id as it is stored; `undefined` if it is none of this field's type. */
  id(id: unknown): DocumentId | undefined {
    if (this.#idKind === "integer") return typeof id === "number" && Number.isSafeInteger(id) ? id + 0 : undefined;
    if (typeof id !== "string") return undefined;
    return this.#idKind === "text" ? id : Uuid.from(id);
  }

  /** @throws ERR_HEXKIT_FILTER_INVALID */
  filter(filter: unknown, operation: string): FilterNode {
    return this.#parse(operation, "filter", () => parseFilter(filter === undefined ? {} : filter, this.#fields));
  }

  /** @throws ERR_HEXKIT_FILTER_INVALID */
  sort(sort: unknown, operation: string): readonly SortKey[] {
    return sort === undefined ? [] : this.#parse(operation, "sort", () => parseSort(sort, this.#fields));
  }

  #parse<Result>(operation: string, what: string, parse: () => Result): Result {
    try {
      return parse();
    } catch (error) {
      if (error instanceof BadFilter)
        throw this.#refuse("ERR_HEXKIT_FILTER_INVALID", `${operation} ${this.collection}: ${what}: ${error.message}`);
      throw error;
    }
  }

  #read(stored: StoredDocument, bad: (facts: string) => HexkitError, decode: typeof decodeValue): unknown {
    try {
      return this.#fieldsOf(stored, decode);
    } catch (error) {
      if (error instanceof Unstorable) throw bad(error.message);
      throw error;
    }
  }

  #fieldsOf(stored: StoredDocument, decode: typeof decodeValue): Record<string, unknown> {
    const { shape } = this.#fields;
    const dto: Record<string, unknown> = { [this.idField]: decode(stored._id, shape.property(this.idField), this.idField) };
    for (const name of Object.keys(stored)) {
      if (name === metadataField || name === "_id") continue;
      setOwn(dto, name, decode(stored[name] as DocumentValue, shape.property(name), name));
    }
    return dto;
  }

  /** A schema's own code may throw, which says no less than an issue. */
  #check(value: unknown): Validation | Promise<Validation> {
    const failed = (error: unknown): Validation => ({ issues: [`its schema threw ${error instanceof Error ? error.name : typeof error}`] });
    try {
      const checking = this.#validate(value);
      return checking instanceof Promise ? checking.catch(failed) : checking;
    } catch (error) {
      return failed(error);
    }
  }
}

/** A few of many issues: a big document may have thousands. */
function summary(issues: readonly string[]): string {
  const some = issues.slice(0, 5).map((issue) => (issue.length > 300 ? `${issue.slice(0, 300)}…` : issue));
  return `${some.join("; ")}${issues.length > some.length ? `; and ${issues.length - some.length} more` : ""}`;
}

function checkName(name: unknown, bad: (fact: string) => HexkitError): void {
  if (typeof name !== "string" || name === "") throw bad("`name` must be text: the collection's name");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/^system\.|[$\u0000-\u001f]/.test(name) || Buffer.byteLength(name) > 100) {
    throw bad(
      `${JSON.stringify(name)} cannot be a collection's name: at most 100 bytes, no $ or control character, not beginning with system.`,
    );
  }
}

function declaredNatives(spec: DaoSpec): Map<string, NativeType> {
  const declared = new Map<string, NativeType>((spec.uuids ?? []).map((path) => [path, "uuid"]));
  for (const [path, native] of Object.entries(spec.native ?? {})) declared.set(path, native);
  return declared;
}

const natives: readonly string[] = ["uuid", "date", "bigint", "bytes"] satisfies NativeType[];

function checkShape(spec: DaoSpec, shape: Shape, declared: ReadonlyMap<string, NativeType>, bad: (fact: string) => HexkitError): void {
  if (shape.types !== undefined && !shape.types.has("object")) throw bad(`${spec.name}: the schema is not one of an object`);
  for (const [path, native] of declared) {
    if (!natives.includes(native)) throw bad(`${spec.name}: native ${path}: ${JSON.stringify(native)} is none of ${natives.join(", ")}`);
    if (shape.at(path.split(".")) === undefined) throw bad(`${spec.name}: native ${path}: the schema has no such field`);
  }
  if (spec.jsonSchema !== undefined || !("~standard" in spec.schema)) return;
  const input = Shape.of(jsonSchemaOf(spec.schema, undefined, "input"), new Map());
  for (const name of shape.names) {
    const [given, taken] = [shape.property(name)?.types, input.property(name)?.types];
    const disjoint =
      given !== undefined &&
      taken !== undefined &&
      ![...given].some((type) => taken.has(type) || (type === "integer" && taken.has("number")));
    if (disjoint)
      throw bad(
        `${spec.name}: the schema does not accept what it gives: ${name} is read as ${[...(taken ?? [])]} and given as ${[...(given ?? [])]}`,
      );
  }
}

function idKindOf({ name, idField }: DaoSpec, shape: Shape, refuse: Refuse): IdKind {
  const id = shape.names.includes(idField) && idField !== metadataField ? shape.property(idField) : undefined;
  if (id === undefined) {
    throw refuse(
      "ERR_HEXKIT_ID_FIELD_NOT_FOUND",
      `open ${name}: the schema has no field ${JSON.stringify(idField)}; it has ${shape.names.join(", ")}`,
    );
  }
  const type = id.isSingle ? [...(id.types ?? [])][0] : undefined;
  if (type === "integer" && id.native === undefined) return "integer";
  if (type === "string" && id.native === "uuid") return "uuid";
  if (type === "string" && id.native === undefined) return "text";
  const found = id.native ?? ([...(id.types ?? ["any type"])].join(" or ") || "nothing");
  throw refuse("ERR_HEXKIT_ID_TYPE_UNSUPPORTED", `open ${name}: the id field ${idField} is ${found}; an id is text, an integer or a UUID`);
}

function indexSpec(index: DaoIndex<unknown>, fields: Fields, collection: string, refuse: Refuse): IndexSpec {
  const bad = (fact: string): HexkitError => refuse("ERR_HEXKIT_INDEX_INVALID", `open ${collection}: index: ${fact}`);
  const given: unknown = index?.fields;
  const entries: [unknown, unknown][] =
    typeof given === "string"
      ? [[given, 1]]
      : Array.isArray(given)
        ? given.map((name): [unknown, unknown] => [name, 1])
        : Object.entries((given as object | null | undefined) ?? {});
  if (entries.length === 0) throw bad("`fields` names no field");
  const keys = entries.map(([name, direction]): SortKey => {
    if (typeof name !== "string") throw bad("`fields` is a field's name, a list of them, or an object of names and 1 or -1");
    if (direction !== 1 && direction !== -1) throw bad(`${name}: the direction is 1 or -1`);
    try {
      return { path: resolveField(name, fields).path, descending: direction === -1 };
    } catch (error) {
      throw error instanceof BadFilter ? bad(error.message) : error;
    }
  });
  if (new Set(keys.map(({ path }) => path.join("."))).size < keys.length) throw bad("a field is named twice");
  return { fields: keys, unique: index.unique ?? false, sparse: index.sparse ?? false };
}

/** Deep enough for what a JSON Schema may change. */
function copy(value: unknown, depth = 0): unknown {
  if (typeof value !== "object" || value === null || depth > 200) return value;
  if (Array.isArray(value)) return value.map((each) => copy(each, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return value;
  const made: Record<string, unknown> = {};
  // Ajv takes a property that is undefined for one of a wrong type.
  for (const [key, each] of Object.entries(value)) if (each !== undefined) setOwn(made, key, copy(each, depth + 1));
  return made;
}
