import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { withCorrelationId } from "hexkit";
import { mailers, open, postPlugin, recordingLogger } from "./mailer.ts";
import { run } from "./run-program.ts";

const id = "0e9bd6a8-4c1b-4b43-9c41-0123456789ab";

/** A program that logs through a provider's and a binding's logger. */
const program = (level: string | undefined): string => `
  import { openRegistry, withCorrelationId } from "hexkit";
  import { mailers, postPlugin } from ${JSON.stringify(new URL("./mailer.ts", import.meta.url).href)};
  const plugin = postPlugin([], { open: (_office, { logger }) => {
    for (const level of ["debug", "info", "warn", "error"]) logger[level]({ step: 1 }, level + " from the plugin");
  } });
  const registry = await openRegistry({ config: { ...mailers(["a"]), log: ${JSON.stringify(level ? { level } : {})} }, plugins: [plugin] });
  const { logger } = registry.get("mailer").context;
  const error = Object.assign(new TypeError("wrong", { cause: new Error("why") }), { code: "E_WRONG" });
  withCorrelationId(${JSON.stringify(id)}, () => logger.error({ error, n: 1n, when: new Date(0), deep: { map: new Map([["a", 1]]) } }, "with ünicode"));
  logger.warn({}, "without");
  await registry.close();
  console.log("printed by the program");`;

async function linesOf(level?: string, env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await run(["--input-type=module", "-e", program(level)], { env });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "printed by the program\n");
  return stderr
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("the default logger", { concurrency: 2 }, () => {
  it("writes one JSON line each to stderr, with the fields of the contract", async () => {
    const lines = await linesOf();
    assert.deepEqual(
      lines.map(({ level, name, message, correlation_id }) => [level, name, message, correlation_id]),
      [
        ["INFO", "hexkit.plugins.post", "info from the plugin", null],
        ["WARN", "hexkit.plugins.post", "warn from the plugin", null],
        ["ERROR", "hexkit.plugins.post", "error from the plugin", null],
        ["ERROR", "hexkit.mailer", "with ünicode", id],
        ["WARN", "hexkit.mailer", "without", null],
      ],
    );
    const fields = ["timestamp", "service", "instance", "level", "name", "correlation_id", "message", "details"];
    for (const line of lines) {
      assert.deepEqual(
        Object.keys(line)
          .filter((key) => key !== "exception")
          .sort(),
        [...fields].sort(),
      );
      assert.match(line.timestamp as string, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.equal(Math.abs(Date.parse(line.timestamp as string) - Date.now()) < 60_000, true);
      assert.deepEqual([line.service, line.instance], ["office", "1"]);
    }
    const [first, , , fourth, last] = lines;
    assert.deepEqual(first?.details, { step: 1 });
    assert.deepEqual(last?.details, {});
    assert.equal("exception" in (last ?? {}), false);
    assert.deepEqual(fourth?.details, { n: "1", when: "1970-01-01T00:00:00.000Z", deep: { map: "Map(1) { 'a' => 1 }" } });
    const { traceback, ...exception } = (fourth?.exception ?? {}) as Record<string, string>;
    assert.deepEqual(exception, { type: "TypeError", message: "wrong", code: "E_WRONG" });
    assert.match(traceback ?? "", /^TypeError: wrong\n\s+at [\s\S]*caused by: Error: why\n\s+at /);
  });

  it("keeps to log.level", async () => {
    assert.deepEqual(
      (await linesOf("error")).map(({ level }) => level),
      ["ERROR", "ERROR"],
    );
    assert.equal((await linesOf("debug"))[0]?.message, "debug from the plugin");
  });

  it("takes its level from the environment, and can be silent", async () => {
    assert.deepEqual(await linesOf("debug", { HEXKIT_LOG_LEVEL: "silent" }), []);
  });
});

describe("a logger of the application", () => {
  it("gets the same fields, whatever log.level says", async () => {
    const logger = recordingLogger();
    const plugin = postPlugin([], { open: (_office, context) => context.logger.debug({ step: 1 }, "opening") });
    await using registry = await open({ config: { ...mailers(["a"]), log: { level: "silent" } }, plugins: [plugin], logger });
    const error = new TypeError("wrong");
    withCorrelationId(id, () => registry.get("mailer").context.logger.warn({ error, more: 1 }, "careful"));
    assert.deepEqual(logger.lines[0], {
      level: "debug",
      message: "opening",
      fields: { name: "hexkit.plugins.post", correlation_id: null, details: { step: 1 } },
    });
    const { exception, ...fields } = logger.lines[1]?.fields ?? {};
    assert.deepEqual(fields, { name: "hexkit.mailer", correlation_id: id, details: { more: 1 } });
    assert.equal((exception as { type: string }).type, "TypeError");
    assert.doesNotMatch(inspect(logger.lines), /silent/);
  });

  it("gets no secret, at any level, in message, details or error", async () => {
    const logger = recordingLogger();
    const plugin = postPlugin([], {
      open: ({ options }, context) => {
        const fields = { options, list: [options.password], error: new Error(`no ${options.password}`) };
        for (const level of ["debug", "info", "warn", "error"] as const) context.logger[level](fields, `with ${options.password}`);
      },
    });
    await using _registry = await open({ config: mailers(["a"]), env: { HEXKIT_A_PASSWORD: "canary" }, plugins: [plugin], logger });
    assert.equal(logger.lines.length, 4);
    for (const line of logger.lines) {
      assert.equal(line.message, "with [secret]");
      assert.doesNotMatch(inspect(line, { depth: 10 }), /canary/);
    }
  });

  it("may be the console or anything with debug, info, warn and error", async () => {
    const calls: string[] = [];
    const target = {
      debug: () => calls.push("debug"),
      info: () => calls.push("info"),
      warn: () => calls.push("warn"),
      error: () => calls.push("error"),
    };
    const plugin = postPlugin([], {
      open: (_office, { logger }) => {
        for (const level of ["debug", "info", "warn", "error"] as const) logger[level]({}, "x");
      },
    });
    await using _registry = await open({ config: mailers(["a"]), plugins: [plugin], logger: target });
    assert.deepEqual(calls, ["debug", "info", "warn", "error"]);
  });
});
