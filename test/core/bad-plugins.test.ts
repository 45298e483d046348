import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { definePlugin, type ErrorCode, type HexkitError, isHexkitError, type Plugin } from "hexkit";
import { mailerProtocol, mailers, open, postPlugin } from "./mailer.ts";

const options = { type: "object", additionalProperties: false, properties: {} } as const;
const never = new Promise<never>(() => undefined);

/** What plain JavaScript may pass as a plugin: nothing of it is checked by types. */
function post(change: object): Plugin {
  const good = { name: "post", apiVersion: 1, summary: "x", options, protocols: [mailerProtocol], open: () => ({}), provides: {} };
  return (definePlugin as (definition: unknown) => Plugin)({ ...good, provides: { mailer: () => ({ send: async () => {} }) }, ...change });
}

/** A driver that has every method but these. */
function allBut(...names: readonly string[]): object {
  return new Proxy({}, { get: (_, name) => (["then", ...names].includes(String(name)) ? undefined : () => {}) });
}

async function refusal(plugin: Plugin, code: ErrorCode, config: object = mailers(["a"])): Promise<HexkitError> {
  const error: unknown = await open({ config, plugins: [plugin] }).then(
    (registry) => registry.close(),
    (reason: unknown) => reason,
  );
  assert.ok(isHexkitError(error, code), `expected ${code}, but came ${error}`);
  return error;
}

describe("a plugin that is not as it should be", () => {
  for (const [what, schema, fact] of [
    ["a type that there is not", { port: { type: "nubmer", description: "x" } }, "type must be JSONType or JSONType[]: nubmer"],
    ["a keyword of the wrong type", { port: { type: "integer", minimum: "1", description: "x" } }, 'minimum value must be ["number"]'],
    ["a pattern that is none", { host: { type: "string", pattern: "(", description: "x" } }, "Invalid regular expression"],
    ["a reference to nothing", { host: { $ref: "#/definitions/host", description: "x" } }, "can't resolve reference"],
  ] as const) {
    it(`is refused when its options are no valid JSON Schema: ${what}`, async () => {
      const plugin = post({ options: { ...options, properties: schema } });
      const { problems } = await refusal(plugin, "ERR_HEXKIT_CONFIG_INVALID");
      assert.equal(problems.length, 1, JSON.stringify(problems));
      assert.match(problems[0]?.place ?? "", /#\/providers\/a\/options$|^provider "a"/);
      const message = problems[0]?.message ?? "";
      assert.ok(message.startsWith('provider "a" (plugin post): its schema is not valid JSON Schema, its author must mend it: '), message);
      assert.ok(message.includes(fact), message);
    });
  }

  for (const [what, properties, place, message] of [
    [
      "a name that is not lower camel case",
      { "smtp-host": { type: "string" } },
      "plugin post",
      'option "smtp-host": the name must be lower camel case',
    ],
    ["a name that ends in File", { keyFile: { type: "string" } }, "plugin post", 'option "keyFile": the name must not end in "File"'],
    [
      "options too deep for a variable",
      { tls: { type: "object", properties: { ca: { type: "object", properties: {} } } } },
      "plugin post, option tls",
      'option "ca": nested deeper than one level',
    ],
  ] as const) {
    it(`is refused when no variable could name its options: ${what}`, async () => {
      const { problems } = await refusal(post({ options: { ...options, properties } }), "ERR_HEXKIT_CONFIG_INVALID");
      assert.equal(problems.length, 1, JSON.stringify(problems));
      assert.equal(problems[0]?.place, place);
      assert.ok(problems[0]?.message.startsWith(message), problems[0]?.message);
    });
  }

  it("is refused when two of its options would share a variable", async () => {
    const properties = { tls: { type: "object", properties: { ca: { type: "string" } } }, tlsCa: { type: "string" } } as const;
    const { problems } = await refusal(post({ options: { ...options, properties } }), "ERR_HEXKIT_CONFIG_INVALID");
    assert.deepEqual(problems, [
      {
        place: "HEXKIT_A_TLS_CA",
        message: 'would set both option "tls.ca" of provider "a" and option "tlsCa" of provider "a": rename one of them',
      },
    ]);
  });

  for (const [what, returned, missing] of [
    ["without a method", {}, "send"],
    ["with something else in place of a method", { send: "x" }, "send"],
  ] as const) {
    it(`does not open with a driver ${what}, which is named`, async () => {
      let closed = 0;
      const plugin = post({ provides: { mailer: () => returned }, close: () => (closed += 1) });
      const error = await refusal(plugin, "ERR_HEXKIT_PLUGIN_INVALID");
      assert.equal(
        error.message,
        `provider "a", plugin post: its mailer driver has no method ${missing}: the plugin must be mended, or upgraded`,
      );
      assert.deepEqual(error.origin, { provider: "a", plugin: "post", operation: "connect" });
      assert.equal(closed, 1, "what was open is closed");
    });
  }

  it("does not open with a driver of ours that lacks methods, all of which are named", async () => {
    for (const [protocol, driver, missing] of [
      ["eventPublisher", { prepare: async () => {}, lane: () => "" }, "send"],
      ["eventSubscriber", {}, "join"],
      ["dao", allBut("find", "watch"), "find, watch"],
      ["objectStorage", allBut("stat"), "stat"],
      ["migrations", allBut("drop"), "drop"],
    ] as const) {
      // Migrations need a plugin that offers a dao as well.
      const plugin = post({ provides: { dao: () => ({}), [protocol]: () => driver } });
      const config = { service: { name: "s" }, protocols: { [protocol]: "post" } };
      const error = await refusal(plugin, "ERR_HEXKIT_PLUGIN_INVALID", config);
      assert.match(error.message, new RegExp(`its ${protocol} driver has no method ${missing}: `));
    }
  });

  for (const [what, returned, fact] of [
    ["nothing", undefined, "undefined"],
    ["null", null, "null"],
    ["a function", () => {}, "function"],
  ] as const) {
    it(`does not open when what makes its driver returns ${what}`, async () => {
      const error = await refusal(post({ provides: { mailer: () => returned } }), "ERR_HEXKIT_PLUGIN_INVALID");
      assert.equal(error.message, `provider "a", plugin post: \`provides.mailer\` returned ${fact}: it must return the driver`);
    });
  }

  for (const returned of [undefined, null]) {
    it(`does not open when open returns ${returned}, and is not checked`, async () => {
      const seen: string[] = [];
      const plugin = post({ open: async () => returned, check: () => void seen.push("check"), close: () => void seen.push("close") });
      const error = await refusal(plugin, "ERR_HEXKIT_PLUGIN_INVALID");
      assert.equal(
        error.message,
        `provider "a", plugin post: \`open\` returned ${returned}: it must return the client, or an empty object where nothing is held open`,
      );
      assert.deepEqual(seen, []);
    });
  }

  it("may open to anything else, be it false", async () => {
    await using registry = await open({ config: mailers(["a"]), plugins: [post({ open: () => false })] });
    assert.equal(registry.has("mailer"), true);
  });

  it("does not keep others open whatever it does", async () => {
    const journal: string[] = [];
    for (const change of [{ open: () => undefined }, { provides: { mailer: () => ({}) } }]) {
      journal.length = 0;
      const bad = post({ name: "bad", protocols: [], ...change });
      const config = { providers: { a: { plugin: "post" }, b: { plugin: "bad" } }, protocols: { mailer: "a", "mailer:b": "b" } };
      await assert.rejects(open({ config, plugins: [postPlugin(journal), bad] }), (error) =>
        isHexkitError(error, "ERR_HEXKIT_PLUGIN_INVALID"),
      );
      assert.equal(journal.at(-1), "a: close");
    }
  });

  for (const [stage, change] of [
    ["open", { open: () => never }],
    ["check", { check: () => never }],
    ["provides.mailer", { provides: { mailer: () => never } }],
  ] as const) {
    it(`is given up when its ${stage} hangs, and the error says so and what allows more`, async () => {
      const error = await refusal(post(change), "ERR_HEXKIT_TIMEOUT", mailers(["a"], "post", { connectTimeoutMs: 30 }));
      assert.match(error.message, /^provider "a", plugin post: not connected within 30 ms: the plugin's /);
      assert.ok(error.message.includes(`the plugin's ${stage} has not settled`), error.message);
      assert.match(error.message, /lifecycle\.connectTimeoutMs allows more$/);
    });
  }

  it("is left behind when its close hangs, and named when it throws", async () => {
    for (const [close, code, fact] of [
      [
        () => never,
        "ERR_HEXKIT_TIMEOUT",
        /provider "a" \(plugin post\): did not close within the 30 ms for closing \(lifecycle\.closeTimeoutMs\)/,
      ],
      [
        () => {
          throw new Error("jammed");
        },
        "ERR_HEXKIT_CLOSE_FAILED",
        /provider "a" \(plugin post\): did not close cleanly: jammed/,
      ],
    ] as const) {
      const registry = await open({ config: mailers(["a"]), plugins: [post({ close })] });
      await assert.rejects(registry.close({ timeoutMs: 30 }), (error) => {
        assert.ok(isHexkitError(error, "ERR_HEXKIT_CLOSE_FAILED"), String(error));
        assert.deepEqual(
          error.failures.map((failure) => failure.code),
          [code],
        );
        assert.match(error.message, fact);
        return true;
      });
    }
  });

  it("shows in health as down when its check hangs", async () => {
    let hangs = false;
    await using registry = await open({ config: mailers(["a"]), plugins: [post({ check: () => (hangs ? never : undefined) })] });
    hangs = true;
    const { ok, providers } = await registry.health({ timeoutMs: 30 });
    assert.deepEqual([ok, providers.a?.status, providers.a?.error], [false, "down", "no answer within 30 ms"]);
  });
});
