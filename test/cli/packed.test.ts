import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { bring, type InstalledPackage, installPackage, root } from "../house/packed-package.ts";

/** What `npm install` in a scaffold brings beside hexkit. */
const tools = ["@types/node", "undici-types", "tsx", "esbuild", "typescript"];

describe("the hexkit command of the packed package, in an empty folder", () => {
  let installed: InstalledPackage;
  before(async () => {
    installed = await installPackage();
    const bundled = ["@esbuild", "@typescript"].flatMap((scope) => {
      const names = readdirSync(join(root, "node_modules"), { withFileTypes: true }).some(({ name }) => name === scope)
        ? readdirSync(join(root, "node_modules", scope))
        : [];
      return names.map((name) => `${scope}/${name}`);
    });
    bring(installed.folder, [...tools, ...bundled]);
  });
  after(() => installed?.remove());

  /** Types a command into a shell. */
  const succeeds = (command: string, folder = installed.folder): Promise<string> =>
    new Promise((done, fail) => {
      const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HEXKIT_|NODE_|npm_|INIT_CWD)/.test(name)));
      execFile("bash", ["-c", command], { cwd: folder, env, timeout: 110_000 }, (error, stdout, stderr) =>
        error === null ? done(stdout + stderr) : fail(new Error(`${command}\n${stdout}${stderr}`, { cause: error })),
      );
    });
  const hexkit = (args: string, folder?: string): Promise<string> =>
    succeeds(`"${join(installed.folder, "node_modules", ".bin", "hexkit")}" ${args}`, folder);

  it("is found by npx", async () => {
    assert.match(await succeeds("npx --no-install hexkit --help"), /Usage: hexkit /);
    assert.ok(!installed.files.some((file) => file.startsWith("dist/cli/templates")), "templates are copied, not built");
  });

  it("checks what is configured", async () => {
    const output = await succeeds("HEXKIT_EVENT_PUBLISHER=memory node_modules/.bin/hexkit check");
    assert.match(output, /^\/protocols\/eventPublisher\/provider = "memory" {2}\(environment HEXKIT_EVENT_PUBLISHER\)$/m);
  });

  it("lists plugins without any driver installed", async () => {
    assert.match(await hexkit("plugins"), /client {4}kafkajs ~2\.2\.4: not installed; npm install kafkajs@~2\.2\.4/);
  });

  for (const [folder, args] of [
    ["desk", "service desk"],
    ["hexkit-plugin-pulsar", "plugin pulsar"],
    ["hexkit-plugin-red-panda", "plugin red-panda --protocol objectStorage"],
    ["hexkit-plugin-fox", "plugin @acme/hexkit-plugin-fox --protocol own"],
  ] as const)
    it(`hexkit init ${args}: passes its tests and its compiler as generated`, async () => {
      await hexkit(`init ${args}`);
      const into = join(installed.folder, folder);
      const output = await succeeds("npm test", into);
      assert.match(output, /\bpass [1-9]/);
      assert.match(output, /\bfail 0\b/);
      assert.match(output, /\bskipped \d+/);
      await succeeds(`"${process.execPath}" "${join(root, "node_modules", "typescript", "bin", "tsc")}" -p .`, into);
      if (args.startsWith("service")) assert.match(await hexkit("check", into), /The configuration is valid: 2 bindings, 1 provider\./);
      else {
        await succeeds(`"${process.execPath}" "${join(root, "node_modules", "typescript", "bin", "tsc")}" -p tsconfig.build.json`, into);
        // As a service would find it once it is published.
        rmSync(join(installed.folder, "config.json"), { force: true });
        const load = `const { default: plugin } = await import("./dist/index.js"); console.log(plugin.name);`;
        assert.match(await succeeds(`"${process.execPath}" --input-type=module -e '${load}'`, into), /^(pulsar|redPanda|fox)$/m);
      }
    });
});
