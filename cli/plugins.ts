import { dirname } from "node:path";
import type { InspectedPlugin } from "../core/index.ts";
import { type AddCommand, type ConfigOptions, configOption, examples, jsonOption } from "./command.ts";
import { installation, installedPackage, nearestManifest, readManifest } from "./installation.ts";
import { exitCodes, type Terminal } from "./terminal.ts";

export const addPlugins: AddCommand = (program, terminal, begin) => {
  program
    .command("plugins")
    .summary("list the plugins that can be used here")
    .description(
      "Lists hexkit's own plugins, those that the configuration names, and those among the dependencies in the nearest package.json that are called hexkit-plugin-<x> or @scope/hexkit-plugin-<x>: what each provides, its version, and whether the npm package of its client is installed.",
    )
    .option(...configOption)
    .option(...jsonOption)
    .addHelpText("after", examples("hexkit plugins", "hexkit plugins --json | jq '.plugins[].provides'"))
    .action(begin((options: ConfigOptions) => plugins(options, terminal)));
};

/** One plugin as it is printed. */
interface Row {
  readonly specifier: string;
  readonly builtin: boolean;
  /** False if it cannot be loaded; then the rest is not known. */
  readonly loaded: boolean;
  /** Where it is named; absent for one of ours that nothing names. */
  readonly place?: string;
  readonly name?: string;
  readonly summary?: string;
  /** Of its package; absent for a plugin named by path. */
  readonly version?: string;
  readonly apiVersion?: number;
  readonly provides?: readonly string[];
  /** Protocols that it brings along. */
  readonly protocols?: readonly { readonly name: string; readonly id: string; readonly version: number; readonly summary: string }[];
  /** The npm package that it talks through, if any. `installed` is its version, null if it is missing. */
  readonly client?: { readonly name: string; readonly range: string; readonly installed: string | null };
}

interface Problem {
  readonly place: string;
  readonly message: string;
}

async function plugins({ config, json }: ConfigOptions, terminal: Terminal): Promise<number> {
  const { apiVersion, inspectPlugins } = await import("../core/index.ts");
  const dependencies = pluginDependencies(process.cwd());
  const inspected = await inspectPlugins(config === undefined ? {} : { config }, dependencies.plugins);
  const rows = inspected.plugins.map(describe);
  const missing = rows.flatMap(({ place, specifier, client }): Problem[] =>
    place === undefined || client?.installed !== null
      ? []
      : [{ place, message: `plugin ${specifier} needs the package ${client.name} (${client.range}): ${installCommand(client)}` }],
  );
  const problems = [...dependencies.problems, ...inspected.problems, ...missing];
  const { version } = installation();
  if (json) terminal.printJson({ ok: problems.length === 0, version, apiVersion, plugins: rows, problems });
  else {
    terminal.print(`hexkit ${version}, plugin API ${apiVersion}`);
    for (const row of rows) {
      terminal.print("");
      terminal.print(`${terminal.paint("bold", row.specifier)}${row.summary === undefined ? "" : `: ${row.summary}`}`);
      for (const [label, text] of lines(row)) terminal.print(`  ${label.padEnd(9)} ${text}`);
    }
    terminal.problems(problems);
  }
  return problems.length === 0 ? exitCodes.done : exitCodes.problems;
}

/** What the nearest package.json depends on and by its name is a plugin. */
function pluginDependencies(folder: string): {
  readonly plugins: readonly { readonly specifier: string; readonly place: string; readonly folder: string }[];
  readonly problems: readonly Problem[];
} {
  const path = nearestManifest(folder);
  if (path === undefined) return { plugins: [], problems: [] };
  try {
    const { dependencies, devDependencies, optionalDependencies, peerDependencies } = readManifest(path);
    const names = Object.keys({ ...peerDependencies, ...devDependencies, ...optionalDependencies, ...dependencies });
    const found = names.filter((name) => /^(@[^/]+\/)?hexkit-plugin-./.test(name));
    return { plugins: found.map((specifier) => ({ specifier, place: "package.json", folder: dirname(path) })), problems: [] };
  } catch (error) {
    return { plugins: [], problems: [{ place: path, message: `cannot be read: ${(error as Error).message}` }] };
  }
}

function describe({ specifier, builtin, place, folder, plugin }: InspectedPlugin): Row {
  const base = { specifier, builtin, loaded: plugin !== undefined, ...(place !== undefined && { place }) };
  if (plugin === undefined) return base;
  const home = builtin ? installation() : folder === undefined ? undefined : packageOf(specifier, folder);
  const { name, summary, apiVersion, provides, protocols = [], package: client } = plugin;
  return {
    ...base,
    name,
    summary,
    ...(home !== undefined && { version: home.version }),
    apiVersion,
    provides: Object.keys(provides).sort(),
    protocols: protocols.map(({ name, id, version, summary }) => ({ name, id, version, summary })),
    ...(client !== undefined && {
      client: {
        name: client.name,
        range: client.range,
        installed: installedPackage(client.name, home?.folder ?? folder ?? process.cwd())?.version ?? null,
      },
    }),
  };
}

/** The package that a specifier leads to; a path leads to none. */
function packageOf(specifier: string, folder: string): { readonly folder: string; readonly version: string } | undefined {
  if (/^[./]/.test(specifier)) return undefined;
  const segments = specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1);
  return installedPackage(segments.join("/"), folder);
}

const installCommand = ({ name, range }: { readonly name: string; readonly range: string }): string =>
  /\s/.test(range) || /[<>|]/.test(range) ? `npm install "${name}@${range}"` : `npm install ${name}@${range}`;

function lines(row: Row): [label: string, text: string][] {
  if (!row.loaded) return [["problem", "cannot be loaded"], ...place(row)];
  const { version, apiVersion, provides = [], protocols = [], client, builtin } = row;
  return [
    ["provides", provides.join(", ")],
    ...protocols.map(({ name, id, version, summary }): [string, string] => ["protocol", `${name} (${id}@${version}): ${summary}`]),
    ...(builtin ? [] : ([["version", `${version === undefined ? "" : `${version}, `}plugin API ${apiVersion}`]] as [string, string][])),
    ...(client === undefined
      ? []
      : ([["client", `${client.name} ${client.range}: ${client.installed ?? `not installed; ${installCommand(client)}`}`]] as [
          string,
          string,
        ][])),
    ...place(row),
  ];
}

const place = (row: Row): [string, string][] => (row.place === undefined ? [] : [["named in", row.place]]);
