import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as v from "valibot";
import { z } from "zod";
import {
  daoTranslator,
  type EventContext,
  eventTranslator,
  HexkitError,
  isHexkitError,
  NonRetryable,
  type ReceivedEvent,
  type Schema,
} from "../../../core/index.ts";
import { at, FakePublisherDriver, FakeSubscriberDriver, openSubscriber, type RawParts, record, turns, until } from "./bench.ts";
import { stage } from "./stage.ts";

const userSchema = z.object({ name: z.string() });

/** An outbox subscriber of topic orders that notes its calls. */
function noting(schema: Schema = userSchema, topic = "orders") {
  const calls: unknown[][] = [];
  const contexts: EventContext[] = [];
  const translator = daoTranslator({
    topic,
    schema,
    changed: (id, state, context) => {
      contexts.push(context);
      calls.push(["changed", id, state]);
    },
    deleted: async (id, context) => {
      contexts.push(context);
      calls.push(["deleted", id]);
    },
  });
  return { calls, contexts, translator };
}

const upserted = (value: unknown, more: RawParts = {}): RawParts => ({
  value: JSON.stringify(value),
  headers: { type: "upserted" },
  ...more,
});
const deleted = (value: unknown = {}): RawParts => ({ value: JSON.stringify(value), headers: { type: "deleted" } });

describe("daoTranslator", () => {
  it("claims both types of its topic", () => {
    const { topics, types } = noting().translator;
    assert.deepEqual([topics, types], [["orders"], ["upserted", "deleted"]]);
  });

  it("hands over the key as id, always text, and the state as the schema gives it", async () => {
    const { calls, contexts, translator } = noting(z.object({ name: z.string().toUpperCase() }));
    await using all = await stage({}, { translators: translator });
    all.deliver(0, [
      ["7", 0, upserted({ name: "ann", extra: 1 })],
      ["0e6b1c4a-8a5f-4d0e-9a64-0f6f3a4f6a11", 1, upserted({ name: "bob" })],
      ["", 2, upserted({ name: "eve" })],
      ["7", 3, deleted()],
    ]);
    await until("the calls", () => calls.length === 4);
    assert.deepEqual(
      calls.sort((a, b) => String(a[1]).localeCompare(String(b[1])) || String(a[0]).localeCompare(String(b[0]))),
      [
        ["changed", "", { name: "EVE" }],
        ["changed", "0e6b1c4a-8a5f-4d0e-9a64-0f6f3a4f6a11", { name: "BOB" }],
        ["changed", "7", { name: "ANN" }],
        ["deleted", "7"],
      ],
    );
    for (const context of contexts) assert.deepEqual([context.attempt, context.signal.aborted], [1, false]);
    assert.equal(all.member.acknowledged.length, 4);
  });

  it("ignores what a deletion carries", async () => {
    const { calls, translator } = noting();
    await using all = await stage({}, { translators: translator });
    const payloads = [{}, { name: 5 }, [], null, "x"];
    all.deliver(
      0,
      payloads.map((payload, offset) => ["7", offset, deleted(payload)] as const),
    );
    await until("the calls", () => calls.length === payloads.length);
    assert.equal(all.subscription.stats().handled, payloads.length);
  });

  it("passes over states that are older than one that it has handled, by their sequence: fence first, then count", async () => {
    const { calls, translator } = noting();
    await using all = await stage({}, { translators: translator });
    const numbered = (name: string, sequence?: string): RawParts => ({
      ...upserted({ name }),
      headers: { type: "upserted", ...(sequence !== undefined && { sequence }) },
    });
    all.deliver(0, [
      ["7", 0, numbered("first", "1.9")],
      ["7", 1, numbered("later", "1.10")],
      ["7", 2, numbered("late", "1.9")],
      ["7", 3, numbered("again", "1.10")],
      ["7", 4, numbered("new holder", "2.1")],
      ["7", 5, numbered("old holder", "1.99")],
      ["7", 6, { ...deleted(), headers: { type: "deleted", sequence: "1.100" } }],
      ["8", 7, numbered("other id", "1.1")],
      ["7", 8, numbered("odd", "2")],
      ["7", 9, numbered("unnumbered")],
    ]);
    await until("all", () => all.member.acknowledged.length === 10);
    assert.deepEqual(
      calls.filter(([, id]) => id === "7").map(([, , state]) => (state as { name: string }).name),
      ["first", "later", "again", "new holder", "odd", "unnumbered"],
    );
    assert.equal(all.subscription.stats().handled, 10);
  });

  it("does not count a state as handled that its handler failed on", async () => {
    const names: string[] = [];
    const translator = daoTranslator({
      topic: "orders",
      schema: userSchema,
      changed: (_id, { name }) => {
        if (name === "bad") throw new NonRetryable("no use");
        names.push(name);
      },
      deleted: () => undefined,
    });
    await using all = await stage({ deadLetter: true }, { translators: translator, publisher: FakePublisherDriver.obliging() });
    all.deliver(0, [
      ["7", 0, { ...upserted({ name: "bad" }), headers: { type: "upserted", sequence: "5.5" } }],
      ["7", 1, { ...upserted({ name: "good" }), headers: { type: "upserted", sequence: "5.4" } }],
    ]);
    await until("both", () => all.member.acknowledged.length === 2);
    assert.deepEqual(names, ["good"]);
  });

  const schemas: [what: string, schema: Schema][] = [
    ["zod", userSchema],
    ["valibot", v.object({ name: v.string() })],
    ["JSON Schema", { type: "object", required: ["name"], properties: { name: { type: "string" } } }],
  ];
  for (const [what, schema] of schemas) {
    it(`refuses a state that does not fit, without a retry and without calling anybody: ${what}`, async () => {
      const { calls, translator } = noting(schema);
      const publisher = FakePublisherDriver.obliging();
      await using all = await stage({ maxRetries: 5, deadLetter: true }, { translators: translator, publisher });
      all.deliver(0, [
        ["7", 0, upserted({ name: 5 })],
        ["7", 1, upserted({ name: "ann" })],
      ]);
      await until("both", () => all.member.acknowledged.length === 2);
      assert.deepEqual(calls, [["changed", "7", { name: "ann" }]]);
      const headers = Object.fromEntries(publisher.sends[0]?.records[0]?.headers ?? []);
      assert.deepEqual([headers.type, headers.exc_class, headers.attempts], ["upserted", "HexkitError", "1"]);
      assert.match(headers.exc_msg as string, /^state of "7" from topic "orders" does not fit: .*name/);
      assert.equal(all.subscription.stats().retried, 0);
    });
  }

  it("fails with ERR_HEXKIT_PAYLOAD_INVALID, also when it is called outside a subscription", async () => {
    const { translator } = noting();
    const event = { topic: "orders", type: "upserted", key: "7", payload: { name: 5 } } as unknown as ReceivedEvent;
    await assert.rejects(
      async () => translator.consume(event, {} as EventContext),
      (error) => error instanceof HexkitError && error.code === "ERR_HEXKIT_PAYLOAD_INVALID",
    );
  });

  it("fails the subscription before it joins for a schema that is none", async () => {
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver);
    const { translator } = noting({ type: "wrong" } as never);
    await assert.rejects(service.api.subscribe(translator).done, /daoTranslator: schema/);
    assert.equal(driver.members.length, 0);
  });

  it("goes the way of failures for both types, and by the retry topic comes to the same handlers", async () => {
    const calls: string[] = [];
    const failing = daoTranslator({
      topic: "orders",
      schema: userSchema,
      changed: (id) => {
        calls.push(`changed ${id}`);
        throw new NonRetryable("no use");
      },
      deleted: (id) => {
        calls.push(`deleted ${id}`);
        throw new NonRetryable("no use");
      },
    });
    const publisher = FakePublisherDriver.obliging();
    await using all = await stage({ deadLetter: true }, { translators: failing, publisher });
    all.member.sink.assigned([at("retry-shop")]);
    all.deliver(0, [
      ["1", 0, upserted({ name: "ann" })],
      ["2", 1, deleted()],
    ]);
    all.member.sink.records(at("retry-shop"), [
      record(0, { topic: "retry-shop", key: "3", value: '{"name":"eve"}', headers: { type: "upserted", original_topic: "orders" } }),
      record(1, { topic: "retry-shop", key: "4", value: "{}", headers: { type: "deleted", original_topic: "orders" } }),
    ]);
    await until("all", () => all.member.acknowledged.length === 4);
    assert.deepEqual(calls.sort(), ["changed 1", "changed 3", "deleted 2", "deleted 4"]);
    const letters = publisher.sends.flatMap(({ records }) =>
      records.map(({ key, headers }) => [key, Object.fromEntries(headers).original_topic]),
    );
    assert.deepEqual(letters.sort(), [
      ["1", "orders"],
      ["2", "orders"],
      ["3", "orders"],
      ["4", "orders"],
    ]);
  });

  it("goes together with others on other topics and types, each event to its own", async () => {
    const users = noting();
    const bills = noting(z.object({ total: z.number() }), "bills");
    const seen: string[] = [];
    const orders = eventTranslator({
      topic: ["orders", "bills"],
      events: { made: { schema: z.object({}), consume: ({ topic }) => void seen.push(topic) } },
    });
    await using all = await stage({}, { translators: [users.translator, orders, bills.translator] });
    assert.deepEqual([...all.member.request.topics].sort(), ["bills", "orders"]);
    all.member.sink.assigned([at("bills")]);
    all.deliver(0, [
      ["1", 0, upserted({ name: "ann" })],
      ["2", 1],
    ]);
    all.member.sink.records(at("bills"), [
      record(0, { topic: "bills", key: "3", ...upserted({ total: 5 }) }),
      record(1, { topic: "bills", key: "4", ...deleted() }),
      record(2, { topic: "bills", key: "5" }),
    ]);
    await until("all", () => all.member.acknowledged.length === 5);
    assert.deepEqual(users.calls, [["changed", "1", { name: "ann" }]]);
    assert.deepEqual(
      bills.calls.sort(([, a], [, b]) => Number(a) - Number(b)),
      [
        ["changed", "3", { total: 5 }],
        ["deleted", "4"],
      ],
    );
    assert.deepEqual(seen.sort(), ["bills", "orders"]);
  });

  it("clashes with another of its topic, and with whoever claims one of its types, in any order", async () => {
    await using service = await openSubscriber(new FakeSubscriberDriver());
    const dao = noting().translator;
    for (const type of ["upserted", "deleted"]) {
      const other = { topics: ["orders"], types: [type], consume: () => undefined };
      for (const pair of [
        [dao, other],
        [other, dao],
        [dao, noting().translator],
      ]) {
        assert.throws(
          () => service.api.subscribe(pair),
          (error) => isHexkitError(error, "ERR_HEXKIT_TRANSLATOR_CLASH"),
        );
      }
    }
    await turns();
  });
});
