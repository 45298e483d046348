import { namePattern, quoted, reservedNames } from "./names.ts";
import type { ObjectSchema, Problem, PropertySchema, ProtocolVocabulary, Vocabulary } from "./types.ts";

/** What is wrong with the plugins and protocols themselves: names that no variable could express without doubt. */
export function checkVocabulary(vocabulary: Vocabulary): Problem[] {
  const problems: Problem[] = [];
  for (const [name, protocol] of Object.entries(vocabulary.protocols)) {
    const place = `protocol ${name}`;
    if (!namePattern.test(name) || reservedNames.includes(name))
      problems.push({ place, message: "the name is reserved, or not lower camel case" });
    checkProperties(protocol.settings.properties, place, "setting", problems);
    if (Object.hasOwn(protocol.settings.properties, "provider")) problems.push({ place, message: 'no setting may be called "provider"' });
    for (const part of Object.keys(protocol.composes ?? {})) checkName(part, place, "part", problems);
  }
  for (const [specifier, plugin] of Object.entries(vocabulary.plugins)) {
    checkProperties(plugin.options.properties, `plugin ${specifier}`, "option", problems);
  }
  return problems;
}

function checkProperties(
  properties: Readonly<Record<string, PropertySchema>>,
  place: string,
  kind: string,
  problems: Problem[],
  depth = 0,
): void {
  for (const [name, schema] of Object.entries(properties)) {
    checkName(name, place, kind, problems);
    if (schema.properties === undefined) continue;
    if (depth > 0) problems.push({ place, message: `${kind} ${quoted(name)}: nested deeper than one level` });
    else checkProperties(schema.properties, `${place}, ${kind} ${name}`, kind, problems, 1);
  }
}

function checkName(name: string, place: string, kind: string, problems: Problem[]): void {
  if (!namePattern.test(name)) problems.push({ place, message: `${kind} ${quoted(name)}: the name must be lower camel case` });
  else if (name.endsWith("File")) {
    problems.push({
      place,
      message: `${kind} ${quoted(name)}: the name must not end in "File", which marks variables that name a secret's file`,
    });
  }
}

/** The settings of a composed protocol that choose its bindings, by their schema. Empty for others. */
export function partsOf(protocol: ProtocolVocabulary): Record<string, PropertySchema> {
  return Object.fromEntries(
    Object.entries(protocol.composes ?? {}).map(([part, composed]) => [
      part,
      { type: "string", default: composed, description: `The binding of ${composed} to use.`, ...own(protocol.settings.properties, part) },
    ]),
  );
}

/** A protocol's settings without those that choose bindings. */
export function ownSettings(protocol: ProtocolVocabulary): ObjectSchema {
  if (protocol.composes === undefined) return protocol.settings;
  const parts = protocol.composes ?? {};
  return {
    ...protocol.settings,
    required: (protocol.settings.required ?? []).filter((name) => !Object.hasOwn(parts, name)),
    properties: Object.fromEntries(Object.entries(protocol.settings.properties).filter(([name]) => !Object.hasOwn(parts, name))),
  };
}

// One object per protocol: what is compiled for it is kept by the object, and ajv never forgets what it has compiled.
const entrySchemas = new WeakMap<ProtocolVocabulary, ObjectSchema>();

/** What a binding's entry may hold beside its provider: settings and parts. */
export function entrySchema(protocol: ProtocolVocabulary): ObjectSchema {
  const known = entrySchemas.get(protocol);
  if (known !== undefined) return known;
  const settings = ownSettings(protocol);
  const schema = protocol.composes === undefined ? settings : { ...settings, properties: { ...settings.properties, ...partsOf(protocol) } };
  entrySchemas.set(protocol, schema);
  return schema;
}

/** A property of an object, and never one that it inherits. */
export const own = <Value>(object: Readonly<Record<string, Value>>, key: string): Value | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined;
