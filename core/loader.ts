import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { ConfigProblem } from "./errors.ts";
import { apiVersion, isPlugin, type Plugin } from "./plugin.ts";
import type { ProtocolDefinition } from "./protocols/index.ts";
import { factOf } from "./redaction.ts";

/** The plugins of this package, by short name. */
export const builtinPlugins: readonly string[] = ["kafka", "memory", "minio", "mongodb", "s3"];

export interface PluginToLoad {
  /** A short name, a package's name, or a path. */
  readonly specifier: string;
  /** Where the configuration names it. */
  readonly place: string;
  /** Folder from which packages and relative paths are resolved. */
  readonly folder: string;
  /** It may not be meant as a plugin at all; if it cannot be loaded, that is no problem here. */
  readonly candidate?: boolean;
}

export interface LoadedPlugins {
  /** By specifier. */
  readonly plugins: ReadonlyMap<string, Plugin>;
  readonly problems: readonly ConfigProblem[];
  /** Specifiers of those that could not be loaded; `problems` tells why. */
  readonly refused: readonly string[];
}

/**
 * Loads the plugins that a configuration names; nothing is scanned for.
 * `given` are plugins that the application passes: they answer to their short name before ours do, because a bundled
 * application cannot import by name.
 */
export async function loadPlugins(references: readonly PluginToLoad[], given: readonly Plugin[]): Promise<LoadedPlugins> {
  const plugins = new Map<string, Plugin>();
  const problems: ConfigProblem[] = [];
  const refused = new Set<string>();
  for (const plugin of given) {
    const problem = checkPlugin(plugin, `plugin ${JSON.stringify(plugin?.name)}`);
    if (problem !== undefined) {
      problems.push({ place: "openRegistry({ plugins })", message: problem });
      if (typeof plugin?.name === "string") refused.add(plugin.name);
    } else if (plugins.has(plugin.name) && plugins.get(plugin.name) !== plugin)
      problems.push({ place: "openRegistry({ plugins })", message: `two plugins are named ${JSON.stringify(plugin.name)}; pass one` });
    else plugins.set(plugin.name, plugin);
  }
  const wanted = new Map(references.map((reference) => [reference.specifier, reference]));
  await Promise.all(
    [...wanted.values()].map(async (reference) => {
      if (plugins.has(reference.specifier) || refused.has(reference.specifier)) return;
      const loaded = await load(reference);
      if (typeof loaded === "string") {
        if (reference.candidate === true) return;
        problems.push({ place: reference.place, message: loaded });
        refused.add(reference.specifier);
      } else plugins.set(reference.specifier, loaded);
    }),
  );
  problems.push(...sharedNames(plugins, wanted));
  return { plugins, problems, refused: [...refused] };
}

function sharedNames(plugins: ReadonlyMap<string, Plugin>, wanted: ReadonlyMap<string, PluginToLoad>): ConfigProblem[] {
  const byName = new Map<string, string>();
  const problems: ConfigProblem[] = [];
  for (const [specifier, plugin] of plugins) {
    const other = byName.get(plugin.name);
    if (other !== undefined && plugins.get(other) !== plugin) {
      problems.push({
        place: wanted.get(specifier)?.place ?? wanted.get(other)?.place ?? "openRegistry({ plugins })",
        message: `two plugins are named ${JSON.stringify(plugin.name)}: ${other} and ${specifier}; use one of them`,
      });
    }
    byName.set(plugin.name, specifier);
  }
  return problems;
}

/** The plugin, or why there is none. */
async function load(reference: PluginToLoad): Promise<Plugin | string> {
  const { specifier, folder } = reference;
  let module: Record<string, unknown>;
  try {
    if (builtinPlugins.includes(specifier)) {
      module = await import(`hexkit/plugins/${specifier}`);
    } else if (!/^[.@/]|\/|^hexkit-plugin-/.test(specifier)) {
      return `unknown plugin ${JSON.stringify(specifier)}; ours are ${builtinPlugins.join(", ")}; others are named by package (hexkit-plugin-${specifier}) or path (./${specifier}.js)`;
    } else {
      module = await import(pathToFileURL(createRequire(join(folder, "hexkit.js")).resolve(specifier)).href);
    }
  } catch (error) {
    return whyNotLoaded(specifier, folder, error);
  }
  const exported = module.default ?? module.plugin;
  // A CommonJS build puts its default export one level deeper.
  const plugin = (exported as { default?: unknown } | undefined)?.default ?? exported;
  if (plugin === undefined) return `plugin ${specifier}: the module has no default export; it must export what definePlugin makes`;
  if (!isPlugin(plugin)) return `plugin ${specifier}: the module's default export is not made by definePlugin`;
  return checkPlugin(plugin, `plugin ${specifier}`) ?? plugin;
}

function whyNotLoaded(specifier: string, folder: string, error: unknown): string {
  const { code, message } = (error ?? {}) as { code?: string; message?: string };
  const missing = code === "MODULE_NOT_FOUND" || code === "ERR_MODULE_NOT_FOUND";
  if (missing && message?.includes(`'${specifier}'`)) {
    return /^[./]/.test(specifier)
      ? `plugin ${specifier}: no such file in ${folder}`
      : `plugin ${specifier}: the package is not installed in ${folder}: npm install ${specifier}`;
  }
  if (code === "ERR_PACKAGE_PATH_NOT_EXPORTED") {
    return `plugin ${specifier}: its package.json exports no "default" condition for "."; ask its author to add one`;
  }
  return `plugin ${specifier} could not be loaded: ${message ?? factOf(error)}`;
}

/** What is wrong with a plugin, or `undefined`. */
function checkPlugin(plugin: unknown, subject: string): string | undefined {
  if (!isPlugin(plugin)) return `${subject} is not made by definePlugin`;
  if (plugin.apiVersion > apiVersion) {
    return `${subject} is written for plugin API ${plugin.apiVersion}, this hexkit speaks ${apiVersion}: upgrade hexkit`;
  }
  if (plugin.apiVersion !== apiVersion) {
    return `${subject} is written for plugin API ${plugin.apiVersion}, this hexkit speaks ${apiVersion}: upgrade the plugin`;
  }
  return undefined;
}

/** Collects the protocols that can be bound. A name defined twice with another `id` or `version` is a problem. */
export function collectProtocols(sources: readonly { readonly from: string; readonly protocols: readonly ProtocolDefinition[] }[]): {
  readonly protocols: ReadonlyMap<string, ProtocolDefinition>;
  readonly problems: readonly ConfigProblem[];
} {
  const protocols = new Map<string, ProtocolDefinition>();
  const definedBy = new Map<string, string>();
  const problems: ConfigProblem[] = [];
  for (const { from, protocols: brought } of sources) {
    for (const protocol of brought) {
      const known = protocols.get(protocol.name);
      if (known === undefined) {
        protocols.set(protocol.name, protocol);
        definedBy.set(protocol.name, from);
      } else if (known.id !== protocol.id || known.version !== protocol.version) {
        problems.push({
          place: from,
          message: `protocol ${protocol.name} is ${protocol.id}@${protocol.version} here and ${known.id}@${known.version} in ${definedBy.get(protocol.name)}; use versions that agree`,
        });
      }
    }
  }
  return { protocols, problems };
}
