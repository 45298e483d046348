import { resolve } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { type AddCommand, examples, jsonOption } from "./command.ts";
import { type Scaffold, scaffold } from "./scaffold.ts";
import { exitCodes, type Terminal } from "./terminal.ts";

interface InitOptions {
  readonly directory?: string;
  readonly force?: true;
  readonly json?: true;
}

interface InitPluginOptions extends InitOptions {
  readonly protocol: keyof typeof pluginTemplates;
}

/** What a plugin may begin as, each with the folders that its files come from. */
const pluginTemplates = {
  eventPublisher: ["cli/templates/plugin", "cli/templates/event-publisher"],
  objectStorage: ["cli/templates/plugin", "cli/templates/object-storage", "examples/file-system-storage"],
  own: ["cli/templates/plugin", "cli/templates/own-protocol"],
} as const;

export const addInit: AddCommand = (program, terminal, begin) => {
  const init = program
    .command("init")
    .summary("begin a service or a plugin")
    .description("Writes a project that passes its tests as it is, in TypeScript.");
  const common = (name: string) =>
    init
      .command(name)
      .option("-d, --directory <folder>", "where to write it (default: a new folder of that name)")
      .option("-f, --force", "replace files that are there")
      .option(...jsonOption);
  common("service")
    .summary("begin a service")
    .description(
      "Begins a service: its core with a port on each side, translators between these and events, a configuration in memory, and a test that needs no server.",
    )
    .argument("<name>", "kebab-case; names its folder, its package and its consumer group", parseServiceName)
    .addHelpText("after", examples("hexkit init service billing", "hexkit init service billing --directory services/billing"))
    .action(begin((name: string, options: InitOptions) => write(serviceScaffold(name), options, terminal)));
  common("plugin")
    .summary("begin a plugin")
    .description(
      "Begins a plugin: its options, a driver that stands in for that of your technology, and the conformance test that it passes already. Replace the client, and keep the test green.",
    )
    .argument("<name>", "kebab-case, or the package's whole name: hexkit-plugin-<x>, @scope/hexkit-plugin-<x>", parsePluginName)
    .addOption(
      new Option("-p, --protocol <protocol>", "what it provides; own: a protocol of your own, which begins as a notifier")
        .choices(Object.keys(pluginTemplates))
        .default("eventPublisher"),
    )
    .addHelpText("after", examples("hexkit init plugin pulsar", "hexkit init plugin @acme/hexkit-plugin-smtp --protocol own"))
    .action(begin((name: PluginName, options: InitPluginOptions) => initPlugin(name, options, terminal)));
};

function parseServiceName(name: string): string {
  if (!isKebab(name)) throw new InvalidArgumentError("Use lower-case words joined by hyphens, such as order-desk, 50 characters at most.");
  return name;
}

/** Words joined by hyphens, each beginning with a letter: they become camel case. */
const isKebab = (name: string): boolean => name.length <= 50 && /^[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*$/.test(name);

interface PluginName {
  /** Name of the package. */
  readonly package: string;
  /** What is left of it, in kebab-case. */
  readonly kebab: string;
}

function parsePluginName(text: string): PluginName {
  const [, scope = "", , kebab = ""] = /^(@[a-z0-9][a-z0-9._-]*\/)?(hexkit-plugin-)?(.*)$/s.exec(text) ?? [];
  const isWhole = text.includes("hexkit-plugin-");
  if (!isKebab(kebab) || (scope !== "" && !isWhole)) {
    throw new InvalidArgumentError(
      "Use lower-case words joined by hyphens, such as pulsar or red-panda, 50 characters at most, or a package's name: hexkit-plugin-pulsar, @acme/hexkit-plugin-pulsar.",
    );
  }
  return { package: `${scope}hexkit-plugin-${kebab}`, kebab };
}

const camel = (kebab: string): string => kebab.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

function serviceScaffold(name: string): Scaffold {
  return { from: ["cli/templates/service"], into: name, names: { "my-service": name }, next: ["npm install", "npm test", "npm start"] };
}

async function initPlugin(name: PluginName, options: InitPluginOptions, terminal: Terminal): Promise<number> {
  const [{ inspectPlugins }, { reservedNames }] = await Promise.all([import("../core/index.ts"), import("../config/index.ts")]);
  const { plugins, protocols } = await inspectPlugins({ config: {}, env: {} });
  const plugin = camel(name.kebab);
  const taken = [...plugins.map(({ specifier }) => specifier), ...protocols.map((protocol) => protocol.name), ...reservedNames];
  if (taken.includes(plugin)) {
    terminal.note(
      `hexkit: no plugin may be called ${plugin}: hexkit has that name for itself. Names that are taken: ${taken.sort().join(", ")}`,
    );
    return exitCodes.usage;
  }
  const [, unscoped = name.package] = name.package.split("/");
  const names = {
    "hexkit-plugin-my-technology": name.package,
    "my-technology": name.kebab,
    myTechnology: plugin,
    MyTechnology: plugin.charAt(0).toUpperCase() + plugin.slice(1),
    fileSystem: plugin,
  };
  const next = ["npm install", "npm test", "npm run build"];
  return write({ from: pluginTemplates[options.protocol], into: unscoped, names, next }, options, terminal);
}

async function write(plan: Scaffold, { directory, force, json }: InitOptions, terminal: Terminal): Promise<number> {
  const folder = directory ?? plan.into;
  const result = scaffold(plan, resolve(folder), force === true);
  if ("problem" in result) {
    terminal.note(`hexkit: ${result.problem}`);
    return exitCodes.problems;
  }
  const steps = folder === "." ? plan.next : [`cd ${/^[\w./@-]+$/.test(folder) ? folder : JSON.stringify(folder)}`, ...plan.next];
  if (json) terminal.printJson({ folder, files: result.files, next: steps });
  else {
    terminal.print(`Written to ${folder}:`);
    for (const file of result.files) terminal.print(`  ${file}`);
    terminal.print("");
    terminal.print("Next:");
    for (const step of steps) terminal.print(`  ${step}`);
  }
  return exitCodes.done;
}
