import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { type ErrorCode, errorCodes, HexkitError, isHexkitError } from "hexkit";
import { run } from "./run-program.ts";

const redact = (text: string): string => text.replaceAll("canary", "[secret]");

function withSecrets(): HexkitError {
  const inner = Object.assign(new Error("inner canary"), { password: "canary", list: [{ token: "canary" }] });
  const outer = new TypeError("outer canary", { cause: inner });
  return new HexkitError("ERR_HEXKIT_UNAVAILABLE", "no way to canary", {
    cause: outer,
    origin: { binding: "dao", provider: "db", plugin: "mongo", operation: "get" },
    redact,
  });
}

describe("HexkitError", () => {
  it("derives category and retryability from its code", () => {
    for (const [code, { category, retryable, summary }] of Object.entries(errorCodes)) {
      const error = new HexkitError(code as ErrorCode, "x");
      assert.match(code, /^ERR_HEXKIT_[A-Z_]+$/);
      assert.equal(error.category, category);
      assert.equal(error.retryable, retryable);
      assert.match(summary, /^[A-Z].*\.$/);
    }
  });

  it("keeps its codes, with what is retryable: they are covered by semver", () => {
    const retryable = [
      "ERR_HEXKIT_OPEN_FAILED",
      "ERR_HEXKIT_TIMEOUT",
      "ERR_HEXKIT_UNAVAILABLE",
      "ERR_HEXKIT_EVENT_ORDER",
    ] satisfies ErrorCode[];
    const others = [
      "ERR_HEXKIT_CONFIG_INVALID",
      "ERR_HEXKIT_PLUGIN_INVALID",
      "ERR_HEXKIT_PACKAGE_MISSING",
      "ERR_HEXKIT_UNBOUND",
      "ERR_HEXKIT_CLOSED",
      "ERR_HEXKIT_CLOSE_FAILED",
      "ERR_HEXKIT_ABORTED",
      "ERR_HEXKIT_AUTHENTICATION_FAILED",
      "ERR_HEXKIT_PERMISSION_DENIED",
      "ERR_HEXKIT_INVALID_ARGUMENT",
      "ERR_HEXKIT_NOT_ASCII",
      "ERR_HEXKIT_UNSUPPORTED",
      "ERR_HEXKIT_PAYLOAD_INVALID",
      "ERR_HEXKIT_MESSAGE_TOO_LARGE",
      "ERR_HEXKIT_EVENT_UNDECODABLE",
      "ERR_HEXKIT_EVENT_FAILED",
      "ERR_HEXKIT_TOPIC_NOT_FOUND",
      "ERR_HEXKIT_CORRELATION_ID_MISSING",
      "ERR_HEXKIT_CORRELATION_ID_INVALID",
      "ERR_HEXKIT_TRANSLATOR_CLASH",
      "ERR_HEXKIT_SUBSCRIPTION_EXISTS",
      "ERR_HEXKIT_PROVIDER_FAILED",
    ] satisfies ErrorCode[];
    for (const code of retryable) assert.equal(errorCodes[code].retryable, true, code);
    for (const code of others) assert.equal(errorCodes[code].retryable, false, code);
  });

  it("has a table of codes that cannot be changed", () => {
    assert.equal(Object.isFrozen(errorCodes), true);
    for (const facts of Object.values(errorCodes)) assert.equal(Object.isFrozen(facts), true);
  });

  it("is an Error with name, message, stack and cause", () => {
    const cause = new Error("why");
    const error = new HexkitError("ERR_HEXKIT_TIMEOUT", "too slow", { cause });
    assert.equal(error instanceof Error, true);
    assert.equal(error.name, "HexkitError");
    assert.equal(`${error}`, "HexkitError: too slow");
    assert.match(error.stack ?? "", /^HexkitError: too slow\n\s+at /);
    assert.equal(error.cause, cause);
    assert.deepEqual([error.origin, error.problems, error.failures], [{}, [], []]);
    assert.equal("cause" in new HexkitError("ERR_HEXKIT_TIMEOUT", "x"), false);
    assert.equal(new HexkitError("ERR_HEXKIT_TIMEOUT", "x", { cause: undefined }).cause, undefined);
  });

  it("is recognised by its brand, with or without a code, also from another copy of the package", async () => {
    const copyPath = "../../core/errors.ts?copy";
    const copy = (await import(copyPath)) as typeof import("../../core/errors.ts");
    assert.notEqual(copy.HexkitError, HexkitError);
    const foreign = new copy.HexkitError("ERR_HEXKIT_TIMEOUT", "x");
    assert.equal(foreign instanceof HexkitError, false);
    assert.equal(isHexkitError(foreign), true);
    assert.equal(isHexkitError(foreign, "ERR_HEXKIT_TIMEOUT"), true);
    assert.equal(isHexkitError(foreign, "ERR_HEXKIT_CLOSED"), false);
    assert.equal(copy.isHexkitError(new HexkitError("ERR_HEXKIT_TIMEOUT", "x")), true);
    for (const other of [new Error("x"), { code: "ERR_HEXKIT_TIMEOUT", name: "HexkitError" }, null, undefined, "ERR_HEXKIT_TIMEOUT", 1]) {
      assert.equal(isHexkitError(other), false);
    }
  });

  it("prints even with a code that it does not know", () => {
    for (const code of ["ERR_ACME_STRANGE", "toString"] as unknown as ErrorCode[]) {
      const error = new HexkitError(code, "x");
      assert.deepEqual([error.category, error.retryable], ["internal", false]);
      assert.equal((error.toJSON() as { code: string }).code, code);
    }
  });

  it("gives JSON without cause and stack", () => {
    const failure = new HexkitError("ERR_HEXKIT_TIMEOUT", "one", { cause: new Error("canary") });
    const problems = [{ place: "here", message: "wrong" }];
    const error = new HexkitError("ERR_HEXKIT_OPEN_FAILED", "all canary", {
      cause: new Error("canary"),
      failures: [failure],
      problems,
      origin: { provider: "p" },
      redact,
    });
    assert.deepEqual(JSON.parse(JSON.stringify(error)), {
      name: "HexkitError",
      code: "ERR_HEXKIT_OPEN_FAILED",
      category: "lifecycle",
      retryable: true,
      message: "all [secret]",
      origin: { provider: "p" },
      problems,
      failures: [{ name: "HexkitError", code: "ERR_HEXKIT_TIMEOUT", category: "unavailable", retryable: true, message: "one", origin: {} }],
    });
    assert.deepEqual(Object.keys(new HexkitError("ERR_HEXKIT_TIMEOUT", "x").toJSON()), [
      "name",
      "code",
      "category",
      "retryable",
      "message",
      "origin",
    ]);
  });

  it("shows its code, failures and the chain of causes when it is inspected, all redacted", () => {
    const error = withSecrets();
    const text = inspect(error, { depth: 10 });
    assert.match(text, /^HexkitError \[ERR_HEXKIT_UNAVAILABLE\]: no way to \[secret\]\n/);
    assert.match(text, /\[cause\]: TypeError: outer \[secret\]/);
    assert.match(text, /\[cause\]: Error: inner \[secret\]/);
    assert.doesNotMatch(text, /canary/);
    const whole = new HexkitError("ERR_HEXKIT_OPEN_FAILED", "two", { failures: [error, new HexkitError("ERR_HEXKIT_TIMEOUT", "slow")] });
    assert.match(
      inspect(whole),
      /\[failure\]: HexkitError \[ERR_HEXKIT_UNAVAILABLE\]: no way[\s\S]*\[failure\]: HexkitError \[ERR_HEXKIT_TIMEOUT\]: slow/,
    );
    for (const holder of [whole, { error }, [error], new Error("outside", { cause: error }), new AggregateError([error])]) {
      assert.doesNotMatch(inspect(holder, { depth: 10 }), /canary/);
    }
  });

  it("ends a circle of causes", () => {
    const inner = new Error("inner");
    const error = new HexkitError("ERR_HEXKIT_TIMEOUT", "outer", { cause: inner });
    inner.cause = error;
    assert.match(inspect(error), /inner/);
    assert.match(inspect(inner), /outer/);
  });

  it("keeps the cause itself untouched", () => {
    const error = withSecrets();
    assert.equal((error.cause as Error).message, "outer canary");
    assert.equal(((error.cause as Error).cause as { password: string }).password, "canary");
  });

  it("shows no secret when nobody catches it", async () => {
    const program = `import { HexkitError } from "hexkit";
      const cause = Object.assign(new Error("canary"), { password: "canary" });
      throw new HexkitError("ERR_HEXKIT_TIMEOUT", "slow", { cause, redact: (text) => text.replaceAll("canary", "[secret]") });`;
    const { code, stderr } = await run(["--input-type=module", "-e", program]);
    assert.equal(code, 1);
    assert.match(stderr, /HexkitError: slow/);
    // The program's own text is shown by Node and holds the word.
    assert.doesNotMatch(stderr.slice(stderr.indexOf("HexkitError: slow")), /canary/);
  });
});
