import { isObject } from "./layers.ts";
import { escapePointer, reservedNames } from "./names.ts";
import { sectionNames, sections } from "./sections.ts";
import type { ObjectSchema, PropertySchema, Vocabulary } from "./types.ts";
import { ownSettings, partsOf } from "./vocabulary.ts";

type Json = Record<string, unknown>;

const reference = (name: string): Json => ({ $ref: `#/definitions/${encodeURIComponent(escapePointer(name))}` });

/**
 * The JSON Schema (draft-07) of the configuration's file, for editors. Nothing is required in it but a provider's plugin:
 * the rest may come from the environment or another file.
 */
export function configSchema(vocabulary: Vocabulary): object {
  const plugins = Object.entries(vocabulary.plugins).sort(byName);
  const protocols = Object.entries(vocabulary.protocols).sort(byName);
  const names = [...new Set([...vocabulary.builtinPlugins, ...plugins.map(([specifier]) => specifier)])].sort();
  const protocolProperties: Json = {};
  const protocolPatterns: Json = {};
  const settings: Json = {};
  for (const [name, protocol] of protocols) {
    const composed = protocol.composes !== undefined;
    const own = ownSettings(protocol);
    const object = objectOf(
      { ...own, properties: { ...partsOf(protocol), ...own.properties } },
      composed ? {} : { provider: providerName },
    );
    settings[`settings.${name}`] = composed ? object : { anyOf: [providerName, object] };
    protocolProperties[name] = { description: `The binding of ${name}.`, ...inAllOf(`settings.${name}`) };
    protocolPatterns[`^${name}:[a-z][A-Za-z0-9]*$`] = { description: `A named binding of ${name}.`, ...inAllOf(`settings.${name}`) };
  }
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "hexkit configuration",
    type: "object",
    additionalProperties: false,
    properties: {
      $schema: { type: "string", description: "Where editors find this schema." },
      ...Object.fromEntries(sectionNames.map((section) => [section, objectOf(sections[section])])),
      providers: {
        type: "object",
        description: "Configured instances of plugins, by names of your own.",
        propertyNames: { pattern: "^[a-z][A-Za-z0-9]*$", not: { enum: [...reservedNames, ...protocols.map(([name]) => name)] } },
        additionalProperties: reference("provider"),
      },
      protocols: {
        type: "object",
        description: "What each protocol is bound to.",
        additionalProperties: false,
        properties: protocolProperties,
        patternProperties: protocolPatterns,
      },
    },
    definitions: {
      reference: {
        description: "A value kept elsewhere: in a variable or in a file.",
        oneOf: ["$env", "$file"].map((key) => ({
          type: "object",
          additionalProperties: false,
          required: [key],
          properties: {
            [key]: {
              type: "string",
              minLength: 1,
              description: key === "$env" ? "Name of the variable." : "Path of the file, relative to this one.",
            },
          },
        })),
      },
      provider: {
        type: "object",
        additionalProperties: false,
        required: ["plugin"],
        properties: {
          plugin: {
            description: "The technology: a plugin's short name, a package, or a path relative to this file.",
            anyOf: [{ enum: names }, { type: "string", pattern: "/|^hexkit-plugin-" }],
          },
          options: { type: "object", description: "The plugin's own options." },
        },
        allOf: plugins.map(([specifier]) => ({
          if: { properties: { plugin: { const: specifier } }, required: ["plugin"] },
          // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
          then: { properties: { options: reference(`options.${specifier}`) } },
        })),
      },
      ...Object.fromEntries(plugins.map(([specifier, plugin]) => [`options.${specifier}`, objectOf(plugin.options)])),
      ...settings,
    },
  };
}

const providerName: Json = { type: "string", minLength: 1, description: "A provider's name, or a plugin to use with defaults." };

const byName = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1);

/** Draft-07 ignores what stands beside `$ref`. */
const inAllOf = (name: string): Json => ({ allOf: [reference(name)] });

function objectOf(schema: ObjectSchema, more: Json = {}): Json {
  const properties = Object.entries(schema.properties).map(([name, property]) => [name, orReference(property)]);
  return { type: "object", additionalProperties: false, properties: { ...more, ...Object.fromEntries(properties) } };
}

/** The schema of a value that may also be kept elsewhere. */
function orReference(property: PropertySchema): Json {
  const { description, default: initial, ...rest } = property;
  return {
    ...(description === undefined ? {} : { description }),
    ...("default" in property ? { default: initial } : {}),
    anyOf: [inside(rest), reference("reference")],
  };
}

function inside({ required: _, ...schema }: Json): Json {
  const { properties, items } = schema;
  return {
    ...schema,
    ...(isObject(properties)
      ? { properties: Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, orReference(child as PropertySchema)])) }
      : {}),
    ...(isObject(items) ? { items: orReference(items as PropertySchema) } : {}),
  };
}
