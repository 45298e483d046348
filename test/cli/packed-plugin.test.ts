import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type InstalledPackage, installPackage } from "../house/packed-package.ts";
import { bringTools, compiles, installedHexkit, passesItsTests, succeeds } from "./scaffolds.ts";

describe("a plugin that the packed package begins, in an empty folder", () => {
  let installed: InstalledPackage;
  before(async () => {
    installed = await installPackage();
    bringTools(installed.folder);
  });
  after(() => installed?.remove());

  it("passes its tests, is built as generated, and is found as a service finds it", async () => {
    await installedHexkit(installed, "init plugin red-panda");
    const folder = join(installed.folder, "hexkit-plugin-red-panda");
    await passesItsTests(folder);
    await compiles(folder, "tsconfig.build.json");
    const config = `{"providers":{"mine":{"plugin":"./dist/index.js"}}}`;
    const listed = await succeeds(`echo '${config}' >hexkit.config.json; ../node_modules/.bin/hexkit plugins --json`, folder);
    const { plugins, problems } = JSON.parse(listed) as { plugins: { name: string }[]; problems: unknown[] };
    assert.deepEqual([plugins.at(-1)?.name, problems], ["redPanda", []]);
  });
});
