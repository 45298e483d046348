import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  apiVersion,
  defineComposedProtocol,
  definePlugin,
  defineProtocol,
  inspectConfig,
  isHexkitError,
  isPlugin,
  type Plugin,
} from "hexkit";
import { mailerProtocol, mailers, open, postPlugin } from "./mailer.ts";

type Loose = (definition: unknown) => unknown;

const options = { type: "object", additionalProperties: false, properties: {} };
const good = { name: "post", apiVersion: 1, summary: "x", options, open: () => 1, provides: { mailer: () => ({}) } };
const settings = options;
const protocol = { name: "mailer", id: "x/mailer", version: 1, summary: "x", settings, create: () => ({}) };

describe("definePlugin", () => {
  it("marks and freezes a plugin without touching what it was given", () => {
    const definition = { ...good };
    const plugin = (definePlugin as Loose)(definition) as Plugin;
    assert.equal(isPlugin(plugin), true);
    assert.equal(isPlugin(definition), false);
    assert.equal(Object.isFrozen(plugin), true);
    assert.equal(Object.isFrozen(definition), false);
    assert.deepEqual(Object.keys(plugin), Object.keys(good));
    assert.equal(apiVersion, 1);
  });

  for (const [what, change, message] of [
    ["no name", { name: undefined }, /plugin name undefined: use lower camel case/],
    ["a name in kebab case", { name: "my-post" }, /"my-post".*lower camel case/],
    ["a name in upper case", { name: "Post" }, /"Post"/],
    ["a name that is no text", { name: 5 }, /plugin name 5/],
    ["no apiVersion", { apiVersion: undefined }, /plugin post: `apiVersion` must be a number; this hexkit speaks 1/],
    ["no options", { options: undefined }, /plugin post: `options` must be a JSON Schema/],
    ["options that are no object schema", { options: { type: "string" } }, /`options` must be/],
    ["options without properties", { options: { type: "object" } }, /`options` must be/],
    ["properties that are a list", { options: { type: "object", properties: [] } }, /`options` must be a JSON Schema/],
    [
      "a property that is no schema",
      { options: { ...options, properties: { port: null } } },
      /`options` has a property "port" that is no schema/,
    ],
    [
      "a property within a property that is no schema",
      { options: { ...options, properties: { sasl: { type: "object", properties: { user: "text" } } } } },
      /`options` has a property "sasl" that is no schema, such as \{ type: "string"/,
    ],
    ["a close that is no function", { close: true }, /`close` must be a function/],
    ["a check that is no function", { check: {} }, /`check` must be a function/],
    ["a classify that is no function", { classify: "ERR_HEXKIT_TIMEOUT" }, /`classify` must be a function/],
    ["protocols that are no list", { protocols: protocol }, /`protocols` must be a list of what defineProtocol made/],
    ["protocols that defineProtocol did not make", { protocols: [protocol, { name: "pager" }] }, /`protocols` must be a list/],
    ["no open", { open: undefined }, /`open` must be a function/],
    ["no provides", { provides: undefined }, /`provides` names no protocol/],
    ["empty provides", { provides: {} }, /`provides` names no protocol/],
    ["a driver that is no function", { provides: { mailer: {} } }, /`provides.mailer` must be a function/],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => (definePlugin as Loose)({ ...good, ...change }),
        (error) => isHexkitError(error, "ERR_HEXKIT_PLUGIN_INVALID") && message.test(error.message),
      );
    });
  }

  it("accepts another apiVersion: loading tells what to upgrade", () => {
    assert.equal(isPlugin((definePlugin as Loose)({ ...good, apiVersion: 2 })), true);
  });

  it("is recognised by its brand, also when another copy of the package made it", async () => {
    const copyPath = "../../core/plugin.ts?copy";
    const copy = (await import(copyPath)) as typeof import("../../core/plugin.ts");
    assert.notEqual(copy.definePlugin, definePlugin);
    assert.equal(isPlugin((copy.definePlugin as Loose)(good)), true);
    assert.equal(copy.isPlugin((definePlugin as Loose)(good)), true);
    for (const other of [null, undefined, "x", 1, {}, good, () => 1]) assert.equal(isPlugin(other), false);
  });
});

describe("defineProtocol", () => {
  for (const [define, base] of [
    [defineProtocol, protocol],
    [defineComposedProtocol, { ...protocol, composes: { publisher: "eventPublisher" } }],
  ] as const) {
    it(`${define.name} freezes a copy and refuses what is malformed`, () => {
      const made = (define as Loose)(base) as object;
      assert.deepEqual(made, base);
      assert.notEqual(made, base);
      assert.equal(Object.isFrozen(made), true);
      for (const [change, message] of [
        [{ name: undefined }, /protocol name undefined: use lower camel case/],
        [{ name: "my-mailer" }, /"my-mailer"/],
        [{ id: undefined }, /protocol mailer: `id` must be text/],
        [{ id: "" }, /`id` must be text/],
        [{ version: "1" }, /`version` a number/],
        [{ settings: undefined }, /`settings` must be a JSON Schema/],
        [{ settings: { type: "object" } }, /`settings` must be a JSON Schema/],
        [{ settings: { ...settings, properties: { from: 1 } } }, /`settings` has a property "from" that is no schema/],
        [{ create: undefined }, /`create` must be a function/],
      ] as const) {
        assert.throws(
          () => (define as Loose)({ ...base, ...change }),
          (error) => isHexkitError(error, "ERR_HEXKIT_PLUGIN_INVALID") && message.test(error.message),
          JSON.stringify(change),
        );
      }
    });
  }
});

describe("plugins that the application passes", () => {
  const refused = async (plugins: readonly unknown[], ...messages: readonly RegExp[]): Promise<void> => {
    await assert.rejects(open({ config: mailers(["a"]), plugins: plugins as Plugin[] }), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_CONFIG_INVALID"), String(error));
      for (const message of messages) {
        assert.ok(
          error.problems.some((problem) => message.test(`${problem.place}: ${problem.message}`)),
          error.message,
        );
      }
      return true;
    });
  };

  it("answer to their name before ours do", async () => {
    const journal: string[] = [];
    await using registry = await open({ config: mailers(["a"], "memory"), plugins: [postPlugin(journal, { name: "memory" })] });
    await registry.get("mailer").mail("ann", "hi");
    assert.equal(journal.at(-1), "a: letter to ann from office: hi");
  });

  it("are bound by their name alone", async () => {
    const journal: string[] = [];
    await using registry = await open({
      config: {},
      env: { HEXKIT_MAILER: "post", HEXKIT_POST_HOST: "h" },
      plugins: [postPlugin(journal)],
    });
    assert.equal(registry.has("mailer"), true);
    assert.equal(journal[0], "post: open");
  });

  it("are refused when definePlugin did not make them", async () => {
    for (const thing of [{ ...postPlugin([]) }, {}, null, undefined, "post", 5]) {
      await refused([thing], /openRegistry\({ plugins }\): plugin (undefined|"post") is not made by definePlugin/);
    }
  });

  it("are refused when two have one name", async () => {
    await refused([postPlugin([]), postPlugin([])], /openRegistry\({ plugins }\): two plugins are named "post"; pass one/);
  });

  it("are accepted when one is passed twice", async () => {
    const plugin = postPlugin([]);
    await using registry = await open({ config: mailers(["a"]), plugins: [plugin, plugin] });
    assert.equal(registry.has("mailer"), true);
  });

  it("are refused with another apiVersion, saying what to upgrade", async () => {
    await refused([postPlugin([], { apiVersion: 2 })], /plugin "post" is written for plugin API 2, this hexkit speaks 1: upgrade hexkit$/);
    await refused(
      [postPlugin([], { apiVersion: 0 })],
      /plugin "post" is written for plugin API 0, this hexkit speaks 1: upgrade the plugin$/,
    );
    const { problems } = await inspectConfig({ config: mailers(["a"]), env: {}, plugins: [postPlugin([], { apiVersion: 2 })] });
    assert.equal(problems.length, 1, "what follows from it is not reported again");
  });

  it("may bring a protocol that is there already, if id and version agree", async () => {
    const again = { ...mailerProtocol };
    const plugins = [postPlugin([], { protocols: [mailerProtocol] }), postPlugin([], { name: "other", protocols: [again] })];
    await using registry = await open({ config: mailers(["a"]), plugins, protocols: [{ ...mailerProtocol }] });
    assert.equal(registry.has("mailer"), true);
  });

  for (const [what, change] of [
    ["id", { id: "other/mailer" }],
    ["version", { version: 2 }],
  ] as const) {
    it(`are refused when two bring one protocol with another ${what}`, async () => {
      const plugins = [
        postPlugin([], { protocols: [mailerProtocol] }),
        postPlugin([], { name: "other", protocols: [{ ...mailerProtocol, ...change }] }),
      ];
      const { id, version } = { ...mailerProtocol, ...change };
      await refused(
        plugins,
        new RegExp(`plugin other: protocol mailer is ${id}@${version} here and test/mailer@1 in plugin post; use versions that agree`),
      );
    });
  }

  it("may not redefine a protocol of ours", async () => {
    const stolen = { ...mailerProtocol, name: "eventPublisher" };
    await refused(
      [postPlugin([], { protocols: [mailerProtocol, stolen] })],
      /protocol eventPublisher is test\/mailer@1 here and hexkit\/eventPublisher@1 in hexkit/,
    );
  });

  it("cannot be bound to a protocol that they do not provide", async () => {
    const config = { providers: { a: { plugin: "post" } }, protocols: { eventPublisher: "a" } };
    await assert.rejects(
      open({ config, plugins: [postPlugin([])] }),
      (error) =>
        isHexkitError(error, "ERR_HEXKIT_CONFIG_INVALID") &&
        /provider "a" \(plugin post\) has no eventPublisher; it provides mailer/.test(error.message),
    );
  });
});
