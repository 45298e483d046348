import type { FromSchema, JSONSchema } from "json-schema-to-ts";

/**
 * The JSON Schema (draft-07) of a plugin's options or a protocol's settings, written `as const`: one source for the
 * type, the defaults, the environment variables and the editor's help. Options are flat or one level deep;
 * every property has a `description`; `writeOnly: true` marks a secret.
 */
export interface OptionsSchema {
  readonly type: "object";
  readonly additionalProperties: false;
  readonly required?: readonly string[];
  readonly properties: Readonly<Record<string, OptionSchema>>;
}

/** One option or setting. Any draft-07 keyword may be used; these are the ones that we read ourselves. */
export interface OptionSchema {
  readonly type?: string | readonly string[];
  readonly description: string;
  readonly default?: unknown;
  /** A secret: masked wherever the configuration is printed, and readable from a file by `…_FILE`. */
  readonly writeOnly?: boolean;
  readonly properties?: Readonly<Record<string, OptionSchema>>;
  readonly items?: object;
  readonly [keyword: string]: unknown;
}

/** The type that an `OptionsSchema` describes, defaults filled in. */
export type OptionsOf<Schema> = Schema extends JSONSchema ? FromSchema<Schema> : never;

/** Why options cannot be read from what plain JavaScript, too, may have given; `undefined` if they can. */
export function optionsFault(schema: unknown): string | undefined {
  if (!isRecord(schema) || schema.type !== "object" || !isRecord(schema.properties)) {
    return 'must be a JSON Schema with `type: "object"` and `properties`';
  }
  for (const [name, property] of Object.entries(schema.properties)) {
    const inner = isRecord(property) && property.properties !== undefined ? property.properties : {};
    const bad = isRecord(property) && isRecord(inner) && Object.values(inner).every(isRecord) ? undefined : name;
    if (bad !== undefined) return `has a property ${JSON.stringify(bad)} that is no schema, such as { type: "string", description: "…" }`;
  }
  return undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
