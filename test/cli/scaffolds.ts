import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { bring, type InstalledPackage, root } from "../house/packed-package.ts";
import { hexkitHere, project } from "./command.ts";

/** What `npm install` in a scaffold brings beside hexkit and the compiler, which is run from here. */
const tools = ["@types/node", "undici-types", "tsx", "esbuild"];
const toolsHere = (): string[] => [...tools, ...readdirSync(join(root, "node_modules", "@esbuild")).map((name) => `@esbuild/${name}`)];

export const bringTools = (folder: string): void => bring(folder, toolsHere());

/** Types a command into a shell, and fails with what it printed if it fails. */
export function succeeds(command: string, folder: string, more: Readonly<Record<string, string>> = {}): Promise<string> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HEXKIT_|NODE_|npm_|INIT_CWD)/.test(name)));
  return new Promise((done, fail) => {
    execFile("bash", ["-c", command], { cwd: folder, env: { ...env, ...more }, timeout: 115_000 }, (error, stdout, stderr) =>
      error === null ? done(stdout + stderr) : fail(new Error(`${command}\n${stdout}${stderr}`, { cause: error })),
    );
  });
}

/** Runs `hexkit` of an installed package. */
export const installedHexkit = ({ folder }: InstalledPackage, args: string, cwd = folder): Promise<string> =>
  succeeds(`"${join(folder, "node_modules", ".bin", "hexkit")}" ${args}`, cwd);

/** Runs a scaffold's own tests; at least one passes, none fails. */
export async function passesItsTests(folder: string, env?: Readonly<Record<string, string>>): Promise<void> {
  const output = await succeeds("npm test", folder, env);
  assert.match(output, /\bpass [1-9]/, output);
  assert.match(output, /\bfail 0\b/, output);
}

export const compiles = (folder: string, project = "."): Promise<string> =>
  succeeds(`"${process.execPath}" "${join(root, "node_modules", "typescript", "bin", "tsc")}" -p ${project}`, folder);

/** Begins a plugin beside the sources of this checkout, which takes less than packing, and runs its tests. */
export async function testsLinked(protocol: string): Promise<void> {
  const { folder, remove } = project();
  try {
    for (const name of ["@types", "tsx"]) symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
    const into = join(folder, "hexkit-plugin-bear");
    const { code, stderr } = await hexkitHere(["init", "plugin", "bear", "--protocol", protocol, "-d", into]);
    assert.equal(code, 0, stderr);
    await passesItsTests(into, { NODE_OPTIONS: "--conditions=@hexkit/source" });
  } finally {
    remove();
  }
}
