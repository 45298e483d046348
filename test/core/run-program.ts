import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const root = join(import.meta.dirname, "..", "..");

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Program {
  /** Resolves with the first line of stdout or stderr that matches; rejects if the program ends without one. */
  line(pattern: RegExp): Promise<string>;
  signal(name: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
}

/** The environment without what would configure hexkit or change how node behaves. */
function cleanEnv(): NodeJS.ProcessEnv {
  const dropped = /^(HEXKIT_(?!TEST_)|NODE_OPTIONS$|NODE_TEST_CONTEXT$|NODE_V8_COVERAGE$|FORCE_COLOR$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !dropped.test(name)));
}

export interface Start {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly nodeOptions?: readonly string[];
}

/** Starts a TypeScript file of this checkout as `npm run demo` does. A program that hangs is killed after a minute. */
export function start(args: readonly string[], { env = {}, cwd = root, nodeOptions = [] }: Start = {}): Program {
  const tsx = import.meta.resolve("tsx");
  const child = spawn(process.execPath, ["--conditions=@hexkit/source", "--import", tsx, ...nodeOptions, ...args], {
    cwd,
    env: { ...cleanEnv(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const hung = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const output = { stdout: "", stderr: "" };
  const lines: string[] = [];
  const waiting = new Set<(line: string) => void>();
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
    createInterface({ input: child[name] }).on("line", (line) => {
      lines.push(line);
      for (const look of waiting) look(line);
    });
  }
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(hung);
      resolve({ code, signal, ...output });
    });
  });
  return {
    ended,
    signal: (name) => void child.kill(name),
    line: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (line: string): void => {
          if (pattern.test(line)) resolve(line);
        };
        waiting.add(look);
        for (const line of lines) look(line);
        void ended.then(
          ({ code, stderr }) => reject(new Error(`ended with ${code} before ${pattern}:\n${output.stdout}${stderr}`)),
          reject,
        );
      }),
  };
}

/** Runs a program to its end. */
export function run(args: readonly string[], options?: Start): Promise<Ended> {
  return start(args, options).ended;
}
