import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { root, run } from "../core/run-program.ts";
import { hexkit, hexkitHere, project } from "./command.ts";

const subcommands = [["check"], ["plugins"], ["schema"], ["init", "service"], ["init", "plugin"]];

describe("the hexkit command", { concurrency: 2 }, () => {
  it("prints its version, and that of the package is it", async () => {
    const { code, stdout } = await hexkit(["--version"]);
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    assert.deepEqual([code, stdout], [0, `${version}\n`]);
  });

  it("prints help on stdout with subcommands and exit codes", async () => {
    const { code, stdout, stderr } = await hexkitHere(["--help"]);
    assert.deepEqual([code, stderr], [0, ""]);
    for (const [name] of subcommands) assert.match(stdout, new RegExp(`^  ${name} `, "m"));
    for (const exit of ["0 ", "1 ", "2 ", "70"]) assert.match(stdout, new RegExp(`^  ${exit}  \\S`, "m"));
  });

  for (const path of subcommands)
    it(`has help with examples and --json for ${path.join(" ")}`, async () => {
      const [{ code, stdout }, { stdout: same }] = await Promise.all([
        hexkitHere([...path, "--help"]),
        path.length === 1 ? hexkitHere(["help", ...path]) : hexkitHere([...path, "-h"]),
      ]);
      assert.equal(code, 0);
      assert.match(stdout, /^ {2}--json /m);
      assert.match(stdout, new RegExp(`\\nExamples:\\n  \\$ hexkit ${path.join(" ")}`));
      assert.equal(same, stdout);
    });

  for (const [args, message] of [
    [["chekc"], /^hexkit: unknown command 'chekc'\nDid you mean check\?$/],
    [["check", "--jsn"], /^hexkit: unknown option '--jsn'\nDid you mean --json\?$/],
    [["init", "srvice", "x"], /^hexkit: unknown command 'srvice'\nDid you mean service\?$/],
    [["check", "--config"], /^hexkit: option '-c, --config <paths>' argument missing$/],
    [["check", "more"], /^hexkit: too many arguments/],
    [["init", "service"], /^hexkit: missing required argument 'name'$/],
    [["init", "plugin", "x", "--protocol", "dao"], /Allowed choices are eventPublisher, objectStorage, own\.$/],
    [[], /^Usage: hexkit /],
    [["init"], /^Usage: hexkit init /],
  ] as const)
    it(`exits with 2 and says on stderr why not: ${["hexkit", ...args].join(" ")}`, async () => {
      const { code, stdout, stderr } = await hexkitHere(args);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr.trim(), message);
    });

  it("ends its process with the code and the output that it has when it runs here", async () => {
    const { code, stdout, stderr } = await hexkit(["chekc"]);
    assert.deepEqual({ code, stdout, stderr }, await hexkitHere(["chekc"]));
  });

  it("exits with 70 and a stack if it fails in a way that nobody foresaw", async () => {
    // Only for the command itself: Node and its loaders ask as well.
    const cwd =
      'const real = process.cwd; process.cwd = () => { if (/cli[/]plugins/.test(new Error().stack)) throw new Error("the ground is gone"); return real(); };';
    const preload = `data:text/javascript,${encodeURIComponent(cwd)}`;
    const { code, stdout, stderr } = await hexkit(["plugins"], { nodeOptions: [`--import=${preload}`] });
    assert.deepEqual([code, stdout], [70, ""]);
    assert.match(stderr, /^hexkit: unexpected failure: Error: the ground is gone\n {4}at /);
  });

  it("prints no colours into a pipe, and none on a terminal with NO_COLOR", async () => {
    const { folder, remove } = project();
    try {
      const terminal = "data:text/javascript,process.stdout.isTTY = process.stderr.isTTY = true;";
      const [pipe, coloured, without] = await Promise.all([
        hexkit(["check"], { cwd: folder }),
        hexkit(["check"], { cwd: folder, nodeOptions: [`--import=${terminal}`] }),
        hexkit(["check"], { cwd: folder, nodeOptions: [`--import=${terminal}`], env: { NO_COLOR: "1" } }),
      ]);
      assert.ok(!pipe.stdout.includes("\u001b["), "colours in a pipe");
      assert.ok(coloured.stdout.includes("\u001b[2m"), "no colours on a terminal");
      assert.equal(without.stdout, pipe.stdout);
    } finally {
      remove();
    }
  });

  it("ends in peace when its reader has seen enough", async () => {
    const child = spawn(
      process.execPath,
      ["--conditions=@hexkit/source", "--import", import.meta.resolve("tsx"), join(root, "cli", "index.ts"), "schema"],
      { cwd: join(root, "examples"), stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env.PATH } },
    );
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    // Before it prints: its first write meets a closed pipe.
    child.stdout.destroy();
    const [code] = await once(child, "close");
    assert.deepEqual([code, stderr], [0, ""]);
  });

  it("loads neither the registry nor anything but commander for its help", async () => {
    const program = `
await import(${JSON.stringify(join(root, "cli", "program.ts"))});
const { createRequire } = await import("node:module");
const loaded = Object.keys(createRequire(import.meta.url).cache).map((path) => /.*node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean);
console.log(JSON.stringify([...new Set(loaded)]));
`;
    const { code, stdout, stderr } = await run(["--input-type=module", "-e", program]);
    assert.equal(code, 0, stderr);
    const packages = (JSON.parse(stdout) as string[]).filter(
      (name) => !["tsx", "esbuild", "get-tsconfig", "resolve-pkg-maps"].includes(name) && !name.startsWith("@esbuild"),
    );
    assert.deepEqual(packages, ["commander"]);
  });
});
