import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Ajv } from "ajv";
import { root } from "../core/run-program.ts";
import { hexkit, pigeonPackage, project } from "./command.ts";

describe("hexkit schema", { concurrency: 2 }, () => {
  it("prints what hexkit.config.schema.json holds where nothing else is named", async () => {
    const { folder, remove } = project();
    try {
      const { code, stdout, stderr } = await hexkit(["schema"], { cwd: folder });
      assert.equal(code, 0, stderr);
      assert.equal(stdout, readFileSync(join(root, "hexkit.config.schema.json"), "utf8"));
    } finally {
      remove();
    }
  });

  it("knows the plugins that the configuration names and the protocols that they bring, and writes to --out", async () => {
    const config = {
      providers: { post: { plugin: "hexkit-plugin-pigeon", options: { ring: "r" } } },
      protocols: { loft: { provider: "post", birds: 2 } },
    };
    const wrong = { ...config, protocols: { loft: { provider: "post", birds: "many" } } };
    const { folder, remove } = project({ ...pigeonPackage("hexkit-plugin-pigeon"), "hexkit.config.json": wrong });
    try {
      const { code, stdout, stderr } = await hexkit(["schema", "--out", "mine.json"], { cwd: folder });
      assert.deepEqual([code, stdout, stderr], [0, "", "Written: mine.json\n"], "also of a configuration that is not valid");
      const validate = new Ajv({ strict: false, validateFormats: false }).compile(
        JSON.parse(readFileSync(join(folder, "mine.json"), "utf8")),
      );
      assert.equal(validate(config), true, JSON.stringify(validate.errors));
      assert.equal(validate(wrong), false);
      assert.equal(validate({ ...config, providers: { post: { plugin: "hexkit-plugin-pigeon", options: { rung: "r" } } } }), false);
    } finally {
      remove();
    }
  });

  it("writes nothing if a plugin cannot be loaded", async () => {
    const { folder, remove } = project({ "hexkit.config.json": { providers: { post: { plugin: "hexkit-plugin-gone" } } } });
    try {
      const { code, stdout, stderr } = await hexkit(["schema", "--out", "mine.json"], { cwd: folder });
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, /hexkit\.config\.json#\/providers\/post\/plugin: plugin hexkit-plugin-gone: the package is not installed/);
      assert.equal(existsSync(join(folder, "mine.json")), false);
    } finally {
      remove();
    }
  });

  it("says where it wrote with --json, and why it could not write", async () => {
    const { folder, remove } = project();
    try {
      const outs = ["mine.json", "no/such/folder.json"];
      const [written, not] = await Promise.all(outs.map((out) => hexkit(["schema", "-o", out, "--json"], { cwd: folder })));
      assert.deepEqual(JSON.parse(written?.stdout ?? ""), { file: "mine.json" });
      assert.deepEqual([not?.code, not?.stdout], [1, ""]);
      assert.match(not?.stderr ?? "", /no\/such\/folder\.json cannot be written \(ENOENT\)/);
    } finally {
      remove();
    }
  });
});
