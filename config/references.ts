import { childrenOf, isBranch, type Leaf, merge, type Node, nodeAt } from "./layers.ts";
import { bindingVariable, camel, isForeignPlugin, isKubernetesLink, namePattern, parseBinding, snake } from "./names.ts";
import type { PluginReference } from "./types.ts";

interface Read {
  readonly layers: readonly (readonly Leaf[])[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** A binding that a variable makes or changes. */
interface Bound {
  readonly provider: string;
  readonly place: string;
  readonly folder: string;
  readonly candidate?: boolean;
}

/** The plugins that the sources name, each once per folder for paths and once otherwise. */
export function references(read: Read, knownProtocols: readonly string[], builtinPlugins: readonly string[]): PluginReference[] {
  const tree = merge(read.layers);
  const declared = nodeAt(tree, "providers");
  const found = new Map<string, PluginReference>();
  const add = (specifier: unknown, place: string, folder: string, candidate: boolean): void => {
    if (typeof specifier !== "string") return;
    const foreign = isForeignPlugin(specifier);
    if (!foreign && !builtinPlugins.includes(specifier)) return;
    const key = /^\.{1,2}\//.test(specifier) ? `${folder}\n${specifier}` : specifier;
    const known = found.get(key);
    if (known !== undefined && (known.candidate !== true || candidate)) return;
    found.set(key, { specifier, place, folder, ...(candidate ? { candidate } : {}) });
  };
  for (const { provider, place, folder, candidate = false } of bound(read, tree, knownProtocols, builtinPlugins)) {
    const entry = childrenOf(declared).get(provider);
    if (entry === undefined) add(provider, place, folder, candidate);
    else {
      const plugin = nodeAt(entry, "plugin");
      if (plugin !== undefined && !isBranch(plugin)) add(plugin.value, plugin.place, plugin.folder, candidate);
    }
  }
  return [...found.values()];
}

function bound(read: Read, tree: Node, knownProtocols: readonly string[], builtinPlugins: readonly string[]): Bound[] {
  const bindings = new Map<string, Bound>();
  for (const [binding, entry] of childrenOf(nodeAt(tree, "protocols"))) {
    const provider = nodeAt(entry, "provider");
    if (provider === undefined || isBranch(provider) || typeof provider.value !== "string") continue;
    const name = parseBinding(binding);
    bindings.set(name === undefined ? binding : bindingVariable(name), {
      provider: provider.value,
      place: provider.place,
      folder: provider.folder,
    });
  }
  const known = new Set(knownProtocols.map(snake));
  const owners = [
    ...knownProtocols,
    ...builtinPlugins,
    ...childrenOf(nodeAt(tree, "providers")).keys(),
    "service",
    "log",
    "lifecycle",
    "telemetry",
    "test",
  ];
  for (const [variable, value] of Object.entries(read.env)) {
    if (value === undefined || !variable.startsWith("HEXKIT_") || variable === "HEXKIT_CONFIG" || isKubernetesLink(variable, value))
      continue;
    const [head = "", name, ...rest] = variable.slice("HEXKIT_".length).split("__");
    if (rest.length > 0 || (name !== undefined && camel(name) === undefined)) continue;
    const candidate = !known.has(head);
    // A variable beneath something known is an option or a setting, whose value may look like a plugin's name by chance.
    if (
      candidate &&
      (camel(head) === undefined ||
        owners.some((owner) => typeof owner === "string" && namePattern.test(owner) && head.startsWith(`${snake(owner)}_`)))
    ) {
      if (!bindings.has(variable)) continue;
    }
    bindings.set(variable, { provider: value, place: variable, folder: read.cwd, candidate: candidate && !bindings.has(variable) });
  }
  return [...bindings.values()];
}
