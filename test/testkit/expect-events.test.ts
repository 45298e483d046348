import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { type ExpectedEvent, expectEvents, type RecordedEvent } from "hexkit/testkit";

let offset = 0;

/** An event as if it had been recorded, each behind the one made before. */
function came(type: string, key: string, payload: unknown, facts: Partial<RecordedEvent> = {}): RecordedEvent {
  offset += 1;
  return {
    topic: "results",
    type,
    key,
    payload,
    eventId: randomUUID(),
    headers: undefined,
    partition: 0,
    offset,
    timestamp: new Date(),
    ...facts,
  };
}

/** What the failure says, line by line. */
function failure(events: readonly RecordedEvent[], expected: readonly ExpectedEvent[], options?: { inOrder?: boolean }): string[] {
  try {
    expectEvents(events, expected, options);
  } catch (error) {
    assert.equal((error as Error).name, "AssertionError");
    return (error as Error).message.split("\n");
  }
  return assert.fail("it should have failed");
}

describe("testkit: expectEvents", () => {
  it("takes exactly the events that came", () => {
    const events = [came("a", "k", { n: 1 }), came("b", "k", { n: 2 })];
    expectEvents(events, [
      { type: "a", payload: { n: 1 } },
      { type: "b", payload: { n: 2 }, key: "k" },
    ]);
    expectEvents([], []);
  });

  it("compares a payload as it is after JSON", () => {
    const at = new Date("2026-11-24T10:00:00Z");
    const events = [came("a", "k", { at: "2026-11-24T10:00:00.000Z", list: [1, null], deep: { b: 2, a: 1 } })];
    expectEvents(events, [{ type: "a", payload: { at, gone: undefined, list: [1, undefined], deep: { a: 1, b: 2 } } }]);
    failure(events, [{ type: "a", payload: { at, list: [null, 1], deep: { a: 1, b: 2 } } }]);
    failure(events, [{ type: "a", payload: { at, list: [1, null] } }]);
    failure(events, [{ type: "a", payload: { at, list: [1], deep: { a: 1, b: 2 } } }]);
    failure(events, [{ type: "a", payload: { at, list: { 0: 1, 1: null }, deep: { a: 1, b: 2 } } }]);
    assert.throws(() => expectEvents(events, [{ type: "a", payload: { n: 1n } }]), { code: "ERR_HEXKIT_PAYLOAD_INVALID" });
  });

  it("does not compare what is left out or null, and all else", () => {
    const events = [came("a", "k", {}, { eventId: "e1" })];
    expectEvents(events, [{ type: "a", payload: {}, key: null, eventId: null, topic: null, headers: null }]);
    expectEvents(events, [{ type: "a", payload: {}, key: "k", eventId: "e1", topic: "results" }]);
    const differing: readonly Partial<ExpectedEvent>[] = [
      { key: "" },
      { eventId: "e2" },
      { topic: "other" },
      { type: "b" },
      { payload: null },
    ];
    for (const facts of differing) failure(events, [{ type: "a", payload: {}, ...facts }]);
  });

  it("finds expected headers among those that came, and fails where none were captured", () => {
    const captured = came("a", "k", {}, { headers: { correlation_id: "c1", tenant: "t" } });
    expectEvents([captured], [{ type: "a", payload: {}, headers: { tenant: "t" } }]);
    expectEvents([captured], [{ type: "a", payload: {}, headers: {} }]);
    const lines = failure([captured], [{ type: "a", payload: {}, headers: { tenant: "u", region: "eu" } }]).join("\n");
    assert.match(lines, /differs +headers\.tenant: "u" was expected, "t" came/);
    assert.match(lines, /differs +headers\.region: "eu" was expected, nothing came/);
    assert.match(
      failure([came("a", "k", {})], [{ type: "a", payload: {}, headers: {} }]).join("\n"),
      /differs +headers: they were not captured; record with \{ captureHeaders: true \}/,
    );
  });

  it("wants the events of a key in order, and lets those of other keys lie in between", () => {
    const events = [came("a", "x", { n: 1 }), came("a", "y", { n: 1 }), came("a", "x", { n: 2 }), came("a", "y", { n: 2 })];
    const of = (key: string, n: number): ExpectedEvent => ({ type: "a", key, payload: { n } });
    expectEvents(events, [of("x", 1), of("x", 2), of("y", 1), of("y", 2)]);
    expectEvents(events, [of("y", 1), of("x", 1), of("y", 2), of("x", 2)]);
    const lines = failure(events, [of("x", 2), of("x", 1), of("y", 1), of("y", 2)]).join("\n");
    assert.match(lines, /^> 2 {2}expected +a, key "x", payload \{"n":1\}$/m);
    assert.match(lines, /differs +order: with key "x" it came before number 1/);
  });

  it("tells topics apart that use the same key", () => {
    const events = [came("a", "k", { n: 1 }, { topic: "one" }), came("a", "k", { n: 2 }, { topic: "two" })];
    expectEvents(events, [
      { type: "a", payload: { n: 2 } },
      { type: "a", payload: { n: 1 } },
    ]);
    const lines = failure(events, [
      { type: "a", payload: { n: 2 }, topic: "one" },
      { type: "a", payload: { n: 1 }, topic: "one" },
    ]).join("\n");
    assert.match(lines, /differs +topic: "one" was expected, "two" came/);
  });

  it("finds the way to match events without a key, if there is one", () => {
    const events = [came("a", "x", {}), came("b", "x", {}), came("a", "y", {}), came("c", "y", {})];
    // The first `a` may be of either key; only one choice lets the rest fit.
    expectEvents(
      events,
      ["a", "c", "a", "b"].map((type) => ({ type, payload: {} })),
    );
    expectEvents(
      events,
      ["a", "b", "a", "c"].map((type) => ({ type, payload: {} })),
    );
    failure(
      events,
      ["b", "a", "a", "c"].map((type) => ({ type, payload: {} })),
    );
  });

  it("gives up on many events that are alike in bounded time", () => {
    const events = Array.from({ length: 40 }, (_, index) => came("a", `k${index % 20}`, {}));
    const expected: ExpectedEvent[] = Array.from({ length: 39 }, () => ({ type: "a", payload: {} }));
    expectEvents(events, [...expected, { type: "a", payload: {} }]);
    assert.match(failure(events, [...expected, { type: "b", payload: {} }])[0] ?? "", /40 events were expected, 40 came/);
  });

  it("with inOrder wants the whole order, which only one partition has", () => {
    const events = [came("a", "x", {}), came("b", "y", {})];
    const expected = [
      { type: "a", payload: {} },
      { type: "b", payload: {} },
    ];
    expectEvents(events, expected, { inOrder: true });
    assert.match(failure(events, expected.toReversed(), { inOrder: true }).join("\n"), /^> 1 {2}expected +b, payload/m);
    const spread = [came("a", "x", {}), came("b", "y", {}, { partition: 1 })];
    assert.match(failure(spread, expected, { inOrder: true })[0] ?? "", /the events lie in 2 partitions \(results\/0, results\/1\)/);
    expectEvents(spread, expected.toReversed());
  });

  it("shows what was expected beside what came, and marks the first difference", () => {
    const lines = failure(
      [came("success", "m1", { result: 42, by: { name: "a" } }), came("success", "m2", { result: 43 }), came("extra", "m9", {})],
      [
        { type: "success", key: "m1", payload: { result: 42, by: { name: "a" } } },
        { type: "success", key: "m2", payload: { result: 44, note: "x y" } },
        { type: "failure", key: "m3", payload: {} },
      ],
    );
    assert.deepEqual(lines, [
      "expectEvents: 3 events were expected, 3 came; > marks the first difference",
      '  1  as expected  success, key "m1", payload {"result":42,"by":{"name":"a"}}',
      '> 2  expected     success, key "m2", payload {"result":44,"note":"x y"}',
      '     came         success, key "m2", payload {"result":43}',
      "     differs      payload.result: 44 was expected, 43 came",
      '     differs      payload.note: "x y" was expected, nothing came',
      '! 3  expected     failure, key "m3", payload {}',
      "     came         nothing",
      "     differs      it did not come",
      "! 4  expected     nothing",
      '     came         extra, key "m9", payload {}',
      "     differs      it was not expected",
    ]);
  });

  it("says which of too few or too many there are", () => {
    const event = { type: "a", payload: {} };
    assert.match(failure([], [event])[0] ?? "", /1 event was expected, 0 came/);
    assert.match(failure([came("a", "k", {}), came("a", "k", {})], [event])[0] ?? "", /1 event was expected, 2 came/);
  });

  it("cuts long payloads, not the differences", () => {
    const long = "x".repeat(5_000);
    const lines = failure([came("a", "k", { long, n: 1 })], [{ type: "a", payload: { long, n: 2 } }]).join("\n");
    assert.ok(lines.length < 2_000, `it is ${lines.length} characters long`);
    assert.match(lines, /payload\.n: 2 was expected, 1 came/);
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`n${n}`, n]));
    assert.match(failure([came("a", "k", {})], [{ type: "a", payload: many }]).join("\n"), /differs +and 30 more/);
  });

  it("refuses arguments that it cannot make sense of", () => {
    assert.throws(() => (expectEvents as (...args: unknown[]) => unknown)({}, "topic", []), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
  });
});
