import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type InstalledPackage, installPackage } from "../house/packed-package.ts";
import { bringTools, compiles, installedHexkit, passesItsTests, succeeds } from "./scaffolds.ts";

describe("plugins that the packed package begins, in an empty folder", () => {
  let installed: InstalledPackage;
  before(async () => {
    installed = await installPackage();
    bringTools(installed.folder);
  });
  after(() => installed?.remove());

  for (const [args, folder, name] of [
    ["red-panda", "hexkit-plugin-red-panda", "redPanda"],
    ["@acme/hexkit-plugin-fox --protocol own", "hexkit-plugin-fox", "fox"],
  ] as const)
    it(`pass their tests and are built as generated: init plugin ${args}`, async () => {
      await installedHexkit(installed, `init plugin ${args}`);
      const into = join(installed.folder, folder);
      await passesItsTests(into);
      await compiles(into, "tsconfig.build.json");
      // As a service finds it.
      const config = `{"providers":{"mine":{"plugin":"./dist/index.js"}}}`;
      const listed = await succeeds(`echo '${config}' >hexkit.config.json; ../node_modules/.bin/hexkit plugins --json`, into);
      const { plugins, problems } = JSON.parse(listed) as { plugins: { name: string }[]; problems: unknown[] };
      assert.deepEqual([plugins.at(-1)?.name, problems], [name, []]);
    });
});
