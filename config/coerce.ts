import { parseJson } from "./json.ts";
import { isObject } from "./layers.ts";
import type { PropertySchema } from "./types.ts";

/** What a text became, or what it should have been. */
export type Coerced = { readonly value: unknown } | { readonly expected: string };

const wording: Readonly<Record<string, string>> = {
  string: "text",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  null: "null",
};

/** A schema and all the schemas that it combines. */
export function alternatives(schema: PropertySchema): PropertySchema[] {
  const combined = ["allOf", "anyOf", "oneOf"].flatMap((keyword) => (Array.isArray(schema[keyword]) ? (schema[keyword] as unknown[]) : []));
  const conditional = ["then", "else"].map((keyword) => schema[keyword]);
  return [schema, ...[...combined, ...conditional].filter(isObject).flatMap((part) => alternatives(part as PropertySchema))];
}

const typeOfValue = (value: unknown): string => (value === null ? "null" : Array.isArray(value) ? "array" : typeof value);

/** The types that a schema allows; none if it does not say. */
function typesOf(schema: PropertySchema): Set<string> {
  const types = new Set<string>();
  for (const part of alternatives(schema)) {
    if (part.type !== undefined) for (const type of [part.type].flat() as string[]) types.add(type);
    else if (Array.isArray(part.enum)) for (const value of part.enum) types.add(typeOfValue(value));
    else if ("const" in part) types.add(typeOfValue(part.const));
  }
  return types;
}

/** `a whole number`, `true or false, or text`. */
export function expectation(schema: PropertySchema): string {
  const types = [...typesOf(schema)];
  return types.length === 0 ? "a valid value" : types.map((type) => wording[type] ?? type).join(", or ");
}

/** The schema of one element of a list. */
export function itemsOf(schema: PropertySchema): PropertySchema {
  const holder = alternatives(schema).find((part) => isObject(part.items));
  return (holder?.items as PropertySchema | undefined) ?? {};
}

/** The schema of one key of an object; empty if the schema does not know it. */
export function propertyOf(schema: PropertySchema, key: string): PropertySchema {
  for (const part of alternatives(schema)) {
    if (part.properties !== undefined && Object.hasOwn(part.properties, key)) return part.properties[key] as PropertySchema;
  }
  const open = alternatives(schema).find((part) => isObject(part.additionalProperties));
  return (open?.additionalProperties as PropertySchema | undefined) ?? {};
}

/** Turns text from a variable or file into the type that the schema asks for. ajv checks the value afterwards. */
export function coerce(schema: PropertySchema, text: string): Coerced {
  const types = typesOf(schema);
  const refused: Coerced = { expected: expectation(schema) };
  const onlyWords = types.has("string") || types.has("number") || types.has("integer");
  if (types.has("boolean")) {
    if (text === "true" || (text === "1" && !onlyWords)) return { value: true };
    if (text === "false" || (text === "0" && !onlyWords)) return { value: false };
  }
  if ((types.has("number") || types.has("integer")) && /^[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) {
    const value = Number(text);
    if (Number.isFinite(value) && (types.has("number") || Number.isSafeInteger(value))) return { value };
  }
  if (types.has("null") && !types.has("string") && text === "null") return { value: null };
  if (types.has("array") || types.has("object")) {
    if (/^\s*[[{]/.test(text)) {
      const parsed = parseJson(text);
      if (parsed.problems.length === 0 && types.has(typeOfValue(parsed.value))) return { value: parsed.value };
      const fact = parsed.problems[0] === undefined ? "" : ` (not valid JSON: ${parsed.problems[0].message})`;
      return types.has("string") ? { value: text } : { expected: refused.expected + fact };
    }
    if (types.has("array") && text !== "" && !types.has("string")) return coerceList(itemsOf(schema), text);
  }
  return types.size === 0 || types.has("string") ? { value: text } : refused;
}

function coerceList(items: PropertySchema, text: string): Coerced {
  const elements = text.split(",").map((element) => element.trim());
  if (elements.includes("")) return { expected: "a list separated by commas, without empty elements" };
  const values: unknown[] = [];
  for (const element of elements) {
    const coerced = coerce(items, element);
    if ("expected" in coerced) return { expected: `a list separated by commas, each ${coerced.expected}` };
    values.push(coerced.value);
  }
  return { value: values };
}
