import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { run as runCommand } from "../../cli/program.ts";
import { Terminal } from "../../cli/terminal.ts";
import { type Ended, root, run, type Start } from "../core/run-program.ts";

/** Runs the command from its sources, as a process. */
export function hexkit(args: readonly string[], options?: Start): Promise<Ended> {
  return run([join(root, "cli", "index.ts"), ...args], options);
}

/** Runs the command in this process, which is a second faster: for what depends neither on the environment nor on the working directory. */
export async function hexkitHere(
  args: readonly string[],
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const terminal = new Terminal(out, err, {});
  const printed = Promise.all([text(out), text(err)]);
  const code = await runCommand(args, terminal);
  await terminal.flush();
  out.end();
  err.end();
  const [stdout, stderr] = await printed;
  return { code, stdout, stderr };
}

/** A folder outside the checkout in which this hexkit is installed, with some files; objects are written as JSON. */
export function project(files: Readonly<Record<string, string | object>> = {}): { readonly folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "hexkit-cli-"));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules", "hexkit"));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), typeof content === "string" ? content : JSON.stringify(content));
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** The files of an installed plugin package, which brings a protocol of its own and needs a client that is not there. */
export const pigeonPackage = (name: string, version = "3.1.4"): Readonly<Record<string, string | object>> => ({
  [`node_modules/${name}/package.json`]: { name, version, type: "module", exports: { ".": { default: "./index.js" } } },
  [`node_modules/${name}/index.js`]: `
import { definePlugin, defineProtocol } from "hexkit";
const loft = defineProtocol({
  name: "loft", id: "acme/loft", version: 2, summary: "Keeps pigeons.",
  settings: { type: "object", additionalProperties: false, properties: { birds: { type: "integer", default: 7, description: "How many." } } },
  create: () => ({}),
});
// As a careless author might leave it.
setInterval(() => {}, 1000);
export default definePlugin({
  name: "pigeon", apiVersion: 1, summary: "Post by pigeon", protocols: [loft],
  package: { name: "homing-client", range: ">=2.0.0 <3.0.0" },
  options: { type: "object", additionalProperties: false, properties: { ring: { type: "string", writeOnly: true, description: "Its ring." } } },
  open: () => ({}), provides: { loft: () => ({}) },
});
`,
});
