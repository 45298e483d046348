import type { Command } from "commander";
import type { Terminal } from "./terminal.ts";

/** Wraps the action of a subcommand, which resolves with the exit code. */
export type Begin = <Args extends unknown[]>(action: (...args: Args) => Promise<number>) => (...args: Args) => Promise<void>;

/** Adds a subcommand. What its action needs is loaded when it runs. */
export type AddCommand = (program: Command, terminal: Terminal, begin: Begin) => void;

export interface ConfigOptions {
  readonly config?: string;
  readonly json?: true;
}

/** The end of a command's help. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join("\n")}`;
}

export const configOption = [
  "-c, --config <paths>",
  "the configuration's file, or several separated by commas (default: HEXKIT_CONFIG, then hexkit.config.json)",
] as const;
export const jsonOption = ["--json", "print JSON"] as const;
