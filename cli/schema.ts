import { writeFileSync } from "node:fs";
import { type AddCommand, type ConfigOptions, configOption, examples, jsonOption } from "./command.ts";
import { exitCodes, type Terminal } from "./terminal.ts";

interface SchemaOptions extends ConfigOptions {
  readonly out?: string;
}

export const addSchema: AddCommand = (program, terminal, begin) => {
  program
    .command("schema")
    .summary("write the JSON Schema of hexkit.config.json")
    .description(
      "Prints the JSON Schema (draft-07) of the configuration's file, for editors. Beside hexkit's own it knows the plugins that the configuration at hand names, and their protocols. What the configuration says otherwise may be wrong: that is for `hexkit check`.",
    )
    .option(...configOption)
    .option("-o, --out <file>", "write it there")
    .option(...jsonOption)
    .addHelpText("after", examples("hexkit schema --out hexkit.config.schema.json", "hexkit schema | jq '.definitions | keys'"))
    .action(begin((options: SchemaOptions) => schema(options, terminal)));
};

async function schema({ config, out, json }: SchemaOptions, terminal: Terminal): Promise<number> {
  const [{ inspectPlugins }, { configSchema }] = await Promise.all([import("../core/index.ts"), import("../config/index.ts")]);
  const { plugins, protocols, problems } = await inspectPlugins(config === undefined ? {} : { config });
  if (problems.length > 0) {
    // Half a schema would mark as wrong what is right.
    terminal.problems(problems);
    return exitCodes.problems;
  }
  const document = configSchema({
    protocols: Object.fromEntries(protocols.map((protocol) => [protocol.name, protocol])),
    plugins: Object.fromEntries(
      plugins.flatMap(({ specifier, plugin }) =>
        plugin === undefined ? [] : [[specifier, { name: plugin.name, options: plugin.options, provides: Object.keys(plugin.provides) }]],
      ),
    ),
    builtinPlugins: plugins.filter(({ builtin }) => builtin).map(({ specifier }) => specifier),
  });
  if (out === undefined) terminal.printJson(document);
  else {
    try {
      writeFileSync(out, `${JSON.stringify(document, null, 2)}\n`);
    } catch (error) {
      terminal.note(`hexkit: ${out} cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)}): choose another --out`);
      return exitCodes.problems;
    }
    if (json) terminal.printJson({ file: out });
    else terminal.note(`Written: ${out}`);
  }
  return exitCodes.done;
}
