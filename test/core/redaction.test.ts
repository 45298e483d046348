import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { createRedact, describeError, factOf, redactValue } from "../../core/redaction.ts";

const pem = `-----BEGIN PRIVATE KEY-----\n${"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n".repeat(4)}-----END PRIVATE KEY-----`;
const hard = [
  "plain",
  "p@ss&word+1/",
  "zqu\"zot'zed`zend",
  "back\\slash",
  "ünïcödé 🔑",
  "zab\tzand\nzine",
  "50%",
  "a.b*c(d)[e]{f}^$|?",
  "`ztick`",
  pem,
];

describe("redaction", () => {
  for (const secret of hard) {
    it(`finds ${JSON.stringify(secret.slice(0, 20))} in every spelling`, () => {
      const redact = createRedact([secret]);
      const url = new URL("post://office@host/");
      url.password = secret;
      const ascii = JSON.stringify(secret).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
      const texts = {
        raw: secret,
        "URL-encoded": encodeURIComponent(secret),
        "URL-encoded in lower case": encodeURIComponent(secret).replace(/%../g, (code) => code.toLowerCase()),
        "encodeURI’d": encodeURI(secret),
        "form-encoded": new URLSearchParams({ q: secret }).toString().slice(2),
        "in a URL": url.href.replace(/^post:\/\/office:|@host\/$/g, ""),
        JSON: JSON.stringify(secret).slice(1, -1),
        "ASCII JSON": ascii.slice(1, -1),
        "JSON in an inspected text": inspect(JSON.stringify({ secret })),
        "inspected alone": inspect(secret),
        "inspected in an object": inspect({ options: { deep: [secret], more: "x".repeat(60) } }),
        "inspected in an error": inspect(new Error("failed", { cause: Object.assign(new Error(secret), { secret }) })),
      };
      for (const [spelling, text] of Object.entries(texts)) {
        const clean = redact(`before ${text} after`);
        assert.match(clean, /^before [\s\S]*\[secret\][\s\S]* after$/, spelling);
        // No piece of it is left that would tell anything.
        for (const piece of secret.split(/[^A-Za-z0-9]+/).filter((part) => part.length >= 3))
          assert.ok(!clean.includes(piece), `${spelling}: ${clean}`);
      }
    });
  }

  it("removes the longer of two secrets first, so that no rest is left", () => {
    assert.equal(createRedact(["abc", "abcdef", "abc"])("x abcdef y abc"), "x [secret] y [secret]");
  });

  it("can be repeated without harm, even if the secret is the mask's own word", () => {
    const redact = createRedact(["secret"]);
    assert.equal(redact(redact(redact("my secret"))), "my [secret]");
  });

  it("leaves very short secrets alone, which would shred everything", () => {
    assert.equal(createRedact(["a", "ab", ""])("abracadabra"), "abracadabra");
  });

  it("leaves texts alone that hold no secret", () => {
    assert.equal(createRedact([])("anything"), "anything");
    assert.equal(createRedact(["canary"])("$& $1 can ary"), "$& $1 can ary");
  });

  it("copies plain data with every text and key redacted", () => {
    const when = new Date(0);
    const value = { a: "canary", list: ["x canary", 1, null, true], deep: { "canary key": { n: 1n } }, when, none: undefined };
    assert.deepEqual(redactValue(value, createRedact(["canary"])), {
      a: "[secret]",
      list: ["x [secret]", 1, null, true],
      deep: { "[secret] key": { n: "1" } },
      when,
      none: undefined,
    });
    assert.equal(value.a, "canary");
  });

  it("turns what is not plain data into its text, redacted and bounded", () => {
    class Client {
      password = "canary";
    }
    const redact = createRedact(["canary"]);
    for (const value of [
      new Client(),
      new Map([["canary", "canary"]]),
      new Set(["canary"]),
      new URL("post://office:canary@host"),
      Buffer.from("x"),
    ]) {
      const text = redactValue(value, redact);
      assert.equal(typeof text, "string");
      assert.doesNotMatch(text as string, /canary/);
    }
    assert.equal((redactValue(Buffer.alloc(1_000_000), redact) as string).length < 1_000, true);
    assert.equal(redactValue(Symbol("canary"), redact), "Symbol([secret])");
  });

  it("ends in circles and depths", () => {
    const circle: Record<string, unknown> = { name: "canary" };
    circle.self = circle;
    const text = JSON.stringify(redactValue(circle, createRedact(["canary"])));
    assert.doesNotMatch(text, /canary/);
    assert.match(text, /"\[…\]"/);
  });

  it("describes an error with its causes, redacted, also in a circle", () => {
    const inner = new TypeError("inner canary");
    const outer = Object.assign(new Error("outer canary", { cause: inner }), { code: "E_OUTER" });
    inner.cause = outer;
    const described = describeError(outer, createRedact(["canary"]));
    assert.deepEqual([described.type, described.message, described.code], ["Error", "outer [secret]", "E_OUTER"]);
    assert.match(described.traceback ?? "", /outer \[secret\][\s\S]*caused by: TypeError: inner \[secret\]/);
    assert.doesNotMatch(JSON.stringify(described), /canary/);
  });

  it("describes errors wherever they are in the data", () => {
    const { list } = redactValue({ list: [new TypeError("canary")] }, createRedact(["canary"])) as {
      list: { type: string; message: string }[];
    };
    assert.deepEqual([list[0]?.type, list[0]?.message], ["TypeError", "[secret]"]);
  });

  it("describes whatever was thrown", () => {
    const redact = createRedact(["canary"]);
    assert.deepEqual(describeError("canary", redact), { type: "string", message: "[secret]" });
    assert.deepEqual(describeError(null, redact), { type: "object", message: "null" });
    for (const thrown of [undefined, null, 5, 5n, "text", Symbol("s"), {}, Object.create(null), () => 1, new Error(""), []]) {
      assert.equal(typeof factOf(thrown), "string");
      assert.equal(typeof describeError(thrown, redact).message, "string");
    }
  });
});
