import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { HexkitError } from "./errors.ts";

/** The part of the Standard Schema interface (version 1) that we use: zod, valibot, arktype, TypeBox and others speak it. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

type StandardResult<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly StandardIssue[] };
interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A JSON Schema, draft-07, written `as const` where its type is to be inferred. */
export type JsonSchema = Exclude<JSONSchema, boolean>;
/** What validates data: a Standard Schema or a JSON Schema. */
export type Schema = StandardSchema | JsonSchema;
/** The type that a schema accepts. */
export type SchemaInput<S> = S extends StandardSchema<infer Input, unknown> ? Input : S extends JSONSchema ? FromSchema<S> : unknown;
/** The type that a schema gives. */
export type SchemaOutput<S> = S extends StandardSchema<infer _, infer Output> ? Output : S extends JSONSchema ? FromSchema<S> : unknown;

/** Valid data as the schema gives it, or what is wrong with it: `path: reason`. */
export type Validation = { readonly value: unknown; readonly issues?: undefined } | { readonly issues: readonly string[] };
/** At once where the schema can: a promise for each of many documents would cost more than its check. */
export type Validator = (value: unknown) => Validation | Promise<Validation>;

/**
 * Makes a validator. JSON Schema is checked strictly, without coercion; its defaults are filled in.
 * @throws ERR_HEXKIT_INVALID_ARGUMENT if it is neither kind of schema, or a JSON Schema that cannot be compiled.
 */
export async function compileSchema(schema: Schema, subject: string): Promise<Validator> {
  if (isStandardSchema(schema)) {
    const read = (result: StandardResult<unknown>): Validation =>
      result.issues === undefined ? { value: result.value } : { issues: result.issues.map(describeIssue) };
    return (value) => {
      const result = schema["~standard"].validate(value);
      return result instanceof Promise ? result.then(read) : read(result);
    };
  }
  if (typeof schema !== "object" || schema === null) {
    throw new HexkitError(
      "ERR_HEXKIT_INVALID_ARGUMENT",
      `${subject}: a schema is a Standard Schema (zod, valibot, …) or a JSON Schema object`,
    );
  }
  try {
    const [{ Ajv }, { default: formats }] = await Promise.all([import("ajv"), import("ajv-formats")]);
    const ajv = new Ajv({ allErrors: true, useDefaults: true, strictSchema: true, strictTypes: false, strictTuples: false });
    formats.default(ajv);
    const validate = ajv.compile(schema as object);
    return (value) =>
      validate(value)
        ? { value }
        : { issues: (validate.errors ?? []).map((error) => `${pointerPath(error.instancePath, error.params)}: ${error.message}`) };
  } catch (error) {
    throw new HexkitError(
      "ERR_HEXKIT_INVALID_ARGUMENT",
      `${subject}: not a JSON Schema that can be compiled: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

function isStandardSchema(schema: Schema): schema is StandardSchema {
  // Not only objects: an arktype schema is a function.
  return (typeof schema === "object" || typeof schema === "function") && schema !== null && "~standard" in schema;
}

function describeIssue({ message, path }: StandardIssue): string {
  const at = (path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
  return `${at || "(root)"}: ${message}`;
}

function pointerPath(pointer: string, params: Record<string, unknown>): string {
  const parts = pointer.split("/").slice(1);
  const own = [params.missingProperty, params.additionalProperty, params.propertyName].filter((name) => typeof name === "string");
  return [...parts.map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~")), ...own].join(".") || "(root)";
}
