import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import formats from "ajv-formats";
import { expectation } from "./coerce.ts";
import { escapePointer } from "./names.ts";
import { hint } from "./suggest.ts";
import type { ObjectSchema, PropertySchema } from "./types.ts";

/** One thing wrong with a value. Messages tell what is asked for, never what was given. */
export interface Finding {
  /** JSON pointer within the validated value. */
  readonly pointer: string;
  readonly message: string;
  /** A required key that is not there; `pointer` then leads to it. */
  readonly missing?: boolean;
  /** Not the value is wrong, but the schema that it is checked with. */
  readonly faulty?: boolean;
}

// One for the process, made when first needed. Without the meta schema, whose compilation alone took as long as everything else in
// opening: a keyword that ajv cannot compile is still found.
let shared: Ajv | undefined;
/** By the schema object, so that a registry opened again compiles nothing. */
const compiled = new WeakMap<ObjectSchema, ValidateFunction>();

function compile(schema: ObjectSchema): ValidateFunction {
  const known = compiled.get(schema);
  if (known !== undefined) return known;
  if (shared === undefined) {
    // `verbose` only for the schema in the findings; the data it adds is never printed.
    shared = new Ajv({
      allErrors: true,
      useDefaults: true,
      strict: false,
      verbose: true,
      logger: false,
      meta: false,
      validateSchema: false,
    });
    formats.default(shared);
  }
  try {
    const validate = shared.compile(schema);
    compiled.set(schema, validate);
    return validate;
  } finally {
    // It would hold every schema for ever; two registries may also bring different ones with one `$id`.
    shared.removeSchema(schema);
  }
}

/** Checks a value against a draft-07 schema, without coercion: fills defaults in and tells what is wrong. */
export function check(schema: ObjectSchema, value: unknown): Finding[] {
  let validate: ValidateFunction;
  try {
    validate = compile(schema);
  } catch (error) {
    return [
      { pointer: "", message: `its schema is not valid JSON Schema, its author must mend it: ${(error as Error).message}`, faulty: true },
    ];
  }
  return validate(value) ? [] : findings(validate.errors ?? []);
}

function findings(errors: readonly ErrorObject[]): Finding[] {
  const choices = errors.filter(({ keyword }) => keyword === "anyOf" || keyword === "oneOf");
  const withinChoice = (error: ErrorObject): boolean =>
    choices.some((choice) => choice !== error && error.schemaPath.startsWith(`${choice.schemaPath}/`));
  return errors.filter((error) => error.keyword !== "if" && !withinChoice(error)).map(finding);
}

function finding(error: ErrorObject): Finding {
  const { keyword, params, instancePath: pointer } = error;
  const schema = (error.parentSchema ?? {}) as PropertySchema;
  const below = (key: string): string => `${pointer}/${escapePointer(key)}`;
  if (keyword === "required") return { pointer: below(params.missingProperty), message: "is missing", missing: true };
  if (keyword === "additionalProperties") {
    const key: string = params.additionalProperty;
    return { pointer: below(key), message: `unknown${hint(key, Object.keys(schema.properties ?? {}))}` };
  }
  if (typeof schema["x-message"] === "string" && keyword !== "type") return { pointer, message: schema["x-message"] };
  switch (keyword) {
    case "type":
    case "anyOf":
    case "oneOf":
      return { pointer, message: `must be ${expectation(schema)}` };
    case "enum":
      return {
        pointer,
        message: `must be one of ${(params.allowedValues as unknown[]).map((value) => JSON.stringify(value)).join(", ")}`,
      };
    case "const":
      return { pointer, message: `must be ${JSON.stringify(params.allowedValue)}` };
    case "minLength":
      return { pointer, message: params.limit === 1 ? "must not be empty" : `must have at least ${params.limit} characters` };
    case "minItems":
      return { pointer, message: `must have at least ${params.limit} ${params.limit === 1 ? "element" : "elements"}` };
    case "format":
      return { pointer, message: `must be a valid ${params.format}` };
    default:
      return { pointer, message: error.message ?? `breaks the rule ${keyword}` };
  }
}
