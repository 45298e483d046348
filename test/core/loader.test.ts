import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { inspectConfig, isHexkitError, type Registry } from "hexkit";
import { mailers, open } from "./mailer.ts";
import { root } from "./run-program.ts";

const inCore = (file: string): string => JSON.stringify(`file://${join(root, "core", file)}`);
const fromCore = `{ definePlugin, defineProtocol } from ${inCore("index.ts")}`;

/** The source of a plugin `post` with the protocol `mailer`. */
const source = (
  name: string,
  { exports = "export default ", rest = "", plugin = "", protocol = "", imports = fromCore, define = "defineProtocol" } = {},
): string => `
  import ${imports};
  ${rest}
  const schema = { type: "object", additionalProperties: false, properties: { host: { type: "string", default: "here", description: "x" } } };
  const mailer = (${define})({ name: "mailer", id: "test/mailer", version: 1, summary: "x", settings: { ...schema, properties: {} },
    create: (driver) => driver, ${protocol} });
  ${exports} definePlugin({ name: ${JSON.stringify(name)}, apiVersion: 1, summary: "x", options: schema, protocols: [mailer],
    open: (options) => options, provides: { mailer: ({ host }) => ({ mail: async (to) => { globalThis.hexkitLoaderTest?.push(host + " " + to); } }) }, ${plugin} });
`;

const esm = (name: string, extra: object = {}): string =>
  JSON.stringify({ name, version: "1.0.0", type: "module", exports: { ".": { default: "./index.js" } }, ...extra });

describe("loading a plugin by name", () => {
  let folder: string;
  const write = (path: string, text: string): string => {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return file;
  };
  const configFile = (path: string, plugin: string): string => write(path, JSON.stringify(mailers(["a"], plugin)));
  let bad = 0;
  const problemOf = async (plugin: string): Promise<string> => {
    bad += 1;
    const file = configFile(`bad-${bad}.json`, plugin);
    let text = "";
    await assert.rejects(open({ config: file }), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_CONFIG_INVALID"), String(error));
      text = error.message;
      return true;
    });
    assert.equal((await inspectConfig({ config: file, env: {} })).ok, false);
    return text;
  };
  const works = async (opening: Promise<Registry>): Promise<void> => {
    await using registry = await opening;
    await registry.get("mailer").mail("ann", "hi");
  };

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "hexkit-loader-"));
    const modules = "node_modules";
    for (const name of ["hexkit-plugin-post", "@acme/hexkit-plugin-post", "@acme/anything"]) {
      write(`${modules}/${name}/package.json`, esm(name));
      write(`${modules}/${name}/index.js`, source("post"));
    }
    write(`${modules}/hexkit-plugin-named/package.json`, esm("hexkit-plugin-named"));
    write(`${modules}/hexkit-plugin-named/index.js`, source("post", { exports: "export const plugin =" }));
    write(`${modules}/hexkit-plugin-main/package.json`, JSON.stringify({ name: "hexkit-plugin-main", type: "module", main: "./index.js" }));
    write(`${modules}/hexkit-plugin-main/index.js`, source("post"));
    write(`${modules}/hexkit-plugin-closed/package.json`, esm("hexkit-plugin-closed", { exports: { ".": { import: "./index.js" } } }));
    write(`${modules}/hexkit-plugin-closed/index.js`, source("post"));
    write(`${modules}/hexkit-plugin-hollow/package.json`, esm("hexkit-plugin-hollow"));
    write(`${modules}/hexkit-plugin-needy/package.json`, esm("hexkit-plugin-needy"));
    write(`${modules}/hexkit-plugin-needy/index.js`, `import "stamp-collector"; ${source("post")}`);
    const common = `const made = Object.defineProperty({ name: "post", apiVersion: 1, summary: "x", open: (o) => o,
      options: { type: "object", additionalProperties: false, properties: {} },
      protocols: [{ name: "mailer", id: "test/mailer", version: 1, summary: "x", create: (driver) => driver,
        settings: { type: "object", additionalProperties: false, properties: {} } }],
      provides: { mailer: () => ({ mail: async () => undefined }) } }, Symbol.for("hexkit.Plugin"), { value: true });`;
    write(`${modules}/hexkit-plugin-common/package.json`, JSON.stringify({ name: "hexkit-plugin-common", main: "index.cjs" }));
    write(`${modules}/hexkit-plugin-common/index.cjs`, `${common} module.exports = made;`);
    write(`${modules}/hexkit-plugin-compiled/package.json`, JSON.stringify({ name: "hexkit-plugin-compiled", main: "index.cjs" }));
    write(`${modules}/hexkit-plugin-compiled/index.cjs`, `"use strict"; exports.__esModule = true; ${common} exports.default = made;`);
    write("plain.mjs", "export default { name: 'post', apiVersion: 1 };");
    write("empty.mjs", "export const nothing = 1;");
    write("broken.mjs", "throw new Error('the press is broken');");
    write("nothing.mjs", "throw undefined;");
    write("syntax.mjs", "export default {;");
    write("future.mjs", source("post", { plugin: "apiVersion: 9" }));
    write("past.mjs", source("post", { plugin: "apiVersion: 0" }));
    write("malformed.mjs", source("post", { plugin: "open: undefined" }));
    write("other-mailer.mjs", source("other", { protocol: "version: 2" }));
    write("post.mjs", source("post"));
    write("second-post.mjs", source("post"));
    write("copy.mjs", source("post", { imports: `{ definePlugin } from ${inCore("plugin.ts?copy")}`, define: "(protocol) => protocol" }));
    write("deep/er/post.mjs", source("post"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const specifier of [
    "hexkit-plugin-post",
    "@acme/hexkit-plugin-post",
    "@acme/anything",
    "hexkit-plugin-named",
    "hexkit-plugin-main",
    "hexkit-plugin-common",
    "hexkit-plugin-compiled",
    "./post.mjs",
    "./deep/er/post.mjs",
    "./copy.mjs",
  ]) {
    it(`finds ${specifier} from the folder of the configuration file`, async () => {
      await works(open({ config: configFile("good.json", specifier) }));
    });
  }

  it("takes a path relative to the file that names it, up as well as down, and an absolute one", async () => {
    await works(open({ config: configFile("deep/config.json", "../post.mjs") }));
    await works(open({ config: configFile("deep/er/config.json", "./post.mjs") }));
    await works(open({ config: configFile("elsewhere/config.json", join(folder, "post.mjs")) }));
  });

  it("looks in the working directory when a variable names it", async () => {
    const before = process.cwd();
    process.chdir(folder);
    try {
      await works(open({ config: {}, env: { HEXKIT_MAILER: "./post.mjs" } }));
      await works(open({ config: {}, env: { HEXKIT_MAILER: "hexkit-plugin-post", HEXKIT_POST_HOST: "there" } }));
    } finally {
      process.chdir(before);
    }
  });

  it("hands a plugin's options and protocol on", async () => {
    const seen: string[] = [];
    (globalThis as { hexkitLoaderTest?: string[] }).hexkitLoaderTest = seen;
    await works(open({ config: configFile("good.json", "hexkit-plugin-post"), env: { HEXKIT_A_HOST: "there" } }));
    delete (globalThis as { hexkitLoaderTest?: string[] }).hexkitLoaderTest;
    assert.deepEqual(seen, ["there ann"]);
  });

  for (const [specifier, ...messages] of [
    ["hexkit-plugin-absent", /plugin hexkit-plugin-absent: the package is not installed in .*: npm install hexkit-plugin-absent$/m],
    ["@acme/absent", /plugin @acme\/absent: the package is not installed in .*: npm install @acme\/absent$/m],
    ["./absent.mjs", /plugin \.\/absent\.mjs: no such file in /],
    ["hexkit-plugin-closed", /plugin hexkit-plugin-closed: its package\.json exports no "default" condition for "\."/],
    ["hexkit-plugin-hollow", /plugin hexkit-plugin-hollow could not be loaded: Cannot find module .*index\.js/],
    ["hexkit-plugin-needy", /plugin hexkit-plugin-needy could not be loaded: .*stamp-collector/],
    ["./broken.mjs", /plugin \.\/broken\.mjs could not be loaded: the press is broken/],
    ["./nothing.mjs", /plugin \.\/nothing\.mjs could not be loaded: undefined/],
    ["./syntax.mjs", /plugin \.\/syntax\.mjs could not be loaded: /],
    ["./plain.mjs", /plugin \.\/plain\.mjs: the module's default export is not made by definePlugin/],
    ["./empty.mjs", /plugin \.\/empty\.mjs: the module has no default export; it must export what definePlugin makes$/m],
    ["./malformed.mjs", /plugin \.\/malformed\.mjs could not be loaded: plugin post: `open` must be a function/],
    ["./future.mjs", /plugin \.\/future\.mjs is written for plugin API 9, this hexkit speaks 1: upgrade hexkit$/m],
    ["./past.mjs", /plugin \.\/past\.mjs is written for plugin API 0, this hexkit speaks 1: upgrade the plugin$/m],
    ["kafak", /unknown plugin "kafak"; did you mean "kafka"\?/],
    ["carrierPigeon", /unknown plugin "carrierPigeon"; known: kafka, memory/],
    ["https://evil.example/plugin.js", /unknown plugin/],
    ["data:text/javascript,0", /unknown plugin/],
    ["node:fs", /unknown plugin/],
  ] as const) {
    it(`says what is wrong with ${specifier}`, async () => {
      const text = await problemOf(specifier);
      for (const message of messages) assert.match(text, message);
      // One fault, one line; only of a plugin whose name is unknown no one can tell whether it would bring the protocol.
      const known = /^(hexkit-plugin-|@|\.)/.test(specifier)
        ? text
        : text.replace(/\n- \S+#\/protocols\/mailer: unknown protocol [^\n]+/, "");
      assert.match(known, /^the configuration has [\w ]+:\n- .*bad-\d+\.json#\/providers\/a\/plugin: [^\n]+$/);
      const bound = JSON.stringify({ providers: { a: { plugin: specifier } }, protocols: { eventPublisher: "a" } });
      const { problems } = await inspectConfig({ config: write("bound.json", bound), env: {} });
      assert.equal(problems.length, 1, JSON.stringify(problems));
    });
  }

  it("refuses two plugins of one name, named by where the second stands", async () => {
    const config = {
      providers: { a: { plugin: "./post.mjs" }, b: { plugin: "./second-post.mjs" } },
      protocols: { mailer: "a", "mailer:b": "b" },
    };
    const report = await inspectConfig({ config: write("two.json", JSON.stringify(config)), env: {} });
    assert.equal(report.problems.length, 1, JSON.stringify(report.problems));
    assert.match(
      report.problems[0]?.message ?? "",
      /two plugins are named "post": \.\/(second-)?post\.mjs and \.\/(second-)?post\.mjs; use one of them/,
    );
  });

  it("refuses two versions of one protocol", async () => {
    const config = {
      providers: { a: { plugin: "./post.mjs" }, b: { plugin: "./other-mailer.mjs" } },
      protocols: { mailer: "a", "mailer:b": "b" },
    };
    const report = await inspectConfig({ config: write("versions.json", JSON.stringify(config)), env: {} });
    assert.equal(report.problems.length, 1, JSON.stringify(report.problems));
    assert.match(
      report.problems[0]?.message ?? "",
      /protocol mailer is test\/mailer@[12] here and test\/mailer@[12] in plugin (post|other); use versions that agree/,
    );
  });

  it("does not import what is declared but not bound", async () => {
    const config = { providers: { a: { plugin: "./broken.mjs" }, b: { plugin: "./post.mjs" } }, protocols: { mailer: "b" } };
    await works(open({ config: write("unbound.json", JSON.stringify(config)) }));
  });

  it("imports a plugin once for several providers", async () => {
    write("counted.mjs", source("post", { rest: "globalThis.hexkitImports = (globalThis.hexkitImports ?? 0) + 1;" }));
    const config = {
      providers: { a: { plugin: "./counted.mjs" }, b: { plugin: "./counted.mjs" } },
      protocols: { mailer: "a", "mailer:b": "b" },
    };
    await works(open({ config: write("twice.json", JSON.stringify(config)) }));
    assert.equal((globalThis as { hexkitImports?: number }).hexkitImports, 1);
  });
});
