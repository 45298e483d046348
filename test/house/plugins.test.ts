import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { builtinPlugins } from "../../core/loader.ts";
import type { Plugin } from "../../core/plugin.ts";
import { codecInstalls } from "../../plugins/kafka/codecs.ts";
import { signingPackages } from "../../plugins/s3/client.ts";
import { containerPackage } from "../../testkit/containers/client.ts";
import { manifest, root } from "./packed-package.ts";

// What is stated twice drifts unless a test compares it.
describe("the plugins of this package", () => {
  it("are the folders in plugins/, the loader's short names and the package's public names", () => {
    const folders = readdirSync(join(root, "plugins"));
    const names = Object.keys(manifest().exports).flatMap((name) => /^\.\/plugins\/(.+)$/.exec(name)?.[1] ?? []);
    assert.deepEqual([...builtinPlugins].sort(), folders.sort());
    assert.deepEqual(names.sort(), folders);
  });

  for (const name of builtinPlugins) {
    it(`${name}: is named as its folder and has a README; its package is an optional peer in the same range`, async () => {
      const { plugin } = (await import(`../../plugins/${name}/index.ts`)) as { plugin: Plugin };
      assert.equal(plugin.name, name);
      assert.ok(existsSync(join(root, "plugins", name, "README.md")));
      if (plugin.package !== undefined) assert.equal(manifest().peerDependencies?.[plugin.package.name], plugin.package.range);
    });
  }

  it("bring, with the test kit, every peer that the package names", async () => {
    const all = await Promise.all(builtinPlugins.map((name) => import(`../../plugins/${name}/index.ts`)));
    const packages = all.flatMap(({ plugin }) => (plugin as Plugin).package ?? []);
    const expected = [...packages, ...Object.values(codecInstalls), ...signingPackages, containerPackage].map(
      ({ name, range }): [string, string] => [name, range],
    );
    assert.deepEqual(manifest().peerDependencies, Object.fromEntries(expected));
  });
});
