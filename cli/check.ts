import { type AddCommand, type ConfigOptions, configOption, examples, jsonOption } from "./command.ts";
import { exitCodes, type Terminal } from "./terminal.ts";

export const addCheck: AddCommand = (program, terminal, begin) => {
  program
    .command("check")
    .summary("show the effective configuration, and all that is wrong with it")
    .description(
      "Shows each value of the configuration with its origin: file, variable or default. Secrets are masked, what nothing uses is marked. All problems are listed at once. Nothing connects.",
    )
    .option(...configOption)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples("hexkit check", "hexkit check --config base.json,production.json", "hexkit check --json | jq '.problems'"),
    )
    .action(begin((options: ConfigOptions) => check(options, terminal)));
};

async function check({ config, json }: ConfigOptions, terminal: Terminal): Promise<number> {
  const { inspectConfig } = await import("../core/index.ts");
  const report = await inspectConfig(config === undefined ? {} : { config });
  if (json) terminal.printJson(report);
  else {
    const { describeValues } = await import("../config/index.ts");
    const text = describeValues(report.values);
    if (text !== "") terminal.print(text.replace(/ {2}\(.*\)$/gm, (origin) => terminal.paint("dim", origin)));
    if (report.ok) terminal.note(summary(report.values));
    else terminal.problems(report.problems);
  }
  return report.ok ? exitCodes.done : exitCodes.problems;
}

function summary(values: readonly { readonly pointer: string; readonly unused?: boolean }[]): string {
  const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;
  const bindings = values.filter(({ pointer }) => /^\/protocols\/[^/]+\/provider$/.test(pointer)).length;
  const providers = values.filter(({ pointer, unused }) => /^\/providers\/[^/]+\/plugin$/.test(pointer) && unused !== true).length;
  const unused = values.filter((value) => value.unused === true).length;
  if (bindings === 0)
    return "The configuration is valid and binds nothing: is there a hexkit.config.json here, or a variable that binds a protocol?";
  const rest = unused === 0 ? "." : `, ${count(unused, "value")} of nothing that is bound.`;
  return `The configuration is valid: ${count(bindings, "binding")}, ${count(providers, "provider")}${rest}`;
}
