import { type ConfigSources, configure } from "./configuration.ts";
import type { ConfigProblem } from "./errors.ts";
import { builtinPlugins, collectProtocols, loadPlugins, type PluginToLoad } from "./loader.ts";
import type { Plugin } from "./plugin.ts";
import { builtinProtocols } from "./protocols/builtin.ts";
import type { ProtocolDefinition } from "./protocols/index.ts";

/** A plugin of this package, or one that something names. */
export interface InspectedPlugin {
  /** What configurations call it: a short name, a package, or a path. */
  readonly specifier: string;
  /** Whether it belongs to this package. */
  readonly builtin: boolean;
  /** Where it is named; absent for one of ours that nothing names. */
  readonly place?: string;
  /** From where it is resolved; absent for one of ours. */
  readonly folder?: string;
  /** Absent if it cannot be loaded: `problems` tells why. */
  readonly plugin?: Plugin;
}

/** What a configuration could use. */
export interface PluginInspection {
  /** Ours first, each group by specifier. */
  readonly plugins: readonly InspectedPlugin[];
  /** Ours first, then those that plugins bring. */
  readonly protocols: readonly ProtocolDefinition[];
  /** Files that cannot be read, plugins that cannot be loaded, names that clash. No secret of the configuration is in them. */
  readonly problems: readonly ConfigProblem[];
}

/**
 * Loads our own plugins and all that a configuration names, bound or not, and those in `more`; nothing is scanned for and nothing connects.
 * Does not throw for what cannot be loaded. What the configuration says otherwise is not judged: `inspectConfig` does that.
 */
export async function inspectPlugins(sources: ConfigSources = {}, more: readonly PluginToLoad[] = []): Promise<PluginInspection> {
  const { readSources } = await import("../config/index.ts");
  const { config, env = process.env, plugins: given = [], protocols: own = [] } = sources;
  const read = readSources({ config, env, cwd: process.cwd() });
  const { redact } = await configure(sources);
  const declared = read.layers.flat().flatMap(({ pointer, value, place, folder }): PluginToLoad[] => {
    const isPlugin = /^\/providers\/[^/]+\/plugin$/.test(pointer) && typeof value === "string";
    return isPlugin ? [{ specifier: value, place, folder }] : [];
  });
  const bound = read.references(
    builtinProtocols.map(({ name }) => name),
    builtinPlugins,
  );
  // The first that names a plugin is told; a binding's candidate counts only if nothing else names it.
  const named = new Map<string, PluginToLoad>();
  for (const reference of [...declared, ...bound, ...more])
    if (!named.has(reference.specifier) || named.get(reference.specifier)?.candidate === true) named.set(reference.specifier, reference);
  const ours = builtinPlugins.map((specifier) => named.get(specifier) ?? { specifier, place: "hexkit", folder: "" });
  const loaded = await loadPlugins([...ours, ...named.values()], given);
  const { protocols, problems: clashes } = collectProtocols([
    { from: "hexkit", protocols: builtinProtocols },
    { from: "inspectPlugins({ protocols })", protocols: own },
    ...[...loaded.plugins.values()].map((plugin) => ({ from: `plugin ${plugin.name}`, protocols: plugin.protocols ?? [] })),
  ]);
  const others = [...named.keys()].filter((specifier) => !builtinPlugins.includes(specifier)).sort();
  const plugins = [...[...builtinPlugins].sort(), ...others].flatMap((specifier): InspectedPlugin[] => {
    const plugin = loaded.plugins.get(specifier);
    const reference = named.get(specifier);
    const builtin = builtinPlugins.includes(specifier);
    if (plugin === undefined && reference?.candidate === true) return [];
    return [
      {
        specifier,
        builtin,
        ...(reference !== undefined && { place: reference.place }),
        ...(reference !== undefined && !builtin && { folder: reference.folder }),
        ...(plugin !== undefined && { plugin }),
      },
    ];
  });
  const problems = [...read.problems, ...loaded.problems, ...clashes].map(({ place, message }) => ({ place, message: redact(message) }));
  return { plugins, protocols: [...protocols.values()], problems };
}
