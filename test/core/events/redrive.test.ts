import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import {
  currentCorrelationId,
  type DeadLetter,
  type DeadLetterContext,
  HexkitError,
  isHexkitError,
  newCorrelationId,
  type OutgoingRecord,
  type RedriveChanges,
  type SubscriberSettings,
  withNewCorrelationId,
} from "../../../core/index.ts";
import { at, FakePublisherDriver, FakeSubscriberDriver, openSubscriber, type RawParts, record, tooLarge, turns, until } from "./bench.ts";

const headersOf = (sent: OutgoingRecord): Record<string, string> => Object.fromEntries(sent.headers);

type Handler = (letter: DeadLetter, context: DeadLetterContext) => void | Promise<void>;

/** Sends each letter back, and writes down what became of it. */
const redriveInto =
  (ended: unknown[]): Handler =>
  (_, { redrive }) =>
    redrive().then(
      () => void ended.push("stored"),
      (error) => void ended.push(error.code),
    );

async function reading(handler: Handler, settings: Partial<SubscriberSettings> = {}, publisher = FakePublisherDriver.obliging()) {
  const driver = new FakeSubscriberDriver();
  const service = await openSubscriber(driver, { publisher });
  const subscription = service.api.subscribeDeadLetters(handler, { commitEvery: 1, ...settings });
  const member = await driver.member();
  const topic = member.request.topics[0] as string;
  member.sink.assigned([at(topic)]);
  return {
    ...service,
    driver,
    member,
    publisher,
    subscription,
    sent: (): OutgoingRecord[] => publisher.sends.flatMap(({ records }) => records),
    deliver: (...parts: RawParts[]) =>
      member.sink.records(
        at(topic),
        parts.map((each, offset) => record(offset, { topic, key: "k", ...each })),
      ),
    [Symbol.asyncDispose]: () => service.registry.close({ timeoutMs: 1 }).catch(() => undefined),
  };
}

/** Headers of a dead letter as the engine writes them. */
const dead = (more: Record<string, string | undefined> = {}): Record<string, string | undefined> => ({
  exc_class: "TypeError",
  exc_msg: "odd",
  original_topic: "orders",
  original_event_id: "11111111-1111-4111-8111-111111111111",
  service: "billing",
  exc_stack: "TypeError: odd\n at x",
  attempts: "3",
  failed_at: "2026-01-01T00:00:00.000Z",
  original_partition: "2",
  original_offset: "17",
  original_timestamp: "2025-12-31T00:00:00.000Z",
  first_event_id: "22222222-2222-4222-8222-222222222222",
  redrives: "1",
  tenant: "blue",
  traceparent: "00-1-2-01",
  ...more,
});

/** What a redrive of one dead letter sends. */
async function redriven(parts: RawParts, changes?: RedriveChanges): Promise<OutgoingRecord> {
  await using all = await reading((_, { redrive }) => redrive(changes));
  all.deliver(parts);
  await until("the redrive", () => all.member.acknowledged.length === 1 || all.subscription.state === "failed");
  await (all.subscription.state === "failed" ? all.subscription.done : undefined);
  return all.sent()[0] as OutgoingRecord;
}

async function refusal(parts: RawParts, changes?: RedriveChanges, settings: Partial<SubscriberSettings> = {}): Promise<HexkitError> {
  let refused: unknown;
  await using all = await reading(async (_, { redrive }) => {
    refused = await redrive(changes).catch((error) => error);
  }, settings);
  all.deliver(parts);
  await until("the refusal", () => refused !== undefined);
  assert.deepEqual(all.sent(), []);
  assert.ok(refused instanceof HexkitError);
  return refused;
}

describe("reading dead letters", () => {
  it("gives all that its writer said", async () => {
    const letters: [DeadLetter, DeadLetterContext, string | undefined][] = [];
    await using all = await reading((letter, context) => void letters.push([letter, context, currentCorrelationId()]));
    const correlation_id = newCorrelationId();
    const event_id = randomUUID();
    all.deliver({ headers: dead({ correlation_id, event_id }) });
    await turns();
    const [letter, context, current] = letters[0] ?? assert.fail("nothing came");
    const { headers, ...rest } = letter;
    assert.deepEqual(rest, {
      topic: "shop-dlq",
      type: "made",
      key: "k",
      payload: { n: 0 },
      eventId: event_id,
      timestamp: new Date(1_700_000_000_000),
      originalTopic: "orders",
      originalEventId: "11111111-1111-4111-8111-111111111111",
      firstEventId: "22222222-2222-4222-8222-222222222222",
      service: "billing",
      error: { class: "TypeError", message: "odd", stack: "TypeError: odd\n at x" },
      attempts: 3,
      redrives: 1,
      undecodable: undefined,
    });
    assert.equal(headers.tenant, "blue");
    assert.deepEqual([context.attempt, context.correlationId, current], [1, correlation_id, correlation_id]);
    assert.deepEqual(all.member.acknowledged, ["shop-dlq/0@0"]);
  });

  it("takes those of Python's hexkit, which say less", async () => {
    const letters: DeadLetter[] = [];
    await using all = await reading((letter) => void letters.push(letter));
    const original_event_id = randomUUID();
    const correlation_id = newCorrelationId();
    const foreign = { exc_class: "ValueError", exc_msg: "no", original_topic: "orders", original_event_id, service: "py" };
    all.deliver({ headers: { ...foreign, correlation_id } });
    await turns();
    const { originalTopic, originalEventId, firstEventId, service, error, attempts, redrives, undecodable } = letters[0] as DeadLetter;
    assert.deepEqual(
      { originalTopic, originalEventId, firstEventId, service, error, attempts, redrives, undecodable },
      {
        originalTopic: "orders",
        originalEventId: original_event_id,
        firstEventId: original_event_id,
        service: "py",
        error: { class: "ValueError", message: "no", stack: "" },
        attempts: 0,
        redrives: 0,
        undecodable: undefined,
      },
    );
  });

  const garbage: [what: string, parts: RawParts, seen: Partial<DeadLetter>][] = [
    ["no headers at all", { rawHeaders: [] }, { type: "", payload: { n: 0 }, service: "shop", originalTopic: undefined, attempts: 0 }],
    ["a bad correlation id", { headers: { correlation_id: "seven" } }, { type: "made", payload: { n: 0 } }],
    ["a null value", { value: null }, { key: "k", payload: { raw_key: "aw==", raw_value: null }, undecodable: "its value is null" }],
    ["a null key", { key: null }, { key: "", payload: { raw_key: null, raw_value: "eyJuIjowfQ==" }, undecodable: "its key is null" }],
    ["a key that is no text", { key: Uint8Array.of(255) }, { key: "", undecodable: "its key or value is not UTF-8 text" }],
    [
      "what says itself that it could not be decoded",
      { headers: dead({ undecodable: "its key is null" }), value: null },
      { undecodable: "its key is null" },
    ],
    [
      "empty headers",
      { headers: { original_topic: "", service: "", original_event_id: "", undecodable: "", attempts: "x" } },
      { originalTopic: undefined, service: "shop", originalEventId: undefined, undecodable: undefined, attempts: 0 },
    ],
  ];
  for (const [what, parts, seen] of garbage) {
    it(`takes ${what}`, async () => {
      const letters: [DeadLetter, DeadLetterContext][] = [];
      await using all = await reading((...given) => void letters.push(given));
      all.deliver(parts);
      await turns();
      const [letter, { correlationId }] = letters[0] ?? assert.fail("nothing came");
      for (const [name, value] of Object.entries(seen)) assert.deepEqual(letter[name as keyof DeadLetter], value, name);
      assert.match(correlationId, /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
      assert.equal(all.subscription.stats().ignored, 0);
      assert.deepEqual(all.member.acknowledged, ["shop-dlq/0@0"]);
    });
  }

  it("reads its own group from the topic of the setting, else the service's", async () => {
    for (const [settings, topics, group] of [
      [{}, ["shop-dlq"], "shop-dlq-reader"],
      [{ deadLetter: false }, ["shop-dlq"], "shop-dlq-reader"],
      [{ deadLetter: "lost", group: "mine" }, ["lost"], "mine"],
    ] as const) {
      await using all = await reading(() => undefined, settings);
      assert.deepEqual([all.member.request.topics, all.member.request.group, all.subscription.group], [topics, group, group]);
    }
  });

  it("leaves the group of the configuration to the events themselves", async () => {
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver, { publisher: FakePublisherDriver.obliging(), settings: { group: "ours" } });
    assert.equal(service.api.subscribeDeadLetters(() => undefined).group, "shop-dlq-reader");
  });

  it("follows maxRetries and onFailure when its handler fails, and dead-letters nothing", async () => {
    const attempts: number[] = [];
    await using all = await reading(
      (_, { attempt }) => {
        attempts.push(attempt);
        throw new Error("cannot");
      },
      { maxRetries: 1, retryDelayMs: 0, onFailure: "skip", deadLetter: true },
    );
    all.deliver({ headers: dead() });
    await until("the end of it", () => all.member.acknowledged.length === 1);
    assert.deepEqual(attempts, [1, 2]);
    assert.deepEqual(all.sent(), []);
    assert.equal(all.subscription.stats().skipped, 1);
    await using stopping = await reading(() => assert.fail("cannot"));
    stopping.deliver({ headers: dead() });
    await assert.rejects(stopping.subscription.done, (error) => isHexkitError(error, "ERR_HEXKIT_EVENT_FAILED"));
    assert.deepEqual(stopping.member.acknowledged, []);
  });

  it("needs a function, and a publisher to redrive with", async () => {
    await using all = await reading(() => undefined);
    assert.throws(
      () => all.api.subscribeDeadLetters(undefined as never, { group: "b" }),
      (error) => isHexkitError(error, "ERR_HEXKIT_INVALID_ARGUMENT") && /subscribeDeadLetters: it takes a function/.test(error.message),
    );
    assert.throws(
      () => all.api.subscribeDeadLetters(() => undefined),
      (error) => isHexkitError(error, "ERR_HEXKIT_SUBSCRIPTION_EXISTS"),
    );
    await using without = await openSubscriber(new FakeSubscriberDriver());
    assert.throws(
      () => without.api.subscribeDeadLetters(() => undefined),
      (error) =>
        isHexkitError(error, "ERR_HEXKIT_UNSUPPORTED") &&
        /dead letters cannot be written: the plugin has no eventPublisher; bind an eventPublisher and name it as deadLetterPublisher/.test(
          error.message,
        ),
    );
  });
});

describe("redrive", () => {
  it("sends the event to the retry topic of its service, with a new id and without what describes the failure", async () => {
    const correlation_id = newCorrelationId();
    const event_id = randomUUID();
    const sent = await redriven({ headers: dead({ correlation_id, event_id }) });
    assert.deepEqual([sent.topic, sent.key, sent.value], ["retry-billing", "k", '{"n":0}']);
    const { event_id: own, ...headers } = headersOf(sent);
    assert.match(own as string, /^[0-9a-f-]{36}$/);
    assert.ok(![event_id, "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"].includes(own as string));
    assert.deepEqual(headers, {
      type: "made",
      correlation_id,
      original_topic: "orders",
      first_event_id: "22222222-2222-4222-8222-222222222222",
      attempts: "3",
      redrives: "2",
      original_partition: "2",
      original_offset: "17",
      original_timestamp: "2025-12-31T00:00:00.000Z",
      tenant: "blue",
      traceparent: "00-1-2-01",
    });
    assert.equal(sent.headers.length, Object.keys(headers).length + 1, "none twice");
  });

  it("keeps the payload to the last digit, whatever JSON it is, and repeated headers", async () => {
    const value = '{ "n": 12345678901234567890, "t": "ü" }';
    assert.equal((await redriven({ headers: dead(), value })).value, '{ "n": 12345678901234567890, "t": "\\u00fc" }');
    assert.equal((await redriven({ headers: dead(), value: "[1]" })).value, "[1]");
    const bytes = (text: string): Uint8Array => Buffer.from(text);
    const rawHeaders = [
      ["type", bytes("made")],
      ["original_topic", bytes("orders")],
      ["baggage", bytes("a=1")],
      ["baggage", bytes("b=ü")],
    ] as const;
    const { headers } = await redriven({ rawHeaders });
    assert.deepEqual(
      headers.filter(([name]) => name === "baggage"),
      [
        ["baggage", "a=1"],
        ["baggage", "b=\\u00fc"],
      ],
    );
  });

  it("takes another payload, type, key and topic; the place of another topic is not its own", async () => {
    const changes = { payload: { name: "Zoë" }, type: "mended", key: "other", originalTopic: "bills" };
    const sent = await redriven({ headers: dead() }, changes);
    assert.deepEqual([sent.topic, sent.key, sent.value], ["retry-billing", "other", '{"name":"Zo\\u00eb"}']);
    const { type, original_topic, original_partition, original_offset, original_timestamp } = headersOf(sent);
    assert.deepEqual(
      [type, original_topic, original_partition, original_offset, original_timestamp],
      ["mended", "bills", undefined, undefined, undefined],
    );
  });

  it("takes the id of the dead letter for the first one where nothing else is known, and goes to its own service", async () => {
    const event_id = randomUUID();
    const sent = await redriven({ headers: { event_id, original_topic: "orders" } });
    assert.equal(sent.topic, "retry-shop");
    assert.deepEqual([headersOf(sent).first_event_id, headersOf(sent).attempts, headersOf(sent).redrives], [event_id, "0", "1"]);
  });

  it("keeps the letter's correlation id, also out of another context, and replaces one that is none", async () => {
    const correlation_id = newCorrelationId();
    await using all = await reading((_, { redrive }) => withNewCorrelationId(() => redrive()));
    all.deliver({ headers: dead({ correlation_id }) }, { headers: dead({ correlation_id: "0188d2b4-7c3e-7a01-9f00-0123456789ab" }) });
    await until("both", () => all.sent().length === 2);
    assert.equal(headersOf(all.sent()[0] as OutgoingRecord).correlation_id, correlation_id);
    assert.match(headersOf(all.sent()[1] as OutgoingRecord).correlation_id as string, /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
  });

  it("sends what could not be decoded only with a mended payload", async () => {
    const sent = await redriven(
      { headers: dead({ undecodable: "its key is null" }), value: '{"raw_key":null,"raw_value":"e30="}' },
      { payload: { n: 5 } },
    );
    assert.equal(sent.value, '{"n":5}');
    assert.equal(headersOf(sent).undecodable, undefined);
  });

  const refused: [what: string, parts: RawParts, changes: RedriveChanges | undefined, code: string, message: RegExp][] = [
    [
      "at the limit",
      { headers: dead({ redrives: "5" }) },
      undefined,
      "REDRIVE_LIMIT",
      /redrive of event .* from "shop-dlq": it has been sent back 5 times, the limit is 5 \(maxRedrives\); mend its cause or discard it/,
    ],
    [
      "without an original topic",
      { headers: dead({ original_topic: undefined }) },
      undefined,
      "INVALID_ARGUMENT",
      /it has no original_topic; give `originalTopic`/,
    ],
    ["to an empty topic", { headers: dead() }, { originalTopic: "" }, "INVALID_ARGUMENT", /it has no original_topic/],
    [
      "to the retry topic itself",
      { headers: dead() },
      { originalTopic: "retry-billing" },
      "INVALID_ARGUMENT",
      /originalTopic "retry-billing" is the retry topic itself/,
    ],
    ["without a type", { headers: dead({ type: undefined }) }, undefined, "INVALID_ARGUMENT", /it has no type; give `type`/],
    [
      "what could not be decoded",
      { headers: dead({ undecodable: "its key is null" }) },
      { key: "x" },
      "INVALID_ARGUMENT",
      /it could not be decoded \(its key is null\); give the mended `payload`/,
    ],
    ["garbage", { headers: dead(), value: null }, undefined, "INVALID_ARGUMENT", /it could not be decoded \(its value is null\)/],
    [
      "a payload that is no object",
      { headers: dead() },
      { payload: [1] as never },
      "PAYLOAD_INVALID",
      /payload must be an object, not a list/,
    ],
    [
      "a payload that JSON does not have",
      { headers: dead() },
      { payload: { n: Number.NaN } as never },
      "PAYLOAD_INVALID",
      /payload\.n is NaN/,
    ],
    ["a key outside ASCII", { headers: dead() }, { key: "ü" }, "NOT_ASCII", /key "ü" has a character outside ASCII/],
    ["a type outside ASCII", { headers: dead() }, { type: "ü" }, "NOT_ASCII", /type "ü"/],
    ["a topic outside ASCII", { headers: dead() }, { originalTopic: "ü" }, "NOT_ASCII", /originalTopic "ü"/],
    ["to a service outside ASCII", { headers: dead({ service: "ü" }) }, undefined, "NOT_ASCII", /service "ü"/],
    ["a key that is no text", { headers: dead() }, { key: 5 as never }, "INVALID_ARGUMENT", /key must be a string, not number/],
  ];
  for (const [what, parts, changes, code, message] of refused) {
    it(`is refused ${what}`, async () => {
      const error = await refusal(parts, changes);
      assert.equal(error.code, `ERR_HEXKIT_${code}`);
      assert.match(error.message, message);
      assert.equal(error.retryable, false);
    });
  }

  it("counts to maxRedrives", async () => {
    assert.equal((await refusal({ headers: dead({ redrives: "0" }) }, {}, { maxRedrives: 0 })).code, "ERR_HEXKIT_REDRIVE_LIMIT");
    assert.equal(headersOf(await redriven({ headers: dead({ redrives: "4" }) })).redrives, "5");
  });

  it("is done when it is stored, and rejects with what the broker says", async () => {
    const publisher = new FakePublisherDriver();
    const ended: unknown[] = [];
    await using all = await reading(redriveInto(ended), {}, publisher);
    all.deliver({ headers: dead(), key: "a" }, { headers: dead(), key: "b" });
    const send = await publisher.next();
    await turns();
    assert.deepEqual(ended, []);
    send.answer(undefined, tooLarge());
    await turns();
    assert.deepEqual(ended, ["stored", "ERR_HEXKIT_MESSAGE_TOO_LARGE"]);
  });

  it("does not fail because another of its key has failed", async () => {
    const publisher = new FakePublisherDriver();
    publisher.onSend = (send) => send.answer(...send.records.map(({ value }) => (value.includes("99") ? tooLarge() : undefined)));
    const ended: unknown[] = [];
    await using all = await reading(redriveInto(ended), {}, publisher);
    all.member.sink.assigned([at("shop-dlq", 1)]);
    all.deliver({ headers: dead(), value: '{"n":99}' });
    all.member.sink.records(at("shop-dlq", 1), [record(0, { topic: "shop-dlq", partition: 1, key: "k", headers: dead() })]);
    await until("both", () => ended.length === 2);
    assert.deepEqual(ended, ["ERR_HEXKIT_MESSAGE_TOO_LARGE", "stored"]);
  });

  it("ends with the handler's signal, and is refused once the registry has closed", async () => {
    const publisher = new FakePublisherDriver();
    const errors: unknown[] = [];
    const contexts: DeadLetterContext[] = [];
    await using all = await reading(
      async (_, context) => {
        contexts.push(context);
        await context.redrive().catch((error) => errors.push(error));
      },
      {},
      publisher,
    );
    all.deliver({ headers: dead() });
    await publisher.next();
    await all.member.sink.revoked([at("shop-dlq")], { lost: true });
    await turns();
    assert.ok(isHexkitError(errors[0], "ERR_HEXKIT_ABORTED"));
    await assert.rejects((contexts[0] as DeadLetterContext).redrive(), (error) => isHexkitError(error, "ERR_HEXKIT_ABORTED"));
    publisher.sends[0]?.answer();
    await all.registry.close();
    await assert.rejects((contexts[0] as DeadLetterContext).redrive(), (error) => isHexkitError(error, "ERR_HEXKIT_CLOSED"));
  });
});
