import { namedVariables, type VariableTable } from "./env.ts";
import { type Branch, childrenOf, isBranch, type Leaf, leavesOf, type Node, nodeAt, placeOf } from "./layers.ts";
import {
  type BindingName,
  bindingVariable,
  camel,
  escapePointer,
  isForeignPlugin,
  namePattern,
  parseBinding,
  quoted,
  reservedNames,
  settingPrefix,
  snake,
  variableOf,
} from "./names.ts";
import { sectionNames, sections, topLevelKeys } from "./sections.ts";
import { hint } from "./suggest.ts";
import type { PluginVocabulary, Problem, ProtocolVocabulary, Vocabulary } from "./types.ts";
import { own, ownSettings, partsOf } from "./vocabulary.ts";

/** A binding that the sources make. */
export interface PlannedBinding {
  readonly binding: string;
  readonly name: BindingName;
  readonly protocol: ProtocolVocabulary;
  readonly pointer: string;
  readonly node: Node | undefined;
  /** Where the provider is named. Absent for a composed protocol, and if it is wrong. */
  readonly provider?: Leaf & { readonly value: string };
}

/** A provider that something is bound to. */
export interface PlannedProvider {
  readonly name: string;
  readonly specifier: string;
  readonly plugin: PluginVocabulary;
  readonly node: Node | undefined;
}

export const isComposed = (protocol: ProtocolVocabulary): boolean => protocol.composes !== undefined;

/** Enters the variables of sections and bindings. `tree` is that of the files. */
export function addBindingVariables(
  table: VariableTable,
  tree: Branch,
  vocabulary: Vocabulary,
  env: Readonly<Record<string, string | undefined>>,
): void {
  for (const section of sectionNames) {
    table.addScope({
      pointer: `/${section}`,
      prefix: `${variableOf(section)}_`,
      properties: sections[section].properties,
      subject: (key) => `${section}.${key}`,
    });
  }
  const named = new Set(Object.keys(vocabulary.protocols));
  for (const binding of childrenOf(nodeAt(tree, "protocols")).keys()) named.add(binding);
  for (const { protocol, name, setting } of namedVariables(env, Object.keys(vocabulary.protocols))) {
    const camelName = camel(name);
    const definition = own(vocabulary.protocols, protocol);
    if (camelName === undefined || definition === undefined) continue;
    // What makes a binding by environment: the provider, or a part of a composed one. A mere setting does not.
    const part = setting === undefined ? undefined : camel(setting);
    if (isComposed(definition) ? part !== undefined && own(definition.composes ?? {}, part) !== undefined : setting === undefined) {
      named.add(`${protocol}:${camelName}`);
    }
  }
  for (const binding of named) {
    const name = parseBinding(binding);
    const protocol = name && own(vocabulary.protocols, name.protocol);
    if (name === undefined || protocol === undefined) continue;
    const pointer = `/protocols/${escapePointer(binding)}`;
    const subject = (key: string): string => `setting "${key}" of ${binding}`;
    if (!isComposed(protocol)) {
      table.add({
        name: bindingVariable(name),
        pointer: `${pointer}/provider`,
        schema: { type: "string" },
        subject: `the provider of ${binding}`,
        fromFile: false,
      });
    }
    table.addScope({
      pointer,
      prefix: settingPrefix(name),
      properties: { ...ownSettings(protocol).properties, ...partsOf(protocol) },
      subject,
    });
  }
}

/** Checks the outline of the configuration: its top, the sections and the providers' entries. */
export function checkOutline(tree: Branch, vocabulary: Vocabulary, problems: Problem[]): void {
  for (const [key, node] of tree.children) {
    if (!topLevelKeys.includes(key))
      problems.push({ place: placeOf(node, key), message: `unknown section ${quoted(key)}${hint(key, topLevelKeys)}` });
    else if (key === "$schema" ? isBranch(node) || typeof node.value !== "string" : !isBranch(node)) {
      problems.push({ place: placeOf(node, key), message: key === "$schema" ? "must be text" : "must be an object" });
    }
  }
  const plugins = [...new Set([...vocabulary.builtinPlugins, ...Object.keys(vocabulary.plugins)])];
  for (const [name, node] of childrenOf(nodeAt(tree, "providers"))) {
    const place = placeOf(node, `/providers/${name}`);
    const refuse = (message: string, at: Node | undefined = node): void => void problems.push({ place: placeOf(at, place), message });
    checkProviderName(name, vocabulary, refuse);
    if (!isBranch(node)) {
      refuse("must be an object with the keys plugin and options");
      continue;
    }
    for (const [key, child] of node.children)
      if (key !== "plugin" && key !== "options") refuse(`unknown key ${quoted(key)}${hint(key, ["plugin", "options"])}`, child);
    const plugin = node.children.get("plugin");
    const options = node.children.get("options");
    if (plugin === undefined) refuse('"plugin" is missing: it names the technology');
    else if (isBranch(plugin) || typeof plugin.value !== "string") refuse("must be the name of a plugin", plugin);
    else if (!plugins.includes(plugin.value) && !isForeignPlugin(plugin.value) && !isRefused(plugin.value, vocabulary))
      refuse(`unknown plugin ${quoted(plugin.value)}${hint(plugin.value, plugins)}`, plugin);
    if (options !== undefined && !isBranch(options)) refuse("must be an object", options);
  }
}

function checkProviderName(name: string, vocabulary: Vocabulary, refuse: (message: string) => void): void {
  if (!namePattern.test(name)) refuse(`provider ${quoted(name)}: the name must be lower camel case, such as "events"`);
  else if (reservedNames.includes(name) || Object.hasOwn(vocabulary.protocols, name))
    refuse(`no provider may be called ${quoted(name)}: that name is taken`);
}

/** The plugin that a provider's name leads to. */
function specifierOf(tree: Branch, provider: Node | undefined): string | undefined {
  if (provider === undefined || isBranch(provider) || typeof provider.value !== "string") return undefined;
  const declared = childrenOf(nodeAt(tree, "providers")).get(provider.value);
  const plugin = declared === undefined ? provider : nodeAt(declared, "plugin");
  return plugin === undefined || isBranch(plugin) || typeof plugin.value !== "string" ? undefined : plugin.value;
}

const isRefused = (specifier: string | undefined, { refusedPlugins = [] }: Vocabulary): boolean =>
  specifier !== undefined && refusedPlugins.includes(specifier);

/** The bindings that the merged configuration makes. Others are reported, or are the names of unbound protocols with settings: `unused`. */
export function planBindings(tree: Branch, vocabulary: Vocabulary, problems: Problem[]): { bindings: PlannedBinding[]; unused: string[] } {
  const bindings: PlannedBinding[] = [];
  const unused: string[] = [];
  for (const [binding, node] of childrenOf(nodeAt(tree, "protocols"))) {
    const place = placeOf(node, binding);
    const name = parseBinding(binding);
    const protocol = name && own(vocabulary.protocols, name.protocol);
    const provider = nodeAt(node, "provider");
    if (name === undefined) {
      problems.push({
        place,
        message: `binding ${quoted(binding)}: must be a protocol, or a protocol and a name, such as "dao" or "dao:orders"`,
      });
    } else if (protocol === undefined) {
      // The plugin that would bring it may be the one that could not be loaded.
      if (isRefused(specifierOf(tree, provider), vocabulary)) continue;
      problems.push({
        place,
        message: `unknown protocol ${quoted(name.protocol)}${hint(name.protocol, Object.keys(vocabulary.protocols))}`,
      });
    } else if (!isBranch(node)) {
      problems.push({ place, message: `must be ${isComposed(protocol) ? "an object" : "a provider's name or an object"}` });
    } else {
      const planned = { binding, name, protocol, pointer: `/protocols/${escapePointer(binding)}`, node };
      // Only a variable gives settings, and nothing else speaks of the binding.
      const isBare =
        node.place === undefined && provider === undefined && !Object.keys(protocol.composes ?? {}).some((part) => node.children.has(part));
      if (isBare && name.name === undefined) unused.push(binding);
      else if (isComposed(protocol)) {
        if (provider !== undefined) problems.push({ place: placeOf(provider, place), message: composedMessage(name, protocol) });
        bindings.push(planned);
      } else if (provider === undefined) {
        problems.push({ place, message: `no provider: set "provider" here, or ${bindingVariable(name)}` });
      } else if (isBranch(provider) || typeof provider.value !== "string") {
        problems.push({ place: placeOf(provider, place), message: "must be a provider's name" });
      } else bindings.push({ ...planned, provider: provider as Leaf & { value: string } });
    }
  }
  return { bindings, unused };
}

/** Why a composed protocol takes no provider, and what to do instead. */
export function composedMessage(name: BindingName, protocol: ProtocolVocabulary): string {
  const parts = Object.keys(protocol.composes ?? {});
  const variables = Object.keys(partsOf(protocol)).map((part) => settingPrefix(name) + snake(part));
  return `${name.protocol} has no provider of its own, it is composed of ${parts.join(", ")}; choose those bindings instead (${variables.join(", ")})`;
}

/** The providers that bindings use, in order of first use. */
export function planProviders(
  tree: Branch,
  bindings: readonly PlannedBinding[],
  vocabulary: Vocabulary,
  problems: Problem[],
): Map<string, PlannedProvider> {
  const planned = new Map<string, PlannedProvider>();
  const byLeafValue = new Map<string, PlannedProvider | undefined>();
  const declared = childrenOf(nodeAt(tree, "providers"));
  const folders = new Map<string, string>();
  for (const { provider, name } of bindings) {
    if (provider === undefined) continue;
    if (!byLeafValue.has(provider.value))
      byLeafValue.set(provider.value, planProvider(provider, declared, vocabulary, problems, planned, folders));
    const found = byLeafValue.get(provider.value);
    if (found === undefined) continue;
    planned.set(found.name, found);
    if (found.plugin.provides.includes(name.protocol)) continue;
    const others = Object.entries(vocabulary.plugins)
      .filter(([, plugin]) => plugin.provides.includes(name.protocol))
      .map(([specifier]) => specifier);
    problems.push({
      place: provider.place,
      message:
        `provider ${quoted(found.name)} (plugin ${found.specifier}) has no ${name.protocol}; it provides ${found.plugin.provides.join(", ")}` +
        (others.length === 0 ? "" : `. Loaded plugins that have it: ${others.join(", ")}`),
    });
  }
  return planned;
}

function planProvider(
  leaf: Leaf & { readonly value: string },
  declared: ReadonlyMap<string, Node>,
  vocabulary: Vocabulary,
  problems: Problem[],
  planned: ReadonlyMap<string, PlannedProvider>,
  folders: Map<string, string>,
): PlannedProvider | undefined {
  const refuse = (message: string): undefined => void problems.push({ place: leaf.place, message });
  const node = declared.get(leaf.value);
  const named = node === undefined ? leaf : nodeAt(node, "plugin");
  // What is wrong with a declared entry is reported with the entry.
  if (named === undefined || isBranch(named) || typeof named.value !== "string") return undefined;
  const specifier = named.value;
  const plugin = own(vocabulary.plugins, specifier);
  if (plugin === undefined) {
    if (isRefused(specifier, vocabulary)) return undefined;
    if (vocabulary.builtinPlugins.includes(specifier) || isForeignPlugin(specifier))
      return refuse(`plugin ${quoted(specifier)} is not loaded`);
    return node === undefined
      ? refuse(
          `unknown provider or plugin ${quoted(specifier)}${hint(specifier, [...new Set([...declared.keys(), ...vocabulary.builtinPlugins])])}`,
        )
      : undefined;
  }
  const folder = folders.get(specifier) ?? named.folder;
  folders.set(specifier, folder);
  if (/^\.{1,2}\//.test(specifier) && folder !== named.folder)
    return refuse(`plugin ${quoted(specifier)} is named in two folders, where it means two files; use one absolute path`);
  if (node !== undefined) return { name: leaf.value, specifier, plugin, node };
  checkProviderName(plugin.name, vocabulary, refuse);
  const other = declared.has(plugin.name) ? "an entry in providers" : planned.get(plugin.name)?.specifier;
  if (other !== undefined && other !== specifier)
    return refuse(
      `two providers are called ${quoted(plugin.name)}: ${quoted(specifier)} and ${other}; give this one an entry with another name in providers`,
    );
  return { name: plugin.name, specifier, plugin, node: undefined };
}

/** Enters the variables of the bound providers' options. */
export function addOptionVariables(table: VariableTable, providers: Iterable<PlannedProvider>): void {
  for (const { name, plugin } of providers) {
    const subject = (key: string): string => `option "${key}" of provider "${name}"`;
    table.addScope({
      pointer: `/providers/${name}/options`,
      prefix: `${variableOf(name)}_`,
      properties: plugin.options.properties,
      subject,
    });
  }
}

/** The variables that `$env` names anywhere: ours among them are not unknown. */
export function referencedVariables(tree: Branch): Set<string> {
  const names = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const target = (value as Record<string, unknown>).$env;
    if (typeof target === "string") names.add(target);
    for (const child of Object.values(value)) visit(child);
  };
  for (const leaf of leavesOf(tree)) visit(leaf.value);
  return names;
}
