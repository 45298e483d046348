import assert from "node:assert/strict";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, it } from "node:test";
import { bring, compilePlugin, type InstalledPackage, installPackage, root } from "../house/packed-package.ts";

let installed: InstalledPackage | undefined;
after(() => installed?.remove());

it("a broker's plugin that is a package with dependencies of its own compiles beside the packed package and is found by its name", async () => {
  installed = await installPackage();
  const { folder, node } = installed;
  const name = "hexkit-plugin-nats-jetstream";
  const example = join(root, "examples", "nats-jetstream");
  const modules = join(folder, "node_modules");
  bring(folder, ["@types/node", "undici-types", "@nats-io", "tweetnacl"]);
  cpSync(example, join(folder, "source"), { recursive: true });
  mkdirSync(join(modules, name));
  cpSync(join(example, "package.json"), join(modules, name, "package.json"));
  const output = await compilePlugin(folder, name, { skipLibCheck: true });
  assert.equal(output, "", "it compiles");

  const providers = { queue: { plugin: name, options: { servers: ["127.0.0.1:1"] } } };
  writeFileSync(join(folder, "hexkit.config.json"), JSON.stringify({ providers, protocols: { eventPublisher: "queue" } }));
  writeFileSync(
    join(folder, "program.mjs"),
    `import { openRegistry } from "hexkit"; await openRegistry().catch((error) => console.log(error.code, error.message));`,
  );
  const { stdout, stderr } = await node(["program.mjs"]);
  assert.match(stdout, /^ERR_HEXKIT_\w+ .*"queue"/, stdout + stderr);
  assert.match(stdout, /127\.0\.0\.1:1|refused/, stdout);
});
