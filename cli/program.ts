import { Command, CommanderError } from "commander";
import { addCheck } from "./check.ts";
import type { AddCommand, Begin } from "./command.ts";
import { addInit } from "./init.ts";
import { installation } from "./installation.ts";
import { addPlugins } from "./plugins.ts";
import { addSchema } from "./schema.ts";
import { exitCodes, type Terminal } from "./terminal.ts";

const commands: readonly AddCommand[] = [addCheck, addPlugins, addSchema, addInit];

const exitCodesHelp = `
Exit codes:
  0   done, and nothing is wrong
  1   problems: in the configuration, with a plugin, files in the way
  2   wrong use: unknown command or option, bad argument
  70  unexpected failure: a bug, of hexkit's or a plugin's

Results go to stdout, everything else to stderr. With --json, stdout is one JSON document.`;

/** Runs the command line `args` and resolves with the exit code. Never rejects. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  let code: number = exitCodes.done;
  const program = new Command("hexkit")
    .description("Looks at what a hexkit service is configured with, and begins new services and plugins.")
    .version(installation().version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help of a command")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.write(text),
      writeErr: (text) => terminal.writeError(text),
      outputError: (text, write) => write(text.replace(/^error: /, "hexkit: ").replace(/\n\((Did you mean .*)\)/s, "\n$1")),
      getOutHelpWidth: () => 100,
      getErrHelpWidth: () => 100,
    })
    .addHelpText("after", exitCodesHelp);
  const begin: Begin =
    (action) =>
    async (...given) => {
      code = await action(...given);
    };
  for (const add of commands) add(program, terminal, begin);
  try {
    await program.parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    terminal.note(`hexkit: unexpected failure: ${error instanceof Error ? error.stack : String(error)}`);
    return exitCodes.unexpected;
  }
}
