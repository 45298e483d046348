import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  type Api,
  defineComposedProtocol,
  inspectConfig,
  isHexkitError,
  type ProtocolDefinition,
  type ProtocolName,
  type ProtocolPart,
} from "hexkit";
import { inject, injectable } from "hexkit/inject";
import { gate, type Mailer, mailerProtocol, type Newsletter, newsletterProtocol, open, postPlugin } from "./mailer.ts";

@injectable()
class Clerk {
  readonly mailer: Mailer;
  constructor(@inject("mailer:night") mailer: Mailer) {
    this.mailer = mailer;
  }
}

/** Types only: what declaration merging gives. */
export const typed = [
  true satisfies "mailer" extends ProtocolName ? true : false,
  true satisfies Api<"mailer:night"> extends Mailer ? true : false,
  true satisfies Api<"newsletter"> extends Newsletter ? true : false,
];

const config = {
  service: { name: "office" },
  providers: { a: { plugin: "post" }, b: { plugin: "post" } },
  protocols: { mailer: "a", "mailer:night": { provider: "b", from: "watch", maxLength: 5 }, eventPublisher: "memory" },
} as const;

describe("a protocol of one's own", () => {
  it("is bound by file, by name, with settings of its own, and injected", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hexkit-protocol-"));
    try {
      const file = join(folder, "hexkit.config.json");
      writeFileSync(file, JSON.stringify(config));
      const journal: string[] = [];
      await using registry = await open({ config: file, plugins: [postPlugin(journal)] });
      const mailer: Mailer = registry.get("mailer");
      await mailer.mail("ann", "hi");
      await registry.container.resolve(Clerk).mailer.mail("bob", "hi");
      assert.deepEqual(journal.slice(-2), ["a: letter to ann from office: hi", "b: letter to bob from watch: hi"]);
      assert.deepEqual(registry.get("mailer:night").context.settings, { from: "watch", maxLength: 5 });
      assert.deepEqual(mailer.context.settings, { from: "office" });
      assert.equal(mailer.context.system, "post");
      assert.equal(mailer.context.service.name, "office");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("is bound by the environment alone", async () => {
    const journal: string[] = [];
    const env = { HEXKIT_MAILER: "post", HEXKIT_MAILER__NIGHT: "post", HEXKIT_MAILER_FROM: "day", HEXKIT_MAILER__NIGHT__MAX_LENGTH: "9" };
    await using registry = await open({ config: {}, env, plugins: [postPlugin(journal)] });
    await registry.get("mailer").mail("ann", "hi");
    await registry.get("mailer:night").mail("bob", "hi");
    assert.deepEqual(journal, ["post: open", "post: check", "post: letter to ann from day: hi", "post: letter to bob from office: hi"]);
    assert.equal(registry.get("mailer:night").context.settings.maxLength, 9);
  });

  it("may come from the application instead of the plugin", async () => {
    const plugin = postPlugin([], { protocols: [] });
    await assert.rejects(open({ config, plugins: [plugin] }), /unknown protocol "mailer"/);
    await using registry = await open({ config, plugins: [plugin], protocols: [mailerProtocol] });
    assert.equal(registry.has("mailer:night"), true);
  });

  it("has its settings checked at the start, by their place", async () => {
    const protocols = { ...config.protocols, mailer: { provider: "a", from: "", form: "x", maxLength: 0 } };
    const report = await inspectConfig({
      config: { ...config, protocols },
      env: { HEXKIT_MAILER__NIGHT__FROM: "" },
      plugins: [postPlugin([])],
    });
    assert.deepEqual(
      report.problems.map(({ place }) => place),
      [
        "config#/protocols/mailer/form",
        "config#/protocols/mailer/from",
        "config#/protocols/mailer/maxLength",
        "HEXKIT_MAILER__NIGHT__FROM",
      ],
    );
    assert.match(report.problems[0]?.message ?? "", /unknown; did you mean "from"\?/);
  });

  it("overlays its settings for one call, under the same rules, and forgets that afterwards", async () => {
    const journal: string[] = [];
    await using registry = await open({ config, plugins: [postPlugin(journal)] });
    const night = registry.get("mailer:night");
    await night.mail("ann", "hi", { from: "owl" });
    await night.mail("ann", "hi");
    assert.deepEqual(
      journal.slice(-2).map((entry) => entry.split(" ")[5]),
      ["owl:", "watch:"],
    );
    for (const [some, reason] of [
      [{ from: "" }, /mailer "night" \(provider "b", plugin post\): settings: from: must not be empty/],
      [{ form: "x" }, /settings: form: unknown; did you mean "from"\?/],
      [{ from: 5 }, /settings: from: must be text/],
      [{ from: "", maxLength: 0 }, /from: .*; maxLength: /],
    ] as const) {
      await assert.rejects(
        night.mail("ann", "hi", some as object),
        (error) => isHexkitError(error, "ERR_HEXKIT_INVALID_ARGUMENT") && reason.test(error.message),
      );
    }
    assert.deepEqual(night.context.overlay({ from: undefined }), { from: "watch", maxLength: 5 });
    assert.deepEqual(night.context.settings, { from: "watch", maxLength: 5 });
  });

  it("makes errors of its own that begin with binding and provider", async () => {
    await using registry = await open({ config, plugins: [postPlugin([])] });
    await assert.rejects(registry.get("mailer:night").mail("ann", "too long a letter"), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_MESSAGE_TOO_LARGE"), String(error));
      assert.equal(error.message, 'mailer "night" (provider "b", plugin post): mail: too long');
      assert.deepEqual(error.origin, { binding: "mailer:night", provider: "b", plugin: "post" });
      return true;
    });
  });
});

describe("a composed protocol", () => {
  it("is there without an entry when its parts are, built on their drivers", async () => {
    const journal: string[] = [];
    await using registry = await open({ config, plugins: [postPlugin(journal)] });
    const newsletter: Newsletter = registry.get("newsletter");
    assert.deepEqual(newsletter.parts, ["mailer", "eventPublisher"]);
    await newsletter.announce("news");
    assert.deepEqual(journal.slice(-2), ["a: letter to #1 from newsletter: news", "a: letter to #2 from newsletter: news"]);
    assert.equal(registry.container.resolve("newsletter"), newsletter);
  });

  it("is not there when a part is missing", async () => {
    const { eventPublisher: _, ...protocols } = config.protocols;
    await using registry = await open({ config: { ...config, protocols }, plugins: [postPlugin([])] });
    assert.equal(registry.has("newsletter"), false);
  });

  it("takes other bindings and settings by file and environment, named ones by an entry", async () => {
    const journal: string[] = [];
    const protocols = { ...config.protocols, "newsletter:owls": { mailer: "mailer:night" }, newsletter: { recipients: 1 } };
    const env = { HEXKIT_NEWSLETTER__OWLS__RECIPIENTS: "3" };
    await using registry = await open({ config: { ...config, protocols }, env, plugins: [postPlugin(journal)] });
    const owls = registry.get("newsletter:owls");
    assert.deepEqual([owls.recipients, owls.parts], [3, ["mailer:night", "eventPublisher"]]);
    assert.equal(registry.get("newsletter").recipients, 1);
    await owls.announce("hoot");
    assert.equal(journal.at(-1), "b: letter to #3 from newsletter:owls: hoot");
  });

  it("is made after its parts, in whatever order they stand", async () => {
    const digest = (defineComposedProtocol as (definition: object) => ProtocolDefinition)({
      ...newsletterProtocol,
      name: "digest",
      id: "test/digest",
      composes: { newsletter: "newsletter" },
      create: (parts: { newsletter?: ProtocolPart }) => ({ parts: [parts.newsletter?.context.binding ?? "nothing"] }),
    });
    const protocols = { "digest:d": { newsletter: "newsletter:n" }, "newsletter:n": {}, ...config.protocols };
    await using registry = await open({ config: { ...config, protocols }, plugins: [postPlugin([])], protocols: [digest] });
    assert.deepEqual(registry.get("digest:d" as "newsletter").parts, ["newsletter:n"]);
  });

  it("closes before the clients of its parts", async () => {
    const journal: string[] = [];
    const registry = await open({ config, plugins: [postPlugin(journal)] });
    await registry.close();
    assert.deepEqual(journal.slice(-3).sort(), ["a: close", "a: letter to archive from newsletter: closed", "b: close"]);
    assert.equal(journal.at(-3), "a: letter to archive from newsletter: closed");
  });

  it("is refused when what it names is not bound, or is of another protocol", async () => {
    for (const [entry, message] of [
      [{ mailer: "mailer:day" }, /newsletter:n is composed of "mailer:day", which is not bound/],
      [{ mailer: "eventPublisher" }, /mailer of newsletter:n must be a binding of mailer/],
      [{ recipients: 0 }, /recipients/],
    ] as const) {
      const protocols = { ...config.protocols, "newsletter:n": entry };
      await assert.rejects(
        open({ config: { ...config, protocols }, plugins: [postPlugin([])] }),
        (error) => isHexkitError(error, "ERR_HEXKIT_CONFIG_INVALID") && message.test(error.message),
      );
    }
  });

  it("takes no call once the registry closes, and ends its calls on their signal", async () => {
    const registry = await open({ config, plugins: [postPlugin([])] });
    const newsletter = registry.get("newsletter");
    await registry.close();
    await assert.rejects(
      newsletter.announce("late"),
      (error) => isHexkitError(error, "ERR_HEXKIT_CLOSED") && /^newsletter: announce after/.test(error.message),
    );
  });

  it("tells serve when it cannot go on", async () => {
    const passed = gate();
    const failing = defineComposedProtocol({
      ...newsletterProtocol,
      name: "newsletter",
      composes: { mailer: "mailer" },
      create: (_parts, context) => {
        void passed.passed.then(() => context.fail(context.error("ERR_HEXKIT_UNAVAILABLE", "out of paper")));
        return { parts: [], recipients: 0, announce: async () => undefined };
      },
    });
    const journal: string[] = [];
    const registry = await open({ config, plugins: [postPlugin(journal, { protocols: [mailerProtocol, failing] })] });
    const serving = registry.serve({ signals: [] });
    passed.open();
    await assert.rejects(
      serving,
      (error) => isHexkitError(error, "ERR_HEXKIT_UNAVAILABLE") && error.message === "newsletter: out of paper",
    );
    assert.equal(journal.includes("a: close"), true);
  });
});
