import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { format, inspect } from "node:util";
import { type ConfigSources, HexkitError, inspectConfig, isHexkitError } from "hexkit";
import { mailers, open, postPlugin, type RecordingLogger, recordingLogger } from "./mailer.ts";
import { run } from "./run-program.ts";

const canary = 'caNARY-0/9 "quoted"&more';
const encoded = encodeURIComponent(canary);
/** No spelling of the canary goes without this. */
const trace = /caNARY-0/;

interface Way {
  readonly name: string;
  readonly config: (folder: string) => object;
  readonly env?: (folder: string) => Record<string, string>;
}

const post = (options: object): object => ({
  providers: { a: { plugin: "post", options } },
  protocols: { mailer: "a" },
});

const ways: readonly Way[] = [
  { name: "in clear text in the configuration", config: () => post({ password: canary }) },
  { name: "in a nested option", config: () => post({ stamps: { code: canary } }) },
  { name: "by a variable", config: () => post({}), env: () => ({ HEXKIT_A_PASSWORD: canary }) },
  { name: "by a variable of a nested option", config: () => post({}), env: () => ({ HEXKIT_A_STAMPS_CODE: canary }) },
  { name: "by $env", config: () => post({ password: { $env: "MY_PASSWORD" } }), env: () => ({ MY_PASSWORD: canary }) },
  { name: "by $env in an option that is no secret", config: () => post({ host: { $env: "MY_HOST" } }), env: () => ({ MY_HOST: canary }) },
  { name: "by $file", config: (folder) => post({ password: { $file: join(folder, "secret") } }) },
  { name: "by _FILE", config: () => post({}), env: (folder) => ({ HEXKIT_A_PASSWORD_FILE: join(folder, "secret") }) },
  { name: "as the password in an address", config: () => post({ host: `post://clerk:${encoded}@office.example/box` }) },
  {
    name: "as the password in an address of a variable",
    config: () => post({}),
    env: () => ({ HEXKIT_A_HOST: `post://clerk:${encoded}@office` }),
  },
];

/** Everything that can be seen of an error by printing, logging or sending it. */
const appearances = (error: unknown): string[] => [
  String(error),
  (error as Error).message,
  (error as Error).stack ?? "",
  inspect(error, { depth: 12 }),
  format("%s %o %j", error, error, error),
  JSON.stringify(error),
];

function noTrace(texts: readonly string[], what: string): void {
  for (const text of texts) assert.doesNotMatch(text, trace, what);
}

const loggedText = (logger: RecordingLogger): string[] =>
  logger.lines.flatMap((line) => [inspect(line, { depth: 12 }), JSON.stringify(line)]);

/** Errors as clients throw them: the secret in the message in several spellings, in properties, in causes. */
function clientErrors(secret: string): Error[] {
  const message = `denied for ${secret} at post://clerk:${encodeURIComponent(secret)}@office: ${JSON.stringify({ password: secret })}`;
  const inner = new Error(`because of ${secret}`, { cause: secret });
  const raw = Object.assign(new Error(message, { cause: inner }), { options: { password: secret }, lines: [`AUTH ${secret}`] });
  return [raw, new HexkitError("ERR_HEXKIT_UNAVAILABLE", `no ${secret}`, { cause: raw })];
}

describe("a secret", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "hexkit-secrets-"));
    writeFileSync(join(folder, "secret"), `${canary}\n`);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const way of ways) {
    describe(way.name, () => {
      const sources = (): ConfigSources => ({ config: way.config(folder), env: way.env?.(folder) ?? {} });
      const secretOf = (options: { host?: string; password?: string; stamps?: { code?: string } }): string => {
        const text = options.password ?? options.stamps?.code ?? options.host ?? "";
        return text.startsWith("post://") ? decodeURIComponent(new URL(text).password) : text;
      };

      it("reaches the plugin, and no error of opening", async () => {
        for (const raw of clientErrors(canary)) {
          const logger = recordingLogger();
          let received: string | undefined;
          const plugin = postPlugin([], {
            open: ({ options }, context) => {
              received = secretOf(options);
              context.logger.error({ error: raw, options, received }, `opening with ${received}`);
              throw raw;
            },
          });
          await assert.rejects(open({ ...sources(), plugins: [plugin], logger }), (error) => {
            assert.ok(isHexkitError(error), String(error));
            assert.equal(error.cause, raw);
            noTrace(appearances(error), "error of opening");
            noTrace(appearances(new Error("mine", { cause: error })), "error around it");
            return true;
          });
          assert.equal(received, canary);
          assert.equal(logger.lines.length > 0, true);
          noTrace(loggedText(logger), "log line");
        }
      });

      it("is in no error of a call, of health or of closing, and in no log line", async () => {
        for (const raw of clientErrors(canary)) {
          const logger = recordingLogger();
          let isOpening = true;
          const fail = (): void => {
            if (!isOpening) throw raw;
          };
          const plugin = postPlugin([], { send: fail, check: fail, close: fail });
          const registry = await open({ ...sources(), plugins: [plugin], logger });
          isOpening = false;
          await assert.rejects(registry.get("mailer").mail("ann", "hi"), (error) => {
            assert.equal((error as Error).cause, raw);
            noTrace(appearances(error), "error of a call");
            registry.get("mailer").context.logger.warn({ error, raw, nested: { raw, map: new Map([["k", canary]]) } }, `failed: ${raw}`);
            return true;
          });
          const health = await registry.health();
          assert.equal(health.ok, false);
          noTrace([JSON.stringify(health), inspect(health, { depth: 12 })], "health");
          await assert.rejects(registry.close(), (error) => {
            noTrace(appearances(error), "error of closing");
            return isHexkitError(error, "ERR_HEXKIT_CLOSE_FAILED");
          });
          assert.equal(logger.lines.length > 0, true);
          noTrace(loggedText(logger), "log line");
        }
      });

      it("is masked in the effective configuration", async () => {
        const plugins = [postPlugin([])];
        await using registry = await open({ ...sources(), plugins });
        for (const report of [registry.config, await inspectConfig({ ...sources(), plugins })]) {
          assert.equal(report.ok, true);
          noTrace([JSON.stringify(report), inspect(report, { depth: 12 })], "report");
          assert.match(JSON.stringify(report), /\[secret\]/);
        }
        noTrace([inspect(registry, { depth: 12, showHidden: true })], "inspected registry");
      });

      it("is in no problem of a configuration that is refused", async () => {
        const { config, env } = sources();
        const broken = { ...(config as object), protocols: { mailer: "a", eventPublisher: canary } };
        const extra = {
          ...env,
          HEXKIT_A_PORT: canary,
          HEXKIT_MAILER_MAX_LENGTH: canary,
          HEXKIT_A_PASWORD: canary,
        };
        const report = await inspectConfig({ config: broken, env: extra, plugins: [postPlugin([])] });
        assert.equal(report.ok, false);
        assert.ok(report.problems.length >= 4, inspect(report.problems));
        noTrace([JSON.stringify(report), inspect(report, { depth: 12 })], "report");
        await assert.rejects(open({ config: broken, env: extra, plugins: [postPlugin([])] }), (error) => {
          noTrace(appearances(error), "error");
          return isHexkitError(error, "ERR_HEXKIT_CONFIG_INVALID");
        });
      });
    });
  }

  it("given as the wrong type, or misspelt, is in no message", async () => {
    const config = {
      providers: { a: { plugin: "post", options: { pasword: canary, password: [canary], stamps: { cod: canary }, port: canary } } },
      protocols: { mailer: { provider: "a", maxLength: canary } },
    };
    await assert.rejects(open({ config, plugins: [postPlugin([])] }), (error) => {
      noTrace(appearances(error), "error");
      return isHexkitError(error, "ERR_HEXKIT_CONFIG_INVALID") && error.problems.length === 5;
    });
  });

  it("in a setting of a protocol is removed from errors of its calls", async () => {
    const { defineProtocol } = await import("hexkit");
    const { mailerProtocol } = await import("./mailer.ts");
    const protocol = defineProtocol({
      ...mailerProtocol,
      methods: { send: true },
      name: "mailer",
      settings: {
        type: "object",
        additionalProperties: false,
        properties: {
          seal: { type: "string", writeOnly: true, description: "Secret." },
          from: { type: "string", default: "x", description: "x" },
        },
      },
      create: (driver, context) => mailerProtocol.create(driver as never, context as never) as never,
    });
    const plugin = postPlugin([], { protocols: [protocol], send: () => Promise.reject(new Error(`bad seal ${canary}`)) });
    await using registry = await open({ config: mailers(["a"]), env: { HEXKIT_MAILER_SEAL: canary }, plugins: [plugin] });
    await assert.rejects(registry.get("mailer").mail("ann", "hi"), (error) => {
      noTrace(appearances(error), "error");
      return /bad seal \[secret\]/.test(String(error));
    });
    noTrace([JSON.stringify(registry.config)], "report");
  });

  it("is in no line of the default logger, nor in an uncaught error", async () => {
    const program = `
      import { definePlugin, openRegistry } from "hexkit";
      import { postPlugin } from ${JSON.stringify(new URL("./mailer.ts", import.meta.url).href)};
      const plugin = postPlugin([], { open: ({ options }, { logger }) => {
        logger.info({ options, error: new Error(options.password) }, "opening with " + options.password);
        throw Object.assign(new Error("no way to " + options.password), { options });
      } });
      await openRegistry({ config: { providers: { a: { plugin: "post" } }, protocols: { mailer: "a" } }, plugins: [plugin] });`;
    const { code, stdout, stderr } = await run(["--input-type=module", "-e", program], { env: { HEXKIT_A_PASSWORD: canary } });
    assert.equal(code, 1);
    assert.match(stderr, /"message":"opening with \[secret\]"/);
    assert.match(stderr, /HexkitError: provider "a", plugin post: connect failed: no way to \[secret\]/);
    noTrace([stdout, stderr], "output");
  });
});
