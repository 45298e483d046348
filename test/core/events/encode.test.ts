import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type EventPublisher, isHexkitError, type Payload } from "../../../core/index.ts";
import { FakePublisherDriver, openPublisher, type Service } from "./bench.ts";

const driver = FakePublisherDriver.obliging();
let service: Service<EventPublisher>;
before(async () => {
  service = await openPublisher(driver);
});
after(() => service.registry.close());

/** What a payload looks like on the wire. */
async function encoded(payload: unknown): Promise<string> {
  await service.api.publish({ topic: "t", type: "made", key: "k", payload: payload as Payload });
  return driver.sends.at(-1)?.records[0]?.value as string;
}

async function refusal(payload: unknown): Promise<string> {
  const { length } = driver.sends;
  const error = await service.api.publish({ topic: "t", type: "made", key: "k", payload: payload as Payload }).then(
    () => assert.fail("it was published"),
    (reason: unknown) => reason,
  );
  assert.ok(isHexkitError(error, "ERR_HEXKIT_PAYLOAD_INVALID"), String(error));
  assert.equal(driver.sends.length, length);
  return error.message;
}

class Money {
  readonly amount: number;
  constructor(amount: number) {
    this.amount = amount;
  }
  toJSON(): string {
    return `${this.amount} EUR`;
  }
}

describe("payloads", () => {
  it("are written as JSON without a character outside ASCII", async () => {
    const payload = { grüße: "ß € 日本 😀", plain: 'a "quoted" \\ line\n' };
    const json = await encoded(payload);
    assert.match(json, /^[\x20-\x7e]*$/);
    assert.deepEqual(JSON.parse(json), payload);
    assert.ok(json.includes("\\ud83d\\ude00"), "an emoji is a pair of escapes in lower case");
    assert.ok(json.includes('"gr\\u00fc\\u00dfe"'), "names are escaped too");
  });

  it("keep lone surrogates as escapes", async () => {
    assert.equal(await encoded({ text: "\ud83d and \ude00" }), '{"text":"\\ud83d and \\ude00"}');
  });

  it("leave out properties that are undefined, also nested", async () => {
    assert.equal(await encoded({ a: undefined, b: { c: undefined, d: null } }), '{"b":{"d":null}}');
  });

  it("write a Date as ISO 8601 in UTC, also in lists", async () => {
    const at = new Date(Date.UTC(2026, 1, 3, 4, 5, 6, 7));
    assert.equal(await encoded({ at, all: [at] }), '{"at":"2026-02-03T04:05:06.007Z","all":["2026-02-03T04:05:06.007Z"]}');
  });

  it("write what toJSON gives", async () => {
    const url = new URL("https://example.org/ä");
    assert.equal(await encoded({ price: new Money(5), url }), '{"price":"5 EUR","url":"https://example.org/%C3%A4"}');
    assert.equal(await encoded({ list: [{ toJSON: () => ({ n: 2, toJSON: 5 }) }] }), '{"list":[{"n":2,"toJSON":5}]}');
    class Self {
      readonly n = 1;
      toJSON(): unknown {
        return this;
      }
    }
    assert.equal(await encoded({ self: new Self() }), '{"self":{"n":1}}');
  });

  it("take instances of classes and objects without a prototype by their own properties", async () => {
    class Point {
      readonly x = 1;
      readonly y = 2;
    }
    assert.equal(await encoded(new Point()), '{"x":1,"y":2}');
    assert.equal(await encoded(Object.assign(Object.create(null), { z: 3 })), '{"z":3}');
  });

  const unwritable: [what: string, payload: unknown, message: string][] = [
    ["NaN", { a: { b: Number.NaN } }, "payload.a.b is NaN, which JSON does not have"],
    ["Infinity", { list: [1, Number.POSITIVE_INFINITY] }, "payload.list[1] is Infinity, which JSON does not have"],
    ["a bigint", { id: 1n }, "payload.id is a bigint, which JSON does not have; send it as text"],
    ["a function", { call: () => 1 }, "payload.call is a function, which JSON does not have"],
    ["a symbol", { of: Symbol("x") }, "payload.of is a symbol, which JSON does not have"],
    ["a Map", { at: [{ of: new Map() }] }, "payload.at[0].of is a Map, which JSON does not have"],
    ["a Set", { of: new Set([1]) }, "payload.of is a Set, which JSON does not have"],
    ["a RegExp", { of: /x/ }, "payload.of is a RegExp, which JSON does not have"],
    ["an Error", { of: new TypeError("x") }, "payload.of is a TypeError, which JSON does not have"],
    ["a Promise", { of: Promise.resolve(1) }, "payload.of is a Promise, which JSON does not have"],
    ["a boxed number", { of: Object(1) }, "payload.of is a Number, which JSON does not have"],
    ["bytes", { of: new Uint8Array(2) }, "payload.of is a Uint8Array, which JSON does not have"],
    ["a Buffer, although it has a toJSON", { of: Buffer.from("x") }, "payload.of is a Buffer, which JSON does not have"],
    ["an ArrayBuffer", { of: new ArrayBuffer(1) }, "payload.of is a ArrayBuffer, which JSON does not have"],
    // biome-ignore lint/suspicious/noSparseArray: the hole is the point
    ["a hole in a list", { list: [1, , 3] }, "payload.list[1] is undefined, which JSON does not have"],
    ["undefined in a list", { list: [undefined] }, "payload.list[0] is undefined, which JSON does not have"],
    ["an invalid Date", { at: new Date("never") }, "payload.at is an invalid Date"],
    [
      "what a toJSON gives if JSON lacks it",
      { of: { toJSON: () => 1n } },
      "payload.of is a bigint, which JSON does not have; send it as text",
    ],
    ["a toJSON that gives nothing", { of: { toJSON: () => undefined } }, "payload.of is undefined, which JSON does not have"],
    // JSON.stringify does not ask the result of a toJSON for another one, and would write {}.
    ["a Date from a toJSON", { of: { toJSON: () => new Date(0) } }, "payload.of is a Date, which JSON does not have"],
    ["a list", [1], "payload must be an object, not a list"],
    ["a Date in place of an object", new Date(0), "payload must be an object, not a Date"],
    ["text", "text", "payload must be an object, not a string"],
    ["a number", 5, "payload must be an object, not a number"],
    ["null", null, "payload must be an object, not null"],
    ["undefined", undefined, "payload must be an object, not undefined"],
    ["a Map in place of an object", new Map(), "payload is a Map, which JSON does not have"],
    ["an object that writes itself as text", new Money(5), "payload must be an object, not a string, which its toJSON gives"],
  ];
  for (const [what, payload, message] of unwritable) {
    it(`refuse ${what}, naming where it is`, async () => {
      assert.equal(await refusal(payload), `eventPublisher (provider "broker", plugin fake): publish: ${message}`);
    });
  }

  it("refuse circular ones and those nested too deep, and take deep ones", async () => {
    const circular: Record<string, unknown> = { name: "a" };
    circular.self = circular;
    assert.match(await refusal(circular), /payload\.self\.self.*… is circular, or nested deeper than 500 levels/);
    const nested = (levels: number): object => {
      let inner: object = {};
      for (let level = 0; level < levels; level += 1) inner = { a: inner };
      return inner;
    };
    assert.match(await refusal(nested(500)), /nested deeper than 500 levels/);
    assert.equal((await encoded(nested(499))).length, 499 * 6 + 2);
  });

  it("refuse a toJSON that throws with what it threw", async () => {
    const failing = {
      toJSON: () => {
        throw new Error("cannot");
      },
    };
    assert.match(await refusal({ of: failing }), /payload cannot be written as JSON: Error: cannot/);
  });
});
