import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspectConfig } from "hexkit";
import { hexkit, pigeonPackage, project } from "./command.ts";

const config = {
  service: { name: "desk" },
  providers: {
    events: { plugin: "kafka", options: { brokers: ["localhost:9092"], sasl: { mechanism: "plain", username: "ann" } } },
    spare: { plugin: "s3", options: { region: "eu" } },
  },
  protocols: { eventPublisher: "events", eventSubscriber: { provider: "events", maxRetries: 3 } },
};
const secret = { HEXKIT_EVENTS_SASL_PASSWORD: "swordfish-swordfish" };

interface Report {
  readonly ok: boolean;
  readonly problems: { readonly place: string; readonly message: string }[];
  readonly values: { readonly pointer: string; readonly value: unknown; readonly origin: string; readonly unused?: boolean }[];
}

describe("hexkit check", { concurrency: 2 }, () => {
  it("shows each value with its origin (file, variable, default), masks secrets and marks what nothing uses", async () => {
    const { folder, remove } = project({ "hexkit.config.json": config });
    try {
      const env = { ...secret, HEXKIT_LOG_LEVEL: "debug" };
      const { code, stdout, stderr } = await hexkit(["check"], { cwd: folder, env });
      assert.equal(code, 0, stderr);
      const lines = stdout.split("\n");
      for (const line of [
        '/log/level = "debug"  (environment HEXKIT_LOG_LEVEL)',
        '/service/name = "desk"  (file hexkit.config.json#/service/name)',
        "/protocols/eventSubscriber/maxRetries = 3  (file hexkit.config.json#/protocols/eventSubscriber/maxRetries)",
        "/protocols/eventSubscriber/concurrency = 16  (default)",
        "/providers/events/options/sasl/password = [secret]  (environment HEXKIT_EVENTS_SASL_PASSWORD)",
        '/providers/spare/plugin = "s3"  (file hexkit.config.json#/providers/spare/plugin, unused)',
      ])
        assert.ok(lines.includes(line), `${line}\nis not in\n${stdout}`);
      assert.doesNotMatch(stdout + stderr, /swordfish/, "the secret is printed");
      assert.match(stderr, /^The configuration is valid: 2 bindings, 1 provider, \d+ values? of nothing that is bound\.\n$/);
    } finally {
      remove();
    }
  });

  it("lists all problems at once on stderr and exits with 1", async () => {
    const { folder, remove } = project({ "hexkit.config.json": { ...config, protocls: {}, log: { level: "loud" } } });
    try {
      const env = { ...secret, HEXKIT_EVENTS_BROKER: "swordfish-swordfish" };
      const { code, stdout, stderr } = await hexkit(["check"], { cwd: folder, env });
      assert.equal(code, 1, stderr);
      const lines = stderr.trim().split("\n");
      assert.equal(lines[0], "3 problems:");
      assert.match(stderr, /^- HEXKIT_EVENTS_BROKER: unknown; did you mean HEXKIT_EVENTS_BROKERS\?$/m);
      assert.match(stderr, /^- hexkit\.config\.json#\/protocls: unknown section "protocls"; did you mean "protocols"\?$/m);
      assert.match(stderr, /^- hexkit\.config\.json#\/log\/level: /m);
      assert.match(stdout, /^\/service\/name = "desk"/m, "what is known is shown all the same");
      assert.doesNotMatch(stdout + stderr, /swordfish/, "a value is printed");
    } finally {
      remove();
    }
  });

  it("says with --json what inspectConfig says, in one document, also when something is wrong", async () => {
    const { folder, remove } = project({ "good.json": config, "bad.json": { log: { level: "loud" } } });
    try {
      const paths = ["good.json", "good.json,bad.json"];
      const [good, bad] = await Promise.all(
        paths.map((path) => hexkit(["check", "--config", path, "--json"], { cwd: folder, env: secret })),
      );
      assert.equal(good?.code, 0, good?.stderr);
      assert.equal(bad?.code, 1, bad?.stderr);
      assert.equal(good?.stderr, "");
      assert.equal(bad?.stderr, "");
      const expected = await inspectConfig({ config: `${folder}/good.json`, env: secret });
      const report = JSON.parse(good?.stdout ?? "") as Report;
      assert.equal(report.ok, true);
      assert.deepEqual(
        report.values.map(({ pointer, value }) => [pointer, value]),
        expected.values.map(({ pointer, value }) => [pointer, value]),
      );
      const { ok, problems } = JSON.parse(bad?.stdout ?? "") as Report;
      assert.equal(ok, false);
      assert.deepEqual(
        problems.map(({ place }) => place),
        ["bad.json#/log/level"],
      );
      assert.doesNotMatch(`${good?.stdout}${bad?.stdout}`, /swordfish/, "the secret is printed");
    } finally {
      remove();
    }
  });

  it("takes the files of HEXKIT_CONFIG, and --config before it", async () => {
    const { folder, remove } = project({ "a.json": { service: { name: "a" } }, "b.json": { service: { name: "b" } } });
    try {
      const env = { HEXKIT_CONFIG: "a.json" };
      const [byVariable, byOption] = await Promise.all(
        [[], ["-c", "b.json"]].map((args) => hexkit(["check", ...args], { cwd: folder, env })),
      );
      assert.match(byVariable?.stdout ?? "", /^\/service\/name = "a" {2}\(file a\.json/m);
      assert.match(byOption?.stdout ?? "", /^\/service\/name = "b" {2}\(file b\.json/m);
    } finally {
      remove();
    }
  });

  it("says so where nothing is bound, and where a file is missing", async () => {
    const { folder, remove } = project();
    try {
      const [nothing, missing] = await Promise.all([[], ["-c", "gone.json"]].map((args) => hexkit(["check", ...args], { cwd: folder })));
      assert.equal(nothing?.code, 0, nothing?.stderr);
      assert.match(nothing?.stderr ?? "", /valid and binds nothing: is there a hexkit\.config\.json here/);
      assert.equal(missing?.code, 1, missing?.stderr);
      assert.match(missing?.stderr ?? "", /^1 problem:\n- config: file "gone\.json": there is no such file\n$/);
    } finally {
      remove();
    }
  });

  it("knows the plugins that others wrote, ends although one keeps a timer, and cuts secrets out of what a broken one says", async () => {
    const { folder, remove } = project({
      ...pigeonPackage("hexkit-plugin-pigeon"),
      "good.json": { providers: { post: { plugin: "hexkit-plugin-pigeon" } }, protocols: { loft: "post" } },
      "broken.mjs": 'throw new Error("no way in with " + process.env.HEXKIT_EVENTS_SASL_PASSWORD);',
      "bad.json": {
        ...config,
        providers: { ...config.providers, more: { plugin: "./broken.mjs" } },
        protocols: { ...config.protocols, dao: "more" },
      },
    });
    try {
      const [good, bad] = await Promise.all(
        ["good.json", "bad.json"].map((path) => hexkit(["check", "-c", path], { cwd: folder, env: path === "bad.json" ? secret : {} })),
      );
      assert.equal(good?.code, 0, good?.stderr);
      assert.match(good?.stdout ?? "", /^\/protocols\/loft\/birds = 7 {2}\(default\)$/m);
      assert.equal(bad?.code, 1, bad?.stderr);
      assert.match(bad?.stderr ?? "", /plugin \.\/broken\.mjs could not be loaded: no way in with \[secret\]/);
    } finally {
      remove();
    }
  });
});
