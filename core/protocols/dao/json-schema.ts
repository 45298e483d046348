import type { JsonSchema, Schema } from "../../schema.ts";
import { nativeKeyword } from "./shape.ts";

type Direction = "input" | "output";
type Node = Readonly<Record<string, unknown>>;

/** What a Standard Schema with Standard JSON Schema has besides. */
interface JsonSchemaSource {
  readonly "~standard": {
    readonly jsonSchema?: Partial<Record<Direction, (options: { target: string; libraryOptions?: object }) => Node>>;
  };
}

/** What is to be told to the caller; it has no binding yet. */
export class UnusableSchema extends Error {}

/**
 * The JSON Schema of what a schema takes or gives, as far as it can be had.
 * @throws UnusableSchema if it cannot say, or says that it is no object.
 */
export function jsonSchemaOf(schema: Schema, beside: JsonSchema | undefined, direction: Direction): Node {
  if ((typeof schema !== "object" && typeof schema !== "function") || schema === null) {
    throw new UnusableSchema("`schema` must be a Standard Schema (zod, valibot, …) or a JSON Schema object");
  }
  const found = "~standard" in schema ? ((beside as Node | undefined) ?? convert(schema, direction)) : (schema as Node);
  if (typeof found !== "object" || found === null) throw new UnusableSchema("`jsonSchema` must be a JSON Schema object");
  return found;
}

function convert(schema: object, direction: Direction): Node {
  const make = (schema as JsonSchemaSource)["~standard"].jsonSchema?.[direction];
  if (make === undefined) throw new UnusableSchema("`schema` cannot say its JSON Schema; give that too, as `jsonSchema`");
  try {
    // Dates, bigints and bytes have no JSON Schema. Of zod's two options the first keeps them from being refused, the second tells us of them.
    return make({ target: "draft-07", libraryOptions: { unrepresentable: "any", override: noteNative } });
  } catch (error) {
    throw new UnusableSchema(`\`schema\` cannot say its JSON Schema (${(error as Error).message}); give that, as \`jsonSchema\``);
  }
}

interface Described {
  readonly zodSchema?: { readonly _zod?: { readonly def?: { readonly type?: unknown } } };
  readonly jsonSchema?: Record<string, unknown>;
}

function noteNative({ zodSchema, jsonSchema }: Described): void {
  const type = zodSchema?._zod?.def?.type;
  if ((type === "date" || type === "bigint") && jsonSchema !== undefined && Object.keys(jsonSchema).length === 0) {
    jsonSchema[nativeKeyword] = type;
  }
}
