import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { root } from "../core/run-program.ts";

/**
 * A program of the project in one file of JavaScript, for scenarios that start it a thousand times: the loader that compiles on the fly takes
 * a second of both cores each time. Packages are loaded as ever. Gone when this process ends.
 */
export async function bundle(program: string): Promise<string> {
  // Below node_modules, where packages are found and git does not look.
  const folder = join(root, "node_modules", ".cache", `hexkit-test-${randomUUID()}`);
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const outfile = join(folder, "program.mjs");
  await build({
    entryPoints: [program],
    outfile,
    bundle: true,
    packages: "external",
    alias: { hexkit: join(root, "core", "index.ts") },
    platform: "node",
    target: "node20",
    format: "esm",
    sourcemap: "inline",
    logLevel: "warning",
  });
  return outfile;
}
