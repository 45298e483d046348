import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as v from "valibot";
import { z } from "zod";
import {
  eventTranslator,
  HexkitError,
  isHexkitError,
  type ReceivedEvent,
  type Schema,
  type SubscriberSettings,
  type Translator,
} from "../../../core/index.ts";
import { at, FakeSubscriberDriver, type Membership, openSubscriber, record, turns } from "./bench.ts";

const consume = (): void => {};
const of = (topics: readonly string[], types: readonly string[], name?: string[], as = "x"): Translator => ({
  topics,
  types,
  consume: () => void name?.push(as),
});

/** What subscribing throws. */
async function refusal(translators: unknown, options?: object): Promise<HexkitError> {
  const driver = new FakeSubscriberDriver();
  await using service = await openSubscriber(driver);
  try {
    service.api.subscribe(translators as Translator, options as Partial<SubscriberSettings>);
  } catch (error) {
    await turns();
    assert.equal(driver.members.length, 0);
    assert.ok(error instanceof HexkitError);
    return error;
  }
  assert.fail("it was taken");
}

describe("combining translators", () => {
  it("routes by topic and type", async () => {
    const seen: string[] = [];
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver);
    service.api.subscribe([
      of(["a"], ["x"], seen, "ax"),
      of(["a"], ["y"], seen, "ay"),
      of(["b"], ["x", "y"], seen, "b"),
      of(["c", "c"], ["x", "x"], seen, "c"),
    ]);
    const member = await driver.member();
    member.sink.assigned(["a", "b", "c"].map((topic) => at(topic)));
    for (const [topic, type] of [
      ["a", "x"],
      ["a", "y"],
      ["b", "x"],
      ["b", "y"],
      ["c", "x"],
      ["c", "y"],
      ["d", "x"],
    ] as const) {
      member.sink.records(at(topic), [record(seen.length, { topic, headers: { type } })]);
      await turns();
    }
    assert.deepEqual(seen, ["ax", "ay", "b", "b", "c"]);
  });

  const clashing: [what: string, translators: Translator[], message: RegExp][] = [
    [
      "two with equal topics and types",
      [of(["a"], ["x"]), of(["a"], ["x"])],
      /translators 0 and 1 both claim type "x" of topic "a"; leave it to one/,
    ],
    [
      "two that overlap in one of many",
      [of(["a", "b"], ["x", "y"]), of(["b"], ["z", "y"])],
      /translators 0 and 1 both claim type "y" of topic "b"/,
    ],
    [
      "the same in the other order",
      [of(["b"], ["z", "y"]), of(["a", "b"], ["x", "y"])],
      /translators 0 and 1 both claim type "y" of topic "b"/,
    ],
    [
      "two with others in between",
      [of(["a"], ["x"]), of(["b"], ["x"]), of(["a"], ["y", "x"])],
      /translators 0 and 2 both claim type "x" of topic "a"/,
    ],
  ];
  for (const [what, translators, message] of clashing) {
    it(`refuses ${what}`, async () => {
      const error = await refusal(translators);
      assert.equal(error.code, "ERR_HEXKIT_TRANSLATOR_CLASH");
      assert.match(error.message, message);
    });
  }

  const malformed: [what: string, translators: unknown, message: RegExp][] = [
    ["none", [], /no translator given/],
    ["nothing", undefined, /the translator: topics must be a list of at least one non-empty string/],
    ["one without topics", { types: ["x"], consume }, /the translator: topics must be a list/],
    ["one with no topic", of([], ["x"]), /the translator: topics must be/],
    ["an empty topic", of([""], ["x"]), /the translator: topics must be/],
    ["a topic that is no text", of([5 as never], ["x"]), /the translator: topics must be/],
    ["types as text", { topics: ["a"], types: "x", consume }, /the translator: types must be/],
    ["the second of two without types", [of(["a"], ["x"]), of(["b"], [])], /translator 1: types must be/],
    ["one without consume", { topics: ["a"], types: ["x"] }, /the translator: it needs the function consume/],
    ["an eventTranslator without events", eventTranslator({ topic: "a", events: {} }), /the translator: types must be/],
  ];
  for (const [what, translators, message] of malformed) {
    it(`refuses ${what}`, async () => {
      const error = await refusal(translators);
      assert.equal(error.code, "ERR_HEXKIT_INVALID_ARGUMENT");
      assert.match(error.message, message);
    });
  }
});

describe("settings of subscribe", () => {
  const bad: [what: string, options: object, message: RegExp][] = [
    ["an unknown one, suggesting the nearest", { concurency: 3 }, /settings: .*concurency.*did you mean .*concurrency/],
    ["a wrong type", { concurrency: "3" }, /concurrency/],
    ["too small a number", { concurrency: 0 }, /concurrency/],
    ["a fraction", { maxInFlight: 1.5 }, /maxInFlight/],
    ["an unknown policy", { onFailure: "ignore" }, /onFailure/],
    ["an empty group", { group: "" }, /group/],
    ["more milliseconds than a timer can wait", { drainTimeoutMs: 2 ** 31 }, /drainTimeoutMs/],
    ["several at once", { from: "now", commitEvery: -1 }, /from.*commitEvery|commitEvery.*from/],
  ];
  for (const [what, options, message] of bad) {
    it(`refuse ${what}`, async () => {
      const error = await refusal(of(["a"], ["x"]), options);
      assert.equal(error.code, "ERR_HEXKIT_INVALID_ARGUMENT");
      assert.match(error.message, message);
    });
  }

  it("win over the configuration for this subscription only; what is undefined does not", async () => {
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver, { settings: { group: "configured", from: "latest" } });
    service.api.subscribe(of(["a"], ["x"]), { group: "given", from: undefined } as never);
    const first = await driver.member();
    service.api.subscribe(of(["a"], ["x"]));
    const second = await driver.member(1);
    assert.deepEqual(
      [first.request.group, first.request.from, second.request.group, second.request.from],
      ["given", "latest", "configured", "latest"],
    );
  });
});

/** A translator's subscription under the policy skip, and what its failures say. */
async function subscribed(translator: Translator) {
  const driver = new FakeSubscriberDriver();
  const service = await openSubscriber(driver);
  const subscription = service.api.subscribe(translator, { onFailure: "skip", commitEvery: 1 });
  const member: Membership = await driver.member();
  member.sink.assigned([at("orders")]);
  let offset = 0;
  return {
    subscription,
    send: async (payload: unknown, type = "made") => {
      member.sink.records(at("orders"), [record(offset++, { value: JSON.stringify(payload), headers: { type } })]);
      await turns();
    },
    failures: () =>
      service.lines
        .filter(({ level }) => level === "error")
        .map(({ fields }) => (fields as unknown as { exception: { message: string } }).exception.message),
    [Symbol.asyncDispose]: () => service.registry.close(),
  };
}

const jsonSchema = {
  type: "object",
  additionalProperties: false,
  required: ["id", "lines"],
  properties: {
    id: { type: "string", format: "uuid" },
    currency: { type: "string", default: "EUR" },
    lines: {
      type: "array",
      items: { type: "object", required: ["amount"], properties: { amount: { type: "integer", minimum: 1 }, "a/b": { type: "string" } } },
    },
  },
} as const;

const schemas: Record<string, Schema> = {
  zod: z.strictObject({ id: z.uuid(), currency: z.string().default("EUR"), lines: z.array(z.object({ amount: z.int().min(1) })) }),
  valibot: v.strictObject({
    id: v.pipe(v.string(), v.uuid()),
    currency: v.optional(v.string(), "EUR"),
    lines: v.array(v.object({ amount: v.pipe(v.number(), v.integer(), v.minValue(1)) })),
  }),
  "JSON Schema": jsonSchema,
};

const id = "0188d2b4-7c3e-7a01-9f00-0123456789ab";

describe("eventTranslator", () => {
  for (const [kind, schema] of Object.entries(schemas)) {
    it(`hands over the payload as a schema of ${kind} gives it, defaults filled in`, async () => {
      const events: ReceivedEvent[] = [];
      await using all = await subscribed(
        eventTranslator({ topic: "orders", events: { made: { schema, consume: (event) => void events.push(event) } } }),
      );
      await all.send({ id, lines: [{ amount: 2 }] });
      assert.deepEqual(events[0]?.payload, { id, currency: "EUR", lines: [{ amount: 2 }] });
      assert.equal(events[0]?.type, "made");
      assert.equal(all.subscription.stats().handled, 1);
    });

    it(`names every field of a payload that does not fit a schema of ${kind}, and does not call consume`, async () => {
      const events: ReceivedEvent[] = [];
      await using all = await subscribed(
        eventTranslator({ topic: "orders", events: { made: { schema, consume: (event) => void events.push(event) } } }),
      );
      await all.send({ id: "seven", lines: [{ amount: 1 }, { amount: 0 }] });
      await all.send({ id, lines: [], curency: "USD" });
      await all.send({ id });
      await all.send("text");
      const [fields, unknown, missing, root] = all.failures() as [string, string, string, string];
      assert.match(fields, /payload of event type "made" from topic "orders" does not fit: /);
      assert.match(fields, /\bid: .*; lines\.1\.amount: /);
      assert.match(unknown, /curency/);
      assert.match(missing, /\blines: /);
      assert.match(root, /\(root\): /);
      assert.deepEqual(events, []);
      assert.equal(all.subscription.stats().failed, 4);
    });
  }

  it("is strict with JSON Schema: nothing is coerced, formats are checked, odd names are readable", async () => {
    await using all = await subscribed(eventTranslator({ topic: "orders", events: { made: { schema: jsonSchema, consume } } }));
    await all.send({ id, lines: [{ amount: "2", "a/b": 5 }] });
    const [failure] = all.failures();
    assert.match(failure as string, /lines\.0\.amount: must be integer; lines\.0\.a\/b: must be string/);
  });

  it("prints nothing about schemas that leave types out", async () => {
    const { warn } = console;
    const printed: unknown[] = [];
    console.warn = (...what: unknown[]) => void printed.push(what);
    try {
      await using all = await subscribed(
        eventTranslator({
          topic: "orders",
          events: { made: { schema: { properties: { n: { minimum: 1 } }, items: [{ type: "string" }] }, consume } },
        }),
      );
      await all.send({ n: 0 });
      assert.match(all.failures()[0] as string, /n: must be >= 1/);
    } finally {
      console.warn = warn;
    }
    assert.deepEqual(printed, []);
  });

  it("takes schemas that check asynchronously or change the payload", async () => {
    const events: ReceivedEvent[] = [];
    const schema = z.object({ at: z.iso.datetime().transform((text) => new Date(text)) }).refine(async () => {
      await turns(1);
      return true;
    });
    await using all = await subscribed(
      eventTranslator({ topic: "orders", events: { made: { schema, consume: (event) => void events.push(event) } } }),
    );
    await all.send({ at: "2026-02-03T04:05:06Z" });
    assert.deepEqual(events[0]?.payload, { at: new Date(Date.UTC(2026, 1, 3, 4, 5, 6)) });
  });

  it("takes a schema that is a function", async () => {
    const callable = Object.assign(() => {}, {
      "~standard": { version: 1, vendor: "test", validate: () => ({ issues: [{ message: "never" }] }) },
    } as const);
    await using all = await subscribed(eventTranslator({ topic: "orders", events: { made: { schema: callable, consume } } }));
    await all.send({});
    assert.match(all.failures()[0] as string, /does not fit: \(root\): never/);
  });

  it("has a schema and a handler for each type, and several topics if it is asked", async () => {
    const seen: unknown[] = [];
    const translator = eventTranslator({
      topic: ["orders", "bills"],
      events: {
        made: { schema: z.object({ n: z.number() }), consume: (event) => void seen.push(["made", event.payload.n]) },
        paid: { schema: z.object({ text: z.string() }), consume: (event) => void seen.push(["paid", event.payload.text]) },
      },
    });
    assert.deepEqual(
      [translator.topics, translator.types],
      [
        ["orders", "bills"],
        ["made", "paid"],
      ],
    );
    await using all = await subscribed(translator);
    await all.send({ n: 1 });
    await all.send({ text: "x" }, "paid");
    assert.deepEqual(seen, [
      ["made", 1],
      ["paid", "x"],
    ]);
  });

  it("can be called without a subscription, as a test of a service would", async () => {
    const seen: unknown[] = [];
    const translator = eventTranslator({
      topic: "orders",
      events: { made: { schema: jsonSchema, consume: (event) => void seen.push(event.payload) } },
    });
    const event = { topic: "orders", type: "made", key: "k", payload: { id, lines: [] }, eventId: id, headers: {}, timestamp: new Date() };
    await translator.consume(event, {} as never);
    assert.deepEqual(seen, [{ id, currency: "EUR", lines: [] }]);
  });

  const bad: [what: string, schema: unknown, message: RegExp][] = [
    [
      "an unknown keyword",
      { type: "object", requierd: ["id"] },
      /events\.made\.schema: not a JSON Schema that can be compiled: .*requierd/,
    ],
    ["an unknown type", { type: "objekt" }, /events\.made\.schema: not a JSON Schema that can be compiled/],
    ["an unknown format", { type: "string", format: "isbn" }, /events\.made\.schema: not a JSON Schema that can be compiled: .*isbn/],
    ["no schema", undefined, /events\.made\.schema: a schema is a Standard Schema \(zod, valibot, …\) or a JSON Schema object/],
    ["text", "object", /events\.made\.schema: a schema is a Standard Schema/],
  ];
  for (const [what, schema, message] of bad) {
    it(`fails the subscription before it joins for ${what} in place of a schema`, async () => {
      const driver = new FakeSubscriberDriver();
      await using service = await openSubscriber(driver);
      const subscription = service.api.subscribe(
        eventTranslator({ topic: "orders", events: { made: { schema: schema as Schema, consume } } }),
      );
      await assert.rejects(
        subscription.done,
        (error) => isHexkitError(error, "ERR_HEXKIT_INVALID_ARGUMENT") && message.test(error.message),
      );
      assert.equal(subscription.state, "failed");
      assert.equal(driver.members.length, 0);
    });
  }
});

/** Compiles only if both are the same type. */
type Same<Left, Right> = (<T>() => T extends Left ? 1 : 2) extends <T>() => T extends Right ? 1 : 2 ? true : false;
function isType<_Condition extends true>(): void {}

// Compiled by tsc, which is the test; nothing of it needs to run.
export function payloadsAreTyped(): Translator[] {
  return [
    eventTranslator({
      topic: "orders",
      events: {
        zod: {
          schema: z.object({ n: z.number(), at: z.string().transform((text) => new Date(text)) }),
          consume: (event) => isType<Same<typeof event.payload, { n: number; at: Date }>>(),
        },
        valibot: {
          schema: v.object({ n: v.number(), note: v.optional(v.string(), "") }),
          consume: async (event) => isType<Same<typeof event.payload, { n: number; note: string }>>(),
        },
        constant: {
          schema: jsonSchema,
          consume: ({ payload }) => {
            isType<Same<typeof payload.id, string>>();
            isType<Same<typeof payload.currency, string>>();
            isType<Same<(typeof payload.lines)[number]["amount"], number>>();
          },
        },
        inPlace: {
          schema: {
            type: "object",
            additionalProperties: false,
            required: ["n"],
            properties: { n: { type: "integer" }, kind: { enum: ["a", "b"] } },
          },
          consume: ({ payload }) => {
            isType<Same<typeof payload.n, number>>();
            isType<Same<typeof payload.kind, "a" | "b" | undefined>>();
          },
        },
      },
    }),
    eventTranslator({
      topic: "orders",
      events: {
        wrong: {
          schema: z.object({ n: z.number() }),
          // @ts-expect-error: the payload has no such field
          consume: (event) => event.payload.m,
        },
        // @ts-expect-error: consume is missing
        incomplete: { schema: z.object({}) },
      },
    }),
  ];
}
