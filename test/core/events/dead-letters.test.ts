import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { isHexkitError, newCorrelationId, type OutgoingRecord, type SubscriberSettings } from "../../../core/index.ts";
import { at, busy, denied, FakePublisherDriver, type RawParts, record, type Send, tooLarge, turns, until } from "./bench.ts";
import { Handlers, logged, onStage, type Stage, stage } from "./stage.ts";

const uuid4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const ascii = /^[\x20-\x7e\n]*$/;
type Headers = Record<string, string>;
const headersOf = (letter: OutgoingRecord): Headers => Object.fromEntries(letter.headers);

/** A stage that dead-letters, with a broker that takes everything. */
async function deadStage(settings: Partial<SubscriberSettings> = {}, publisher = FakePublisherDriver.obliging(), secret?: string) {
  const all = await stage({ deadLetter: true, ...settings }, { publisher, ...(secret && { secret }) });
  return Object.assign(all, { publisher, letters: (): OutgoingRecord[] => publisher.sends.flatMap(({ records }) => records) });
}

/** The dead letter of one record whose handler throws, or that cannot be decoded. */
async function letterOf(parts: RawParts, error: unknown = new Error("odd"), secret?: string): Promise<OutgoingRecord> {
  await using all = await deadStage({}, undefined, secret);
  all.deliver(0, [["a", 4, parts]]);
  await turns();
  if (all.handlers.running[0] !== undefined) await all.handlers.fail(all.handlers.running[0], error);
  await until("the dead letter", () => all.member.acknowledged.length === 1);
  const [letter] = all.letters();
  return letter as OutgoingRecord;
}

describe("a dead letter", () => {
  it("has exactly the headers of the contract, then ours, and the event's topic, key, type, payload and correlation id", async () => {
    const [event_id, correlation_id] = [randomUUID(), newCorrelationId()];
    class OrderError extends Error {}
    const letter = await letterOf({ headers: { event_id, correlation_id } }, new OrderError("no such order"));
    assert.deepEqual([letter.topic, letter.key, letter.value], ["shop-dlq", "a", '{"n":4}']);
    assert.deepEqual(
      letter.headers.map(([name]) => name),
      [
        ..."type event_id correlation_id exc_class exc_msg original_topic original_event_id service".split(" "),
        ..."exc_stack attempts failed_at original_partition original_offset original_timestamp first_event_id redrives".split(" "),
      ],
    );
    const { event_id: own, exc_stack, failed_at, ...rest } = headersOf(letter);
    assert.match(own as string, uuid4);
    assert.notEqual(own, event_id);
    assert.match(exc_stack as string, /^Error: no such order\n +at .*dead-letters\.test/);
    assert.ok(Math.abs(Date.parse(failed_at as string) - Date.now()) < 60_000);
    assert.deepEqual(rest, {
      type: "made",
      correlation_id,
      exc_class: "OrderError",
      exc_msg: "no such order",
      original_topic: "orders",
      original_event_id: event_id,
      service: "shop",
      attempts: "1",
      original_partition: "0",
      original_offset: "4",
      original_timestamp: "2023-11-14T22:13:20.004Z",
      first_event_id: event_id,
      redrives: "0",
    });
  });

  it("keeps all other headers in their order, repeated and null ones and the trace among them, wherever the reserved ones stand", async () => {
    const bytes = (text: string): Uint8Array => Buffer.from(text);
    const letter = await letterOf({
      rawHeaders: [
        ["traceparent", bytes("00-1-2-01")],
        ["correlation_id", bytes(newCorrelationId())],
        ["baggage", bytes("a=1")],
        ["none", null],
        ["event_id", bytes(randomUUID())],
        ["baggage", bytes("b=2")],
        ["type", bytes("other")],
        ["größe", bytes("groß")],
        ["type", bytes("made")],
        ["odd", Uint8Array.of(0xff)],
      ],
    });
    assert.deepEqual(letter.headers.slice(0, 6), [
      ["traceparent", "00-1-2-01"],
      ["baggage", "a=1"],
      ["none", ""],
      ["baggage", "b=2"],
      ["gr\\u00f6\\u00dfe", "gro\\u00df"],
      ["odd", "\\ufffd"],
    ]);
    assert.equal(letter.headers.filter(([name]) => name === "type").length, 1);
    assert.equal(headersOf(letter).type, "made");
  });

  it("takes headers that look like ours for foreign ones, unless they come from the retry topic", async () => {
    const headers = {
      attempts: "7",
      redrives: "9",
      first_event_id: "x",
      undecodable: "x",
      service: "x",
      original_offset: "x",
      exc_msg: "x",
    };
    const letter = headersOf(await letterOf({ headers }));
    assert.deepEqual(
      [letter.attempts, letter.redrives, letter.undecodable, letter.service, letter.original_offset, letter.exc_msg],
      ["1", "0", undefined, "shop", "4", "odd"],
    );
    assert.equal(letter.first_event_id, letter.original_event_id);
  });

  it("is ASCII throughout", async () => {
    const error = new Error("Größe ✗ 𝄞");
    error.stack = "Größe\n  bei ü";
    const letter = await letterOf({ key: "kü", value: '{"n":1,"text":"grün 𝄞"}', headers: { note: "ü" } }, error);
    for (const text of [letter.key, letter.value, ...letter.headers.flat()]) assert.match(text, ascii);
    const { exc_msg, exc_stack, note } = headersOf(letter);
    assert.equal(exc_msg, "Gr\\u00f6\\u00dfe \\u2717 \\ud834\\udd1e");
    assert.equal(exc_stack, "Gr\\u00f6\\u00dfe\n  bei \\u00fc");
    assert.equal(note, "\\u00fc");
    assert.deepEqual(JSON.parse(letter.value), { n: 1, text: "grün 𝄞" });
    assert.equal(letter.key, "k\\u00fc");
  });

  it("keeps the payload as it was written, to the last digit", async () => {
    const value = '{ "n": 12345678901234567890, "f": 1.0 }';
    await using all = await deadStage();
    all.deliver(0, [["a", 0, { value }]]);
    await turns();
    await all.handlers.fail(all.handlers.running[0] as string, new Error("odd"));
    assert.equal(all.letters()[0]?.value, value);
  });

  it("holds no secret, and no more than 2,000 characters of message and 8,000 of stack", async () => {
    const secret = "s3cr3t-pass";
    const error = new Error(`denied for ${secret} ${"m".repeat(3_000)}`);
    error.stack = `at ${secret} ${"s".repeat(9_000)}`;
    const { exc_msg = "", exc_stack = "" } = headersOf(await letterOf({}, error, secret));
    assert.match(exc_msg, /^denied for \[secret\] mmm/);
    assert.match(exc_stack, /^at \[secret\] sss/);
    assert.deepEqual([exc_msg.length, exc_stack.length], [2_000, 8_000]);
  });

  const strange: [what: string, thrown: unknown, type: string, message: string][] = [
    ["text", "words", "string", "words"],
    ["nothing", null, "object", "null"],
    ["an object without a text", Object.create(null), "object", "a thrown object"],
    ["a symbol", Symbol("s"), "symbol", "Symbol(s)"],
    ["an error whose parts are no text", Object.assign(new Error("x"), { message: 5, stack: { no: "text" } }), "Error", "5"],
    [
      "an error without a class",
      Object.setPrototypeOf(new Error("x"), Object.create(Error.prototype, { constructor: { value: undefined } })),
      "Error",
      "x",
    ],
  ];
  for (const [what, thrown, type, message] of strange) {
    it(`stands ${what} that was thrown`, async () => {
      const { exc_class, exc_msg } = headersOf(await letterOf({}, thrown));
      assert.deepEqual([exc_class, exc_msg], [type, message]);
    });
  }

  it("tells of the first attempt and counts them all", async () => {
    const publisher = FakePublisherDriver.obliging();
    await onStage({ deadLetter: true, maxRetries: 2, retryDelayMs: 1, maxRetryDelayMs: 1 }, { publisher }, async (all, tick) => {
      all.deliver(0, [["a", 0]]);
      for (const message of ["first", "second", "third"]) {
        await tick(1);
        await all.handlers.fail("a0", new Error(message));
      }
      const { exc_msg, attempts } = headersOf(publisher.sends[0]?.records[0] as OutgoingRecord);
      assert.deepEqual([exc_msg, attempts], ["first", "3"]);
      const { retried, failed, deadLettered, handled, skipped } = all.subscription.stats();
      assert.deepEqual(
        { retried, failed, deadLettered, handled, skipped },
        { retried: 2, failed: 1, deadLettered: 1, handled: 0, skipped: 0 },
      );
    });
  });

  it("stands a time that is none", async () => {
    await using all = await deadStage();
    all.member.sink.records(at("orders"), [{ ...record(0, { key: "a" }), timestampMs: 1e17 }]);
    await turns();
    await all.handlers.fail("a0", new Error("odd"));
    assert.equal(headersOf(all.letters()[0] as OutgoingRecord).original_timestamp, "");
  });
});

describe("the dead letter of a record that cannot be decoded", () => {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const kinds: [what: string, parts: RawParts, reason: RegExp, key: string, raw: { raw_key: string | null; raw_value: string | null }][] = [
    ["a null key", { key: null }, /^its key is null$/, "", { raw_key: null, raw_value: base64('{"n":4}') }],
    ["a null value", { value: null }, /^its value is null$/, "a", { raw_key: base64("a"), raw_value: null }],
    ["both null", { key: null, value: null }, /key is null/, "", { raw_key: null, raw_value: null }],
    ["bytes that are no text", { value: Uint8Array.of(0xff, 0) }, /not UTF-8 text/, "a", { raw_key: base64("a"), raw_value: "/wA=" }],
    ["a key that is no text", { key: Uint8Array.of(0xff) }, /not UTF-8 text/, "", { raw_key: "/w==", raw_value: base64('{"n":4}') }],
    ["bad JSON", { value: "{ü" }, /^its value is not JSON: /, "a", { raw_key: base64("a"), raw_value: base64("{ü") }],
    [
      "a bad correlation id",
      { headers: { correlation_id: "x" } },
      /^correlation_id "x" is not/,
      "a",
      { raw_key: base64("a"), raw_value: base64('{"n":4}') },
    ],
  ];
  for (const [what, parts, reason, key, raw] of kinds) {
    it(`is ASCII JSON with the bytes, and says why: ${what}`, async () => {
      const letter = await letterOf(parts);
      assert.deepEqual(JSON.parse(letter.value), raw);
      assert.equal(letter.key, key);
      const { undecodable, correlation_id, type, exc_class, exc_msg, original_topic, attempts, original_event_id } = headersOf(letter);
      assert.match(undecodable as string, reason);
      assert.match(correlation_id as string, uuid4);
      assert.deepEqual([type, exc_class, original_topic, attempts], ["made", "HexkitError", "orders", "1"]);
      assert.match(exc_msg as string, /record at topic "orders", partition 0, offset 4 cannot be decoded/);
      assert.match(original_event_id as string, uuid4);
      for (const text of [letter.key, letter.value, ...letter.headers.flat()]) assert.match(text, ascii);
    });
  }

  it("keeps long garbage out of its headers", async () => {
    const letter = headersOf(await letterOf({ headers: { correlation_id: "x".repeat(5_000), event_id: "y".repeat(5_000) } }));
    assert.ok((letter.undecodable as string).length < 200);
    assert.equal((letter.original_event_id as string).length, 1_000);
  });

  it("counts, and is not retried", async () => {
    await using all = await deadStage({ maxRetries: 5 });
    all.deliver(0, [["a", 0, { value: null }]]);
    await turns();
    const { failed, deadLettered, retried, ignored } = all.subscription.stats();
    assert.deepEqual({ failed, deadLettered, retried, ignored }, { failed: 1, deadLettered: 1, retried: 0, ignored: 0 });
    assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
    assert.deepEqual(logged(all.lines, "error"), ["an event failed and went to the dead letters"]);
  });
});

describe("a dead letter that is too large", () => {
  const refusing = (most: number): FakePublisherDriver => {
    const driver = new FakePublisherDriver();
    const size = ({ key, value, headers }: OutgoingRecord): number => key.length + value.length + headers.flat().join("").length;
    driver.onSend = (send: Send) => send.answer(...send.records.map((each) => (size(each) > most ? tooLarge() : undefined)));
    return driver;
  };
  const stored = (publisher: FakePublisherDriver): Headers => headersOf(publisher.sends.at(-1)?.records[0] as OutgoingRecord);
  async function failWith(publisher: FakePublisherDriver, parts: RawParts, error: Error): Promise<Stage> {
    const all = await deadStage({}, publisher);
    all.deliver(0, [["a", 4, parts]]);
    await turns();
    await all.handlers.fail(all.handlers.running[0] as string, error);
    await until("the end of it", () => all.member.acknowledged.length === 1 || all.subscription.state === "failed");
    return all;
  }
  const long = (): Error => Object.assign(new Error("m".repeat(1_500)), { stack: "s".repeat(5_000) });

  it("is written without its stack and with less of the message", async () => {
    const publisher = refusing(3_000);
    await using all = await failWith(publisher, { headers: { note: "kept" } }, long());
    assert.deepEqual(all.member.acknowledged, ["orders/0@4"]);
    const { exc_msg, exc_stack, note, undecodable } = stored(publisher);
    assert.deepEqual([exc_msg?.length, exc_stack, note, undecodable], [500, "", "kept", undefined]);
    assert.equal(publisher.sends.length, 2);
  });

  it("is written without content and foreign headers if nothing else helps, and says where these are", async () => {
    const publisher = refusing(3_000);
    const key = "k".repeat(2_000);
    await using all = await failWith(publisher, { key, headers: { note: "n".repeat(3_000) } }, long());
    assert.deepEqual(all.member.acknowledged, ["orders/0@4"]);
    const letter = publisher.sends.at(-1)?.records[0] as OutgoingRecord;
    assert.deepEqual(JSON.parse(letter.value), { raw_key: null, raw_value: null });
    assert.equal(letter.key, "k".repeat(1_000));
    const { note, undecodable, type, exc_msg } = headersOf(letter);
    assert.deepEqual([note, type, exc_msg?.length], [undefined, "made", 500]);
    assert.equal(undecodable, 'it was too large for a dead letter; it lies at topic "orders", partition 0, offset 4');
    assert.equal(publisher.sends.length, 3);
  });

  it("keeps a short key as bytes then", async () => {
    const publisher = refusing(3_000);
    await using _all = await failWith(publisher, { headers: { note: "n".repeat(3_000) } }, long());
    assert.deepEqual(JSON.parse(publisher.sends.at(-1)?.records[0]?.value as string), { raw_key: "YQ==", raw_value: null });
  });

  it("is not even sent with more content than the provider takes", async () => {
    const publisher = FakePublisherDriver.obliging();
    publisher.maxRecordBytes = 100;
    await using _all = await failWith(publisher, { value: JSON.stringify({ n: 1, text: "ü".repeat(60) }) }, long());
    assert.equal(publisher.sends.length, 1);
    assert.match(stored(publisher).undecodable as string, /too large/);
    const exact = FakePublisherDriver.obliging();
    exact.maxRecordBytes = 1 + '{"n":4}'.length;
    await using _other = await failWith(exact, {}, new Error("odd"));
    assert.equal(stored(exact).undecodable, undefined);
  });

  it("fails the subscription if it does not fit in any form", async () => {
    const publisher = refusing(10);
    await using all = await failWith(publisher, {}, long());
    await assert.rejects(all.subscription.done, /its dead letter could not be written to "shop-dlq": .*too many bytes/);
    assert.deepEqual(all.member.acknowledged, []);
    assert.equal(publisher.sends.length, 3);
  });

  it("does not make others of its key smaller or fail", async () => {
    const publisher = refusing(3_000);
    await using all = await deadStage({}, publisher);
    const parts = { key: null, headers: { note: "n".repeat(4_000) } };
    all.deliver(0, [
      ["a", 0, parts],
      ["b", 1, { value: "" }],
    ]);
    all.member.sink.assigned([at("orders", 1)]);
    all.deliver(1, [["x", 0, { key: null }]]);
    await until("all of them", () => all.member.acknowledged.length === 3);
    assert.equal(all.subscription.state, "running");
    const letters = publisher.sends.flatMap(({ records }) => records).map(headersOf);
    assert.equal(letters.find(({ original_partition }) => original_partition === "1")?.undecodable, "its key is null");
    assert.equal(letters.filter(({ original_partition }) => original_partition === "1").length, 1);
    assert.equal(all.subscription.stats().deadLettered, 3);
  });
});

describe("writing dead letters", () => {
  it("acknowledges the event only once its dead letter is stored, and holds its key so long", async () => {
    await using all = await deadStage({}, new FakePublisherDriver());
    all.deliver(0, "a0 a1 b2");
    await turns();
    await all.handlers.fail("a0", new Error("odd"));
    const send = await all.publisher.next();
    assert.deepEqual(all.member.acknowledged, []);
    assert.deepEqual(all.handlers.running, ["b2"]);
    assert.equal(all.subscription.stats().deadLettered, 0);
    send.answer();
    await turns();
    assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
    assert.deepEqual(all.handlers.running, ["b2", "a1"]);
    assert.equal(all.subscription.stats().deadLettered, 1);
    const line = all.lines.find(({ level }) => level === "error");
    assert.deepEqual(line?.fields.details, { topic: "orders", partition: 0, offset: 0, deadLetterTopic: "shop-dlq" });
    await all.handlers.end("a1", "b2");
  });

  it("tries again while the broker is away", async () => {
    let failures = 2;
    const publisher = new FakePublisherDriver();
    publisher.onSend = (send) => (failures-- > 0 ? send.fail(busy()) : send.answer());
    await onStage({ deadLetter: true }, { publisher }, async (all, tick) => {
      all.deliver(0, [["a", 0]]);
      await turns();
      await all.handlers.fail("a0", new Error("odd"));
      for (let round = 0; round < 20; round += 1) await tick(500);
      assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
      assert.equal(publisher.sends.length, 3);
    });
  });

  it("fails the subscription when the broker stays away for 30 s; nothing is acknowledged", async () => {
    const publisher = new FakePublisherDriver();
    publisher.onSend = (send) => send.fail(busy());
    await onStage({ deadLetter: true }, { publisher }, async (all, tick) => {
      all.deliver(0, "a0 a1");
      await turns();
      await all.handlers.fail("a0", new Error("odd"));
      for (let second = 0; second < 29; second += 1) await tick(1_000);
      assert.equal(all.subscription.state, "running");
      for (let second = 0; second < 9; second += 1) await tick(1_000);
      await assert.rejects(all.subscription.done, (error) => {
        assert.ok(isHexkitError(error, "ERR_HEXKIT_EVENT_FAILED"));
        return /failed: odd; and its dead letter could not be written to "shop-dlq": .*not acknowledged within 30000 ms/.test(
          error.message,
        );
      });
      assert.deepEqual(all.member.acknowledged, []);
      assert.deepEqual(all.handlers.begun, ["a0"]);
      const { failed, deadLettered } = all.subscription.stats();
      assert.deepEqual({ failed, deadLettered }, { failed: 1, deadLettered: 0 });
    });
  });

  it("fails the subscription at once when the broker refuses for good, of a record that cannot be decoded too", async () => {
    for (const parts of [{}, { value: null }]) {
      const publisher = new FakePublisherDriver();
      publisher.onSend = (send) => send.fail(denied());
      await using all = await deadStage({}, publisher);
      all.deliver(0, [
        ["a", 0, parts],
        ["b", 1],
      ]);
      await turns();
      if (all.handlers.running.includes("a0")) await all.handlers.fail("a0", new Error("odd"));
      await until("the end", () => all.subscription.state === "stopping");
      await all.handlers.end("b1");
      await assert.rejects(all.subscription.done, /could not be written to "shop-dlq": .*not you/);
      assert.deepEqual(all.member.acknowledged, ["orders/0@1"]);
    }
  });

  it("writes nothing for what was cancelled: failures while draining are delivered again", async () => {
    await using all = await deadStage();
    all.deliver(0, "a0 b1");
    await turns();
    const stopped = all.subscription.stop();
    await all.handlers.fail("a0", new Error("cancelled"));
    await all.handlers.end("b1");
    await stopped;
    assert.deepEqual(all.letters(), []);
    assert.deepEqual(all.member.acknowledged, ["orders/0@1"]);
    const { failed, deadLettered } = all.subscription.stats();
    assert.deepEqual({ failed, deadLettered }, { failed: 0, deadLettered: 0 });
  });

  it("waits for a dead letter under way when it stops, and then acknowledges", async () => {
    await using all = await deadStage({}, new FakePublisherDriver());
    all.deliver(0, [["a", 0]]);
    await turns();
    await all.handlers.fail("a0", new Error("odd"));
    const send = await all.publisher.next();
    const stopped = all.subscription.stop();
    await turns();
    assert.equal(all.subscription.state, "stopping");
    send.answer();
    await stopped;
    assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
  });

  it("gives up a dead letter when the partition is gone, without failing; one behind it is not sent at all", async () => {
    const publisher = new FakePublisherDriver();
    await using all = await deadStage({}, publisher);
    all.member.sink.assigned([at("orders", 1)]);
    all.deliver(0, [
      ["a", 0],
      ["x", 1, { key: null }],
    ]);
    all.deliver(1, [["x", 2, { key: null }]]);
    await turns();
    await all.handlers.fail("a0", new Error("odd"));
    await all.member.sink.revoked([at("orders", 0), at("orders", 1)], { lost: true });
    await turns();
    assert.equal(all.subscription.state, "running");
    assert.deepEqual(all.subscription.stats().failed, 0);
    assert.deepEqual(logged(all.lines, "error"), []);
    for (const send of publisher.sends) send.answer();
    await turns(20);
    const sent = publisher.sends.flatMap(({ records }) => records.map(({ headers }) => Object.fromEntries(headers).original_offset));
    assert.deepEqual(sent, ["1"], "a0 waited behind it, and the one of partition 1 for its key");
  });
});

describe("the topic of dead letters", () => {
  it("is a given one, and goes with the retry topic; without dead letters there is neither", async () => {
    for (const [deadLetter, topics] of [
      [true, ["orders", "retry-shop"]],
      ["lost", ["orders", "retry-shop"]],
      [false, ["orders"]],
    ] as const) {
      await using all = await deadStage({ deadLetter, onFailure: "skip" });
      assert.deepEqual(all.member.request.topics, topics);
      assert.deepEqual(all.subscription.topics, topics);
      all.deliver(0, [["a", 0]]);
      await turns();
      await all.handlers.fail("a0", new Error("odd"));
      await turns();
      assert.deepEqual(
        all.letters().map(({ topic }) => topic),
        deadLetter === false ? [] : [deadLetter === true ? "shop-dlq" : "lost"],
      );
    }
  });

  it("is subscribed once if a translator names the retry topic", async () => {
    await using all = await stage(
      { deadLetter: true },
      { publisher: FakePublisherDriver.obliging(), handlers: new Handlers(["orders", "retry-shop"]) },
    );
    assert.deepEqual(all.member.request.topics, ["orders", "retry-shop"]);
  });
});

describe("the retry topic", () => {
  const retry = (offset: number, headers: Record<string, string | undefined>, key = "a") =>
    record(offset, { topic: "retry-shop", key, headers: { original_topic: "orders", ...headers } });

  it("hands an event to the translator of its original topic, as if it came from there", async () => {
    const handlers = new Handlers();
    const seen: unknown[] = [];
    handlers.consume = async ({ topic, headers }) => void seen.push([topic, headers.original_topic, headers.tenant]);
    await using all = await stage({ deadLetter: true }, { publisher: FakePublisherDriver.obliging(), handlers });
    all.member.sink.assigned([at("retry-shop")]);
    all.member.sink.records(at("retry-shop"), [retry(0, { tenant: "blue" })]);
    await turns();
    assert.deepEqual(seen, [["orders", undefined, "blue"]]);
    assert.deepEqual(all.member.acknowledged, ["retry-shop/0@0"]);
  });

  it("is passed over where the original topic is missing, empty, itself, or nobody's", async () => {
    await using all = await deadStage();
    all.member.sink.assigned([at("retry-shop")]);
    const origins = [undefined, "", "retry-shop", "bills"];
    all.member.sink.records(
      at("retry-shop"),
      origins.map((original_topic, offset) => retry(offset, { original_topic })),
    );
    await turns();
    assert.deepEqual(all.handlers.begun, []);
    assert.equal(all.subscription.stats().ignored, 4);
    assert.equal(all.member.acknowledged.length, 4);
    assert.deepEqual(all.letters(), []);
  });

  it("does not go round in circles, even if a translator claims it", async () => {
    await using all = await stage(
      { deadLetter: true },
      { publisher: FakePublisherDriver.obliging(), handlers: new Handlers(["retry-shop"]) },
    );
    all.member.sink.assigned([at("retry-shop")]);
    all.member.sink.records(at("retry-shop"), [retry(0, { original_topic: "retry-shop" })]);
    await turns();
    assert.deepEqual(all.handlers.begun, []);
    assert.deepEqual(all.member.acknowledged, ["retry-shop/0@0"]);
  });

  it("leads to a new dead letter that adds up attempts, and keeps the first id, the redrives and the place", async () => {
    await using all = await deadStage();
    all.member.sink.assigned([at("retry-shop", 2)]);
    const event_id = randomUUID();
    const place = { original_partition: "5", original_offset: "77", original_timestamp: "2020-01-01T00:00:00.000Z" };
    const carried = { event_id, first_event_id: "first", attempts: "4", redrives: "2", ...place };
    all.member.sink.records(at("retry-shop", 2), [{ ...retry(9, carried), partition: 2 }]);
    await turns();
    await all.handlers.fail("a9", new Error("odd"));
    const letter = headersOf(all.letters()[0] as OutgoingRecord);
    for (const [name, value] of Object.entries({ ...place, first_event_id: "first", attempts: "5", redrives: "2" }))
      assert.equal(letter[name], value, name);
    assert.deepEqual([letter.original_topic, letter.original_event_id], ["orders", event_id]);
  });

  it("stands an event that somebody else sent back", async () => {
    await using all = await deadStage();
    all.member.sink.assigned([at("retry-shop")]);
    const event_id = randomUUID();
    all.member.sink.records(at("retry-shop"), [retry(0, { event_id, attempts: "many", redrives: "-1" }), retry(1, { attempts: "" }, "b")]);
    await turns();
    await all.handlers.fail("a0", new Error("odd"));
    await all.handlers.fail("b1", new Error("odd"));
    const letter = headersOf(all.letters()[0] as OutgoingRecord);
    assert.deepEqual(
      [letter.first_event_id, letter.attempts, letter.redrives, letter.original_topic, letter.original_offset],
      [event_id, "1", "0", "orders", undefined],
    );
  });

  it("counts undecodable records as those of their original topic", async () => {
    await using all = await deadStage();
    all.member.sink.assigned([at("retry-shop")]);
    all.member.sink.records(at("retry-shop"), [{ ...retry(0, { attempts: "2" }), value: null }]);
    await turns();
    const letter = headersOf(all.letters()[0] as OutgoingRecord);
    assert.deepEqual([letter.original_topic, letter.attempts, letter.undecodable], ["orders", "3", "its value is null"]);
  });
});
