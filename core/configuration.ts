import type { Resolution, ResolvedConfig, Vocabulary } from "../config/index.ts";
import { type ConfigProblem, HexkitError } from "./errors.ts";
import { builtinPlugins, collectProtocols, loadPlugins } from "./loader.ts";
import type { OptionsSchema } from "./options.ts";
import type { Plugin } from "./plugin.ts";
import { builtinProtocols } from "./protocols/builtin.ts";
import type { ProtocolDefinition } from "./protocols/index.ts";
import { createRedact, type Redact } from "./redaction.ts";

/** Where the configuration comes from. */
export interface ConfigSources {
  /** A file's path, several separated by commas (later over earlier), or the configuration itself. Default: `HEXKIT_CONFIG`, then `hexkit.config.json` in the working directory, if there is one. */
  readonly config?: string | object;
  /** Default: `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Plugins that answer to their name without being imported: for bundled applications and tests. */
  readonly plugins?: readonly Plugin[];
  /** Protocols of the service's own. */
  readonly protocols?: readonly ProtocolDefinition[];
}

/** The effective configuration, for people: no secret is in it. */
export interface ConfigReport {
  readonly ok: boolean;
  readonly problems: readonly ConfigProblem[];
  /** Every value with its place and where it comes from; secrets are masked. */
  readonly values: Resolution["values"];
}

export interface Configuration {
  readonly config: ResolvedConfig | undefined;
  readonly report: ConfigReport;
  readonly plugins: ReadonlyMap<string, Plugin>;
  readonly protocols: ReadonlyMap<string, ProtocolDefinition>;
  readonly redact: Redact;
  /** What is wrong with some settings of a protocol, each as `name: reason`; fills in defaults. */
  checkSettings(schema: OptionsSchema, settings: object): readonly string[];
}

/** Reads the sources, loads the plugins that they name, validates everything. Connects to nothing; problems come back as data. */
export async function configure({
  config,
  env = process.env,
  plugins: given = [],
  protocols: own = [],
}: ConfigSources): Promise<Configuration> {
  const { checkSettings, readSources, resolveConfig } = await import("../config/index.ts");
  const sources = readSources({ config, env, cwd: process.cwd() });
  const ahead = collectProtocols([
    { from: "hexkit", protocols: builtinProtocols },
    { from: "openRegistry({ protocols })", protocols: own },
    ...given.map((plugin) => ({ from: `plugin ${plugin?.name}`, protocols: plugin?.protocols ?? [] })),
  ]);
  const givenNames = given.map((plugin) => plugin?.name).filter((name) => typeof name === "string");
  const shortNames = [...new Set([...builtinPlugins, ...givenNames])];
  const loaded = await loadPlugins(sources.references([...ahead.protocols.keys()], shortNames), given);
  const { protocols, problems: clashes } = collectProtocols([
    { from: "hexkit", protocols: builtinProtocols },
    { from: "openRegistry({ protocols })", protocols: own },
    ...[...loaded.plugins.values()].map((plugin) => ({ from: `plugin ${plugin.name}`, protocols: plugin.protocols ?? [] })),
  ]);
  const resolution = resolveConfig(sources, {
    ...vocabulary(loaded.plugins, protocols, shortNames),
    refusedPlugins: loaded.refused,
  });
  const redact = createRedact(resolution.secrets);
  const problems = [...loaded.problems, ...clashes, ...resolution.problems, ...checkBindings(resolution, protocols, loaded.plugins)];
  return {
    config: problems.length === 0 ? resolution.config : undefined,
    report: {
      ok: problems.length === 0,
      // What a plugin's module says when it cannot be loaded may be anything.
      problems: problems.map(({ place, message }) => ({ place, message: redact(message) })),
      values: resolution.values,
    },
    plugins: loaded.plugins,
    protocols,
    redact,
    checkSettings: (schema, settings) =>
      checkSettings(schema, settings).map(({ pointer, message }) => `${pointer.slice(1).replaceAll("/", ".")}: ${message}`),
  };
}

/** What protocols find wrong with their bindings beyond what a schema can say. */
function checkBindings(
  { config }: Resolution,
  protocols: ReadonlyMap<string, ProtocolDefinition>,
  plugins: ReadonlyMap<string, Plugin>,
): ConfigProblem[] {
  const bindings = config?.bindings ?? [];
  const pluginOf = (provider: string | undefined): Plugin | undefined =>
    plugins.get(config?.providers.find(({ name }) => name === provider)?.plugin ?? "");
  return bindings.flatMap(({ binding, protocol, provider, settings }) => {
    const facts = { provides: Object.keys(pluginOf(provider)?.provides ?? {}), bindings: bindings.map((each) => each.binding) };
    const found = protocols.get(protocol)?.check?.(settings as never, facts) ?? [];
    return found.map((message) => ({ place: `/protocols/${binding}`, message }));
  });
}

/** What the configuration may contain, as the config room takes it. */
function vocabulary(
  plugins: ReadonlyMap<string, Plugin>,
  protocols: ReadonlyMap<string, ProtocolDefinition>,
  shortNames: readonly string[],
): Vocabulary {
  return {
    protocols: Object.fromEntries(protocols),
    plugins: Object.fromEntries(
      [...plugins].map(([specifier, plugin]) => [
        specifier,
        { name: plugin.name, options: plugin.options, provides: Object.keys(plugin.provides) },
      ]),
    ),
    builtinPlugins: shortNames,
  };
}

/**
 * Checks a configuration without connecting to anything and gives every effective value with its origin.
 * Does not throw for bad configuration: `problems` lists what `openRegistry` would refuse.
 */
export async function inspectConfig(sources: ConfigSources = {}): Promise<ConfigReport> {
  return (await configure(sources)).report;
}

/** @throws ERR_HEXKIT_CONFIG_INVALID */
export function configError(problems: readonly ConfigProblem[], redact: Redact): HexkitError {
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  const list = problems.map(({ place, message }) => `- ${place}: ${message}`).join("\n");
  return new HexkitError("ERR_HEXKIT_CONFIG_INVALID", `the configuration has ${count}:\n${list}`, { problems, redact });
}
