import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { apiVersion, inspectPlugins } from "hexkit";
import { builtinPlugins } from "../../core/loader.ts";
import { root } from "../core/run-program.ts";
import { hexkit, pigeonPackage, project } from "./command.ts";

interface Listed {
  readonly ok: boolean;
  readonly version: string;
  readonly apiVersion: number;
  readonly plugins: Record<string, unknown>[];
  readonly problems: { readonly place: string; readonly message: string }[];
}

const versionOf = (name: string): string =>
  (JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")) as { version: string }).version;

describe("hexkit plugins", { concurrency: 2 }, () => {
  it("lists ours with what they provide and the version of their client, without any configuration", async () => {
    const { folder, remove } = project();
    try {
      const { code, stdout, stderr } = await hexkit(["plugins", "--json"], { cwd: folder });
      assert.equal(code, 0, stderr);
      const listed = JSON.parse(stdout) as Listed;
      const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
      assert.deepEqual([listed.ok, listed.version, listed.apiVersion, listed.problems], [true, version, apiVersion, []]);
      assert.deepEqual(
        listed.plugins.map(({ specifier }) => specifier),
        [...builtinPlugins].sort(),
      );
      assert.deepEqual(listed.plugins[0], {
        specifier: "kafka",
        builtin: true,
        loaded: true,
        name: "kafka",
        summary: "Apache Kafka 2.8 or later",
        version,
        apiVersion: 1,
        provides: ["eventPublisher", "eventSubscriber"],
        protocols: [],
        client: { name: "kafkajs", range: "~2.2.4", installed: versionOf("kafkajs") },
      });
    } finally {
      remove();
    }
  });

  it("lists those that the configuration names and those among the dependencies, and scans nothing else", async () => {
    const { folder, remove } = project({
      ...pigeonPackage("hexkit-plugin-pigeon"),
      ...pigeonPackage("@acme/hexkit-plugin-dove", "0.2.0"),
      ...pigeonPackage("hexkit-plugin-unlisted"),
      ...pigeonPackage("hexkit-plugin-named"),
      "package.json": { dependencies: { "hexkit-plugin-pigeon": "^3", hexkit: "*" }, devDependencies: { "@acme/hexkit-plugin-dove": "*" } },
      "hexkit.config.json": { providers: { post: { plugin: "hexkit-plugin-named" }, logs: { plugin: "kafka" } } },
      "below/keep.txt": "",
    });
    try {
      const { code, stdout } = await hexkit(["plugins", "--json", "-c", "../hexkit.config.json"], { cwd: join(folder, "below") });
      const { plugins, problems, ok } = JSON.parse(stdout) as Listed;
      const others = plugins.filter(({ builtin }) => builtin === false);
      assert.deepEqual(
        others.map(({ specifier, place, version }) => [specifier, place, version]),
        [
          ["@acme/hexkit-plugin-dove", "package.json", "0.2.0"],
          ["hexkit-plugin-named", "../hexkit.config.json#/providers/post/plugin", "3.1.4"],
          ["hexkit-plugin-pigeon", "package.json", "3.1.4"],
        ],
      );
      assert.deepEqual(others[0]?.protocols, [{ name: "loft", id: "acme/loft", version: 2, summary: "Keeps pigeons." }]);
      assert.equal(plugins.find(({ name }) => name === "kafka")?.place, "../hexkit.config.json#/providers/logs/plugin");
      // Three packages with one plugin's name, and each without its client.
      assert.deepEqual([code, ok], [1, false]);
      assert.equal(problems.filter(({ message }) => /two plugins are named "pigeon"/.test(message)).length, 2);
    } finally {
      remove();
    }
  });

  it("says how to install a missing client, on stderr as a problem where something names the plugin", async () => {
    const { folder, remove } = project({
      ...pigeonPackage("hexkit-plugin-pigeon"),
      "package.json": { dependencies: { "hexkit-plugin-pigeon": "^3" } },
    });
    try {
      const { code, stdout, stderr } = await hexkit(["plugins"], { cwd: folder });
      assert.equal(code, 1, stdout);
      assert.match(
        stdout,
        /\nhexkit-plugin-pigeon: Post by pigeon\n {2}provides {2}loft\n {2}protocol {2}loft \(acme\/loft@2\): Keeps pigeons\.\n {2}version {3}3\.1\.4, plugin API 1\n {2}client {4}homing-client >=2\.0\.0 <3\.0\.0: not installed; npm install "homing-client@>=2\.0\.0 <3\.0\.0"\n {2}named in {2}package\.json\n/,
      );
      assert.equal(
        stderr,
        '1 problem:\n- package.json: plugin hexkit-plugin-pigeon needs the package homing-client (>=2.0.0 <3.0.0): npm install "homing-client@>=2.0.0 <3.0.0"\n',
      );
    } finally {
      remove();
    }
  });

  it("says what cannot be loaded and goes on with the others", async () => {
    const { folder, remove } = project({
      "package.json": { dependencies: { "hexkit-plugin-gone": "^1" } },
      "old.mjs":
        'import { definePlugin } from "hexkit"; export default definePlugin({ name: "old", apiVersion: 99, summary: "Old", options: { type: "object", additionalProperties: false, properties: {} }, open: () => 1, provides: { dao: () => ({}) } });',
      "hexkit.config.json": { providers: { past: { plugin: "./old.mjs" }, odd: { plugin: "kafak" } } },
    });
    try {
      const { code, stdout, stderr } = await hexkit(["plugins"], { cwd: folder });
      assert.equal(code, 1, stdout);
      assert.match(
        stdout,
        /\n\.\/old\.mjs\n {2}problem {3}cannot be loaded\n {2}named in {2}hexkit\.config\.json#\/providers\/past\/plugin\n/,
      );
      assert.match(stdout, /\nmemory: /);
      assert.match(stderr, /^3 problems:$/m);
      assert.match(
        stderr,
        /- package\.json: plugin hexkit-plugin-gone: the package is not installed in .*: npm install hexkit-plugin-gone/,
      );
      assert.match(stderr, /plugin API 99, this hexkit speaks 1: upgrade hexkit/);
      assert.match(stderr, /unknown plugin "kafak"/);
    } finally {
      remove();
    }
  });

  it("names a package.json that is no JSON", async () => {
    const { folder, remove } = project({ "package.json": "{" });
    try {
      const { code, stderr } = await hexkit(["plugins"], { cwd: folder });
      assert.equal(code, 1);
      assert.match(stderr, /package\.json: cannot be read: /);
    } finally {
      remove();
    }
  });
});

describe("inspectPlugins", () => {
  it("gives our plugins and protocols when nothing is configured, and takes those that are passed", async () => {
    const { plugins, protocols, problems } = await inspectPlugins({ config: {}, env: {} });
    assert.deepEqual(problems, []);
    assert.deepEqual(
      plugins.map(({ specifier, builtin, place, plugin }) => [specifier, builtin, place, plugin?.name]),
      [...builtinPlugins].sort().map((name) => [name, true, undefined, name]),
    );
    assert.ok(
      protocols.some(({ name }) => name === "outbox"),
      "composed protocols are among them",
    );
  });

  it("tells where a plugin is named, by an entry or a variable, and leaves out a variable's mere candidate", async () => {
    const config = { providers: { logs: { plugin: "kafka" }, cold: { plugin: "s3" } }, protocols: { eventPublisher: "logs" } };
    const env = { HEXKIT_DAO: "mongodb", HEXKIT_WHATEVER: "hexkit-plugin-not-there" };
    const { plugins, problems } = await inspectPlugins({ config, env });
    assert.deepEqual(problems, []);
    assert.deepEqual(
      plugins.filter(({ place }) => place !== undefined).map(({ specifier, place }) => [specifier, place]),
      [
        ["kafka", "config#/providers/logs/plugin"],
        ["mongodb", "HEXKIT_DAO"],
        ["s3", "config#/providers/cold/plugin"],
      ],
    );
    assert.equal(plugins.length, builtinPlugins.length);
  });

  it("reports what cannot be read or loaded, without the configuration's secrets", async () => {
    const config = {
      providers: {
        logs: { plugin: "kafka", options: { brokers: ["a:1"], sasl: { mechanism: "plain", username: "u", password: "swordfish-9" } } },
      },
      protocols: { eventPublisher: "logs" },
    };
    const more = [{ specifier: "./swordfish-9.mjs", place: "here", folder: root }];
    const { plugins, problems } = await inspectPlugins({ config, env: {} }, more);
    assert.equal(plugins.at(-1)?.plugin, undefined);
    assert.equal(problems.length, 1);
    assert.doesNotMatch(problems[0]?.message ?? "", /swordfish/);
    const { problems: unread } = await inspectPlugins({ config: "gone.json", env: {} });
    assert.match(unread[0]?.message ?? "", /there is no such file/);
  });
});
