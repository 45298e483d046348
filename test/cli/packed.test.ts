import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type InstalledPackage, installPackage } from "../house/packed-package.ts";
import { bringTools, compiles, installedHexkit, passesItsTests, succeeds } from "./scaffolds.ts";

describe("the hexkit command of the packed package, in an empty folder", () => {
  let installed: InstalledPackage;
  before(async () => {
    installed = await installPackage();
    bringTools(installed.folder);
  });
  after(() => installed?.remove());

  it("is found by npx", async () => {
    assert.match(await succeeds("npx --no-install hexkit --help", installed.folder), /Usage: hexkit /);
    assert.ok(!installed.files.some((file) => file.startsWith("dist/cli/templates")), "templates are copied, not built");
  });

  it("checks what is configured, and lists plugins without any driver installed", async () => {
    const output = await succeeds("HEXKIT_EVENT_PUBLISHER=memory node_modules/.bin/hexkit check", installed.folder);
    assert.match(output, /^\/protocols\/eventPublisher\/provider = "memory" {2}\(environment HEXKIT_EVENT_PUBLISHER\)$/m);
    assert.match(await installedHexkit(installed, "plugins"), /client {4}kafkajs ~2\.2\.4: not installed; npm install kafkajs@~2\.2\.4/);
  });

  it("begins a service that passes its tests and its compiler as generated", async () => {
    await installedHexkit(installed, "init service order-desk");
    const folder = join(installed.folder, "order-desk");
    await passesItsTests(folder);
    await compiles(folder);
    assert.match(await installedHexkit(installed, "check", folder), /The configuration is valid: 2 bindings, 1 provider\./);
  });
});
