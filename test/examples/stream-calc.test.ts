import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Ended, root, run, start } from "../core/run-program.ts";

const main = join(root, "examples", "stream-calc", "main.ts");
const demo = join(root, "examples", "stream-calc", "demo.ts");
const canary = "canary-31415";

describe("stream-calc", { concurrency: 2 }, () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "hexkit-example-"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("prints the three results of the demo and ends", async () => {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HEXKIT_|NODE_)/.test(name)));
    const output = await new Promise<string>((resolve, reject) => {
      execFile("npm", ["run", "--silent", "demo"], { cwd: root, env, timeout: 30_000 }, (error, stdout, stderr) =>
        error === null ? resolve(stdout + stderr.replace(/^npm warn.*\n/gm, "")) : reject(error),
      );
    });
    assert.equal(
      output,
      ["m001  24 × 38  = 912", "d001  24 ÷ 38  = 0.631578947368421", "d002  1 ÷ 0    failed: The divisor may not be zero.", ""].join("\n"),
    );
  });

  it("is started by npm run stream-calc as these tests start it", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };
    assert.equal(scripts["stream-calc"], "node --conditions=@hexkit/source --import tsx examples/stream-calc/main.ts");
    assert.equal(scripts.demo, "node --conditions=@hexkit/source --import tsx examples/stream-calc/demo.ts");
  });

  it("answers what others send, with their correlation id, until SIGTERM", async () => {
    const feeder = new URL("./fixtures/feeder.ts", import.meta.url).href;
    const env = { HEXKIT_MEMORY_SPACE: "example", HEXKIT_LOG_LEVEL: "info" };
    const program = start([main], { env, nodeOptions: ["--import", feeder] });
    const lines = await Promise.all([/m1/, /d1/, /d2/].map((pattern) => program.line(pattern)));
    const id = "0e9bd6a8-4c1b-4b43-9c41-0123456789ab";
    assert.deepEqual(lines, [
      `calc_success m1 {"problem_id":"m1","result":42} ${id}`,
      `calc_success d1 {"problem_id":"d1","result":0.25} ${id}`,
      `calc_failure d2 {"problem_id":"d2","reason":"The divisor may not be zero."} ${id}`,
    ]);
    program.signal("SIGTERM");
    const { code, stderr } = await program.ended;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /"service":"stream_calc".*"reason":"SIGTERM".*"message":"closing"/);
  });

  it("fails with the cause, exit code 1, when it cannot digest an event", async () => {
    const poison = `import { openRegistry } from "hexkit";
      await using registry = await openRegistry({ config: { providers: { m: { plugin: "memory", options: { space: "example" } } },
        protocols: { eventPublisher: "m" } }, env: {} });
      await registry.get("eventPublisher").publish({ topic: "arithmetic_problems", type: "division_problem", key: "k", payload: { problem_id: 5 } });`;
    const preload = join(folder, "poison.mts");
    writeFileSync(preload, poison.replace('"hexkit"', JSON.stringify(`file://${join(root, "core", "index.ts")}`)));
    const { code, stderr } = await run([main], { env: { HEXKIT_MEMORY_SPACE: "example" }, nodeOptions: ["--import", preload] });
    assert.equal(code, 1);
    assert.match(stderr, /^ERR_HEXKIT_EVENT_FAILED: .*payload\.?.* does not fit/m);
    assert.doesNotMatch(stderr, /^\s+at /m);
  });

  describe("given bad input, says so in one message, exits with 1 and leaves nothing open:", { concurrency: 2 }, () => {
    const config = (changed: object = {}): object => ({
      service: { name: "stream_calc" },
      log: { level: "warn" },
      protocols: { eventPublisher: "memory", eventSubscriber: "memory" },
      ...changed,
    });
    const post = (extra: string): string => `
      import { definePlugin } from ${JSON.stringify(`file://${join(root, "core", "index.ts")}`)};
      export default definePlugin({ name: "post", apiVersion: 1, summary: "x", open: () => 1, provides: { eventPublisher: () => ({}) },
        options: { type: "object", additionalProperties: false, required: ["stamp"], properties: {
          stamp: { type: "string", description: "x" }, password: { type: "string", writeOnly: true, description: "x" } } }, ${extra} });`;
    let files = 0;
    /** Runs the example on a configuration: an object, or the file's text. */
    const refusal = async (given: object | string, { env = {}, args = [main] }: { env?: Record<string, string>; args?: string[] } = {}) => {
      files += 1;
      const file = join(folder, `config-${files}.json`);
      writeFileSync(file, typeof given === "string" ? given : JSON.stringify(given));
      return run(args, { env: { HEXKIT_CONFIG: file, ...env } });
    };
    const refused = ({ code, signal, stdout, stderr }: Ended, error: string, ...messages: readonly RegExp[]): void => {
      assert.deepEqual([code, signal, stdout], [1, null, ""], stderr);
      assert.ok(stderr.startsWith(`${error}: `), stderr);
      for (const message of messages) assert.match(stderr, message);
      assert.doesNotMatch(stderr, /^\s+at |\[cause\]|node:internal|canary/m);
    };

    before(() => {
      writeFileSync(join(folder, "post.mjs"), post(""));
      writeFileSync(join(folder, "other.mjs"), post(""));
      writeFileSync(join(folder, "future.mjs"), post("apiVersion: 7"));
    });

    it("an unknown key", async () => {
      const given = config({ servise: {}, log: { levle: "info" } });
      refused(
        await refusal(given),
        "ERR_HEXKIT_CONFIG_INVALID",
        /the configuration has 2 problems:/,
        /config-\d+\.json#\/servise: unknown section "servise"; did you mean "service"\?/,
        /config-\d+\.json#\/log\/levle: unknown; did you mean "level"\?/,
      );
    });

    it("a wrong type, in the file and in a variable", async () => {
      const given = config({ providers: { m: { plugin: "memory", options: { partitions: "many" } } }, protocols: { eventPublisher: "m" } });
      refused(
        await refusal(given, { env: { HEXKIT_M_MAX_MESSAGE_BYTES: canary } }),
        "ERR_HEXKIT_CONFIG_INVALID",
        /config-\d+\.json#\/providers\/m\/options\/partitions: must be a whole number/,
        /HEXKIT_M_MAX_MESSAGE_BYTES: must be a whole number/,
      );
    });

    it("a missing option", async () => {
      const given = config({ providers: { p: { plugin: "./post.mjs" } }, protocols: { eventPublisher: "p" } });
      refused(await refusal(given), "ERR_HEXKIT_CONFIG_INVALID", /"stamp" is missing: provider "p" .*HEXKIT_P_STAMP/);
    });

    it("a missing service name", async () => {
      refused(await refusal(config({ service: {} })), "ERR_HEXKIT_CONFIG_INVALID", /HEXKIT_SERVICE_NAME.*eventSubscriber/);
    });

    it("a typo in a variable", async () => {
      refused(
        await refusal(config(), { env: { HEXKIT_MEMORY_PARTITION: canary, HEXKIT_EVENT_SUBSCRIBRE: "memory" } }),
        "ERR_HEXKIT_CONFIG_INVALID",
        /HEXKIT_MEMORY_PARTITION: unknown; did you mean HEXKIT_MEMORY_PARTITIONS\?/,
        /HEXKIT_EVENT_SUBSCRIBRE: unknown; did you mean HEXKIT_EVENT_SUBSCRIBER\?/,
      );
    });

    it("invalid JSON, with line and column", async () => {
      refused(
        await refusal(`{\n  "service": { "name": "${canary}" },\n  "log": { "level": }\n}`),
        "ERR_HEXKIT_CONFIG_INVALID",
        /config-\d+\.json:3:21: expected a value/,
      );
    });

    it("an unreadable file", async () => {
      refused(await refusal("", { env: { HEXKIT_CONFIG: folder } }), "ERR_HEXKIT_CONFIG_INVALID", /it cannot be read \(EISDIR\)/);
      refused(
        await refusal("", { env: { HEXKIT_CONFIG: join(folder, "absent.json") } }),
        "ERR_HEXKIT_CONFIG_INVALID",
        /absent\.json": there is no such file/,
      );
    });

    it("an unknown plugin", async () => {
      refused(
        await refusal(config({ protocols: { eventPublisher: "memroy" } })),
        "ERR_HEXKIT_CONFIG_INVALID",
        /unknown provider or plugin "memroy"; did you mean "memory"\?/,
      );
    });

    it("a package that is not installed", async () => {
      refused(
        await refusal(config(), { env: { HEXKIT_EVENT_PUBLISHER: "hexkit-plugin-pigeon" } }),
        "ERR_HEXKIT_CONFIG_INVALID",
        /HEXKIT_EVENT_PUBLISHER: plugin hexkit-plugin-pigeon: the package is not installed in .*: npm install hexkit-plugin-pigeon/,
      );
    });

    it("a plugin without the protocol that is asked of it", async () => {
      const given = config({
        providers: { p: { plugin: "./post.mjs", options: { stamp: "x", password: canary } } },
        protocols: { eventPublisher: "p", eventSubscriber: "p" },
      });
      refused(
        await refusal(given),
        "ERR_HEXKIT_CONFIG_INVALID",
        /#\/protocols\/eventSubscriber: provider "p" \(plugin \.\/post\.mjs\) has no eventSubscriber; it provides eventPublisher/,
      );
    });

    it("two things with one name", async () => {
      const options = { stamp: "x" };
      const given = config({
        providers: { p: { plugin: "./post.mjs", options }, o: { plugin: "./other.mjs", options } },
        protocols: { eventPublisher: "p", "eventPublisher:second": "o" },
      });
      refused(await refusal(given), "ERR_HEXKIT_CONFIG_INVALID", /two plugins are named "post"/);
      const twice = '{ "protocols": { "eventPublisher": "memory", "eventPublisher": "memory" } }';
      refused(await refusal(twice), "ERR_HEXKIT_CONFIG_INVALID", /json:1:46: the key "eventPublisher" is given twice/);
    });

    it("a protocol that is not bound", async () => {
      refused(
        await refusal(config({ protocols: { eventPublisher: "memory" } })),
        "ERR_HEXKIT_UNBOUND",
        /nothing is bound as "eventSubscriber"; bound: eventPublisher; .*HEXKIT_EVENT_SUBSCRIBER=/,
      );
    });

    it("a plugin for another apiVersion", async () => {
      const given = config({ providers: { p: { plugin: "./future.mjs" } }, protocols: { eventPublisher: "p" } });
      refused(
        await refusal(given),
        "ERR_HEXKIT_CONFIG_INVALID",
        /plugin \.\/future\.mjs is written for plugin API 7, this hexkit speaks 1: upgrade hexkit/,
      );
    });

    it("a secret's file that is missing", async () => {
      const given = config({
        providers: { p: { plugin: "./post.mjs", options: { stamp: "x", password: { $file: "./absent" } } } },
        protocols: { eventPublisher: "p" },
      });
      refused(await refusal(given), "ERR_HEXKIT_CONFIG_INVALID", /#\/providers\/p\/options\/password: file "\.\/absent" does not exist/);
      const env = { HEXKIT_P_STAMP: "x", HEXKIT_P_PASSWORD_FILE: "/absent/password" };
      const bare = config({ providers: { p: { plugin: "./post.mjs" } }, protocols: { eventPublisher: "p" } });
      refused(
        await refusal(bare, { env }),
        "ERR_HEXKIT_CONFIG_INVALID",
        /HEXKIT_P_PASSWORD_FILE: file "\/absent\/password" does not exist/,
      );
    });

    it("a broker that is down", async () => {
      const port = await freePort();
      const env = {
        HEXKIT_EVENT_PUBLISHER: "kafka",
        HEXKIT_EVENT_SUBSCRIBER: "kafka",
        HEXKIT_KAFKA_BROKERS: `127.0.0.1:${port}`,
        HEXKIT_KAFKA_SASL: JSON.stringify({ mechanism: "plain", username: "u", password: canary }),
      };
      refused(await refusal(config(), { env }), "ERR_HEXKIT_UNAVAILABLE", /provider "kafka", plugin kafka: connect failed: .*ECONNREFUSED/);
    });

    it("the same in the demo; and shows the stack when it is asked for", async () => {
      const given = config({ protocols: { eventPublisher: "memroy" } });
      refused(await refusal(given, { args: [demo] }), "ERR_HEXKIT_CONFIG_INVALID", /did you mean "memory"\?/);
      const { code, stderr } = await refusal(given, { args: [demo, "--stack"] });
      assert.equal(code, 1);
      assert.match(stderr, /^HexkitError \[ERR_HEXKIT_CONFIG_INVALID\]: the configuration has a problem:/);
      assert.match(stderr, /^\s+at .*openRegistry/m);
    });
  });
});

/** A port of this machine on which nobody listens. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
