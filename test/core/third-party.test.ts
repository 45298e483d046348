import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { bring, compilePlugin, type InstalledPackage, installPackage } from "../house/packed-package.ts";

/** What a stranger publishes as `hexkit-plugin-mailer`: plain JavaScript, a protocol of its own, hexkit as a peer. */
const plugin = `
import { definePlugin, defineProtocol } from "hexkit";

const mailer = defineProtocol({
  name: "mailer",
  id: "hexkit-plugin-mailer/mailer",
  version: 1,
  summary: "Sends letters.",
  settings: { type: "object", additionalProperties: false, properties: { from: { type: "string", default: "office", description: "The sender." } } },
  create: (driver, context) => ({
    mail: (to, text, options) => context.call("mail", to, options, () => driver.send(context.settings.from, to, text)),
  }),
});

export default definePlugin({
  name: "mailer",
  apiVersion: 1,
  summary: "Letters to standard output",
  options: { type: "object", additionalProperties: false, required: ["stamp"],
    properties: { stamp: { type: "string", description: "What is stuck on." }, password: { type: "string", writeOnly: true, description: "Secret." } } },
  protocols: [mailer],
  open: (options, context) => { context.logger.info({ options }, "open"); return options; },
  close: () => console.log("closed"),
  classify: (error) => (error.message === "moved" ? "ERR_HEXKIT_PERMISSION_DENIED" : undefined),
  provides: {
    mailer: ({ stamp }) => ({
      async send(from, to, text) {
        if (to === "nobody") throw new Error("moved");
        console.log([stamp, from, to, text].join(" | "));
      },
    }),
  },
});
`;

/** A service in the consumer's folder; it knows the plugin only from its configuration. */
const program = `
import { isHexkitError, openRegistry } from "hexkit";
import { inject, injectable } from "hexkit/inject";

const registry = await openRegistry();
await registry.get("mailer").mail("ann", "hello");
await registry.get("mailer:night").mail("bob", "boo");
console.log(registry.container.resolve("mailer:night") === registry.get("mailer:night"));
await registry.get("mailer").mail("nobody", "x").catch((error) => console.log(isHexkitError(error), error.code, error.message));
await registry.get("eventPublisher").publish({ topic: "t", type: "t", key: "k", payload: {} });
await registry.close();
`;

const config = {
  service: { name: "post" },
  log: { level: "info" },
  providers: { letters: { plugin: "hexkit-plugin-mailer", options: { stamp: "2p" } } },
  protocols: { mailer: "letters", "mailer:night": { provider: "letters", from: "owl" }, eventPublisher: "memory" },
};

const printed = [
  "2p | office | ann | hello",
  "2p | owl | bob | boo",
  "true",
  'true ERR_HEXKIT_PERMISSION_DENIED mailer (provider "letters", plugin mailer): mail nobody failed: moved',
  "closed",
  "",
].join("\n");

describe("a third-party plugin with a protocol of its own, beside the packed package", () => {
  let installed: InstalledPackage;
  const modules = (...path: string[]): string => join(installed.folder, "node_modules", ...path);
  const place = (name: string): void => {
    mkdirSync(modules(name), { recursive: true });
    writeFileSync(
      modules(name, "package.json"),
      JSON.stringify({
        name,
        version: "1.0.0",
        type: "module",
        exports: { ".": { default: "./index.js" } },
        peerDependencies: { hexkit: "*" },
      }),
    );
    writeFileSync(modules(name, "index.js"), plugin);
  };
  const write = (changed: object): void =>
    writeFileSync(join(installed.folder, "hexkit.config.json"), JSON.stringify({ ...config, ...changed }));
  const runIt = (env: Record<string, string> = {}) => installed.node(["program.mjs"], env);

  before(async () => {
    installed = await installPackage();
    place("hexkit-plugin-mailer");
    writeFileSync(join(installed.folder, "program.mjs"), program);
  });
  after(() => installed?.remove());

  it("is loaded by the name that the configuration gives, and used", async () => {
    write({});
    const { code, stdout, stderr } = await runIt({ HEXKIT_LETTERS_PASSWORD: "canary" });
    assert.equal(stdout, printed, stderr);
    assert.equal(code, 0);
    assert.match(stderr, /"name":"hexkit.plugins.mailer".*"options":{"stamp":"2p","password":"\[secret\]"}/);
    assert.doesNotMatch(stderr, /canary/);
  });

  it("is loaded by a variable alone", async () => {
    write({ providers: {}, protocols: {} });
    const env = {
      HEXKIT_MAILER: "hexkit-plugin-mailer",
      HEXKIT_MAILER__NIGHT: "hexkit-plugin-mailer",
      HEXKIT_EVENT_PUBLISHER: "memory",
      HEXKIT_MAILER__NIGHT__FROM: "owl",
    };
    // The unnamed provider is called as the plugin is, which is the protocol's name here.
    const refused = await runIt(env);
    assert.match(refused.stderr, /no provider may be called "mailer"/);
    write({ protocols: {} });
    const { stdout, stderr } = await runIt({ ...env, HEXKIT_MAILER: "letters", HEXKIT_MAILER__NIGHT: "letters" });
    assert.equal(stdout, printed, stderr);
  });

  it("works with a copy of hexkit of its own", async () => {
    place("@acme/hexkit-plugin-mailer");
    cpSync(modules("hexkit"), modules("@acme/hexkit-plugin-mailer", "node_modules", "hexkit"), { recursive: true });
    write({ providers: { letters: { plugin: "@acme/hexkit-plugin-mailer", options: { stamp: "2p" } } } });
    const { code, stdout, stderr } = await runIt();
    assert.equal(stdout, printed, stderr);
    assert.equal(code, 0);
  });

  it("works when it was compiled to CommonJS", async () => {
    place("hexkit-plugin-compiled");
    const compiled = plugin
      .replace(/^import (.*) from ("hexkit");/m, "const $1 = require($2);")
      .replace("export default", "exports.default =");
    writeFileSync(
      modules("hexkit-plugin-compiled", "index.js"),
      `Object.defineProperty(exports, "__esModule", { value: true });${compiled}`,
    );
    writeFileSync(modules("hexkit-plugin-compiled", "package.json"), JSON.stringify({ name: "hexkit-plugin-compiled", main: "index.js" }));
    write({ providers: { letters: { plugin: "hexkit-plugin-compiled", options: { stamp: "2p" } } } });
    const { code, stdout, stderr } = await runIt();
    assert.equal(stdout, printed, stderr);
    assert.equal(code, 0);
  });

  it("has its options checked like ours", async () => {
    write({ providers: { letters: { plugin: "hexkit-plugin-mailer", options: { stmap: "2p" } } } });
    const { code, stderr } = await runIt();
    assert.equal(code, 1);
    assert.match(stderr, /#\/providers\/letters\/options\/stmap: unknown; did you mean "stamp"\?/);
    assert.match(
      stderr,
      /"stamp" is missing: provider "letters" \(plugin hexkit-plugin-mailer\) needs it; set it here or by HEXKIT_LETTERS_STAMP/,
    );
  });

  it("named and not installed, is told how to install", async () => {
    write({ providers: { letters: { plugin: "hexkit-plugin-pigeon" } } });
    const { code, stderr } = await runIt();
    assert.equal(code, 1);
    assert.match(stderr, /plugin hexkit-plugin-pigeon: the package is not installed in .*: npm install hexkit-plugin-pigeon/);
  });

  it("leaves our own plugins to be found, and what their package needs to be named", async () => {
    write({ providers: { events: { plugin: "kafka", options: { brokers: ["localhost:1"] } } }, protocols: { eventPublisher: "events" } });
    const { code, stderr } = await runIt();
    assert.equal(code, 1);
    assert.match(stderr, /provider "events", plugin kafka: needs the package kafkajs \([^)]+\): npm install kafkajs@"/);
  });
});

/** Stores an object by the name that the configuration gives, and reads it back. */
const storing = `
import { openRegistry } from "hexkit";
const registry = await openRegistry();
const storage = registry.get("objectStorage");
await storage.createBucket("reports");
await storage.put("reports", "2026/11.csv", "a,b");
console.log(await (await storage.get("reports", "2026/11.csv")).text());
await storage.presignDownload("reports", "2026/11.csv").catch((error) => console.log(error.code));
await storage.put("missing", "key", "x").catch((error) => console.log(error.message));
await registry.close();
`;

describe("the plugin of docs/write-a-plugin.md, built from the packed package alone", () => {
  let installed: InstalledPackage;
  const packed = (...path: string[]): string => join(installed.folder, "node_modules", "hexkit", ...path);
  /** A block of the page: the first one of that language behind a text. */
  const block = (behind: string, language: string): string => {
    const page = readFileSync(packed("docs", "write-a-plugin.md"), "utf8");
    const [, text] = new RegExp(`${behind}.*?\\n\`\`\`${language}\\n(.*?)\`\`\``, "s").exec(page) ?? [];
    return text ?? assert.fail(`the page has no ${language} behind ${behind}`);
  };

  before(async () => {
    installed = await installPackage();
    bring(installed.folder, ["@types/node", "undici-types"]);
    const plugin = join(installed.folder, "node_modules", "hexkit-plugin-file-system");
    const source = join(installed.folder, "source");
    mkdirSync(plugin);
    cpSync(packed("examples", "file-system-storage"), source, { recursive: true });
    writeFileSync(join(plugin, "package.json"), block("## Publish it", "json"));
    writeFileSync(join(source, "conformance.test.ts"), block("generated: conformance", "ts"));
    const output = await compilePlugin(installed.folder, "hexkit-plugin-file-system");
    assert.equal(output, "", "it compiles, libraries checked");
  });
  after(() => installed?.remove());

  it("proves itself with the suite as the page shows it", async () => {
    const pattern =
      "--test-name-pattern=(declares the capabilities|are there once|come back as they were stored|are refused, of every kind)";
    const file = "node_modules/hexkit-plugin-file-system/dist/conformance.test.js";
    // Not by `--test`, which passes over node_modules from Node 22 on.
    const { code, stdout, stderr } = await installed.node(["--test-reporter=tap", pattern, file]);
    assert.equal(code, 0, stdout + stderr);
    for (const title of ["declares the capabilities", "are there once", "come back as they were stored", "are refused, of every kind"]) {
      assert.match(stdout, new RegExp(` ok \\d+ - ${title}[^#\\n]*\\n`), title);
    }
  });

  it("is found by its package's name and stores objects", async () => {
    const folder = join(installed.folder, "files");
    const config = {
      providers: { files: { plugin: "hexkit-plugin-file-system", options: { folder } } },
      protocols: { objectStorage: "files" },
    };
    writeFileSync(join(installed.folder, "hexkit.config.json"), JSON.stringify(config));
    writeFileSync(join(installed.folder, "storing.mjs"), storing);
    const { code, stdout, stderr } = await installed.node(["storing.mjs"]);
    assert.equal(code, 0, stderr);
    const [text, refused, missing] = stdout.split("\n");
    assert.deepEqual([text, refused], ["a,b", "ERR_HEXKIT_UNSUPPORTED"]);
    assert.match(
      missing ?? "",
      /^objectStorage \(provider "files", plugin fileSystem\): put "missing\/key" failed: there is no bucket "missing"$/,
    );
  });
});
