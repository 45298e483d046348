import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import {
  currentCorrelationId,
  getCorrelationId,
  isHexkitError,
  newCorrelationId,
  type ReceivedEvent,
  type SourceRecord,
  type Translator,
} from "../../../core/index.ts";
import { deferred } from "../../../core/promise.ts";
import {
  at,
  busy,
  ClientError,
  denied,
  FakeSubscriberDriver,
  type LogLine,
  type Membership,
  openSubscriber,
  type RawParts,
  record,
  turns,
  until,
} from "./bench.ts";
import { Handlers, logged, stage } from "./stage.ts";

const uuid4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("joining", () => {
  it("asks for the group, the client id, every topic once and the start", async () => {
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver);
    const types = ["made"];
    const consume = (): void => {};
    service.api.subscribe(
      [
        { topics: ["a", "b", "a"], types, consume },
        { topics: ["b"], types: ["other"], consume },
      ],
      { from: "latest" },
    );
    assert.deepEqual((await driver.member()).request, { group: "shop", clientId: "shop.7", topics: ["a", "b"], from: "latest" });
    service.api.subscribe({ topics: ["c"], types, consume }, { group: "mine" });
    assert.deepEqual((await driver.member(1)).request, { group: "mine", clientId: "shop.7", topics: ["c"], from: "earliest" });
  });

  it("handles records that arrive before it has joined, and tells the source then what is paused", async () => {
    const driver = new FakeSubscriberDriver();
    const joining = deferred<void>();
    driver.onJoin = () => joining.promise;
    await using service = await openSubscriber(driver);
    const handlers = new Handlers();
    const subscription = service.api.subscribe(handlers, { maxInFlight: 2, commitEvery: 1, commitIntervalMs: 5 });
    const member = await driver.member();
    assert.equal(subscription.state, "starting");
    member.sink.assigned([at("orders", 0), at("orders", 1), at("orders", 2)]);
    assert.equal(subscription.state, "running");
    for (const partition of [0, 1]) {
      member.sink.records(
        at("orders", partition),
        [0, 1].map((offset) => record(offset, { key: `p${partition}`, partition })),
      );
    }
    await turns();
    await handlers.end("p00");
    assert.deepEqual(handlers.running, ["p10", "p01"]);
    assert.deepEqual(member.calls, []);
    joining.resolve();
    await until("the acknowledgement", () => member.acknowledged.length > 0);
    assert.deepEqual(member.calls, ["pause orders/1", "acknowledge"]);
    assert.deepEqual(member.acknowledged, ["orders/0@0"]);
    await handlers.end("p10", "p01");
    assert.equal(member.count("resume orders/1"), 1);
    await handlers.end("p11");
  });

  it("fails when the driver cannot join", async () => {
    const driver = new FakeSubscriberDriver();
    driver.onJoin = () => {
      throw denied();
    };
    await using service = await openSubscriber(driver);
    const subscription = service.api.subscribe(new Handlers());
    await assert.rejects(subscription.done, (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_PERMISSION_DENIED"));
      assert.match(error.message, /^eventSubscriber \(provider "broker", plugin fake\): subscribe group "shop" to orders failed: not you$/);
      return true;
    });
    assert.equal(subscription.state, "failed");
    assert.equal(driver.members[0]?.count("leave"), 0);
  });

  it("fails before it joins when a translator cannot prepare", async () => {
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver);
    const translator: Translator = {
      topics: ["orders"],
      types: ["made"],
      prepare: () => Promise.reject(new ClientError("ERR_HEXKIT_UNAVAILABLE", "no database")),
      consume: () => {},
    };
    await assert.rejects(service.api.subscribe(translator).done, /no database/);
    assert.equal(driver.members.length, 0);
  });
});

describe("order and concurrency", () => {
  it("handles one key in order and others meanwhile", async () => {
    await using all = await stage();
    all.deliver(0, "a0 a1 b2 a3");
    await turns();
    assert.deepEqual(all.handlers.running, ["a0", "b2"]);
    await all.handlers.end("a0");
    assert.deepEqual(all.handlers.running, ["b2", "a1"]);
    await all.handlers.end("a1", "b2");
    await all.handlers.end("a3");
    assert.deepEqual(all.handlers.begun, ["a0", "b2", "a1", "a3"]);
  });

  it("keeps equal keys of different partitions and topics apart", async () => {
    await using all = await stage({}, { partitions: 2, handlers: new Handlers(["orders", "bills"]) });
    all.member.sink.assigned([at("bills")]);
    all.deliver(0, [["a", 0]]);
    all.deliver(1, [["a", 1]]);
    all.member.sink.records(at("bills"), [record(2, { key: "a", topic: "bills" })]);
    await turns();
    assert.deepEqual(all.handlers.running, ["a0", "a1", "a2"]);
  });

  it("lets keys share a lane only if their bytes are equal, undecodable ones too", async () => {
    await using all = await stage({ onFailure: "skip" });
    const odd = (offset: number, key: Uint8Array | null) => record(offset, { key });
    all.deliver(0, [["", 0]]);
    all.member.sink.records(at("orders"), [
      odd(1, null),
      odd(2, Uint8Array.of(0xff)),
      odd(3, Uint8Array.of(0xfe)),
      odd(4, new Uint8Array(Uint8Array.of(9, 97, 9).buffer, 1, 1)),
    ]);
    await turns();
    assert.deepEqual(all.handlers.running, ["0", "a4"]);
    assert.equal(all.subscription.stats().skipped, 2, "the one without a key waits behind the one whose key is empty");
    await all.handlers.end("0");
    assert.equal(all.subscription.stats().skipped, 3);
  });

  it("reads a record's text where a driver has it, and its bytes not at all", async () => {
    await using all = await stage({ onFailure: "skip" });
    const texts = (offset: number, key: string, value = JSON.stringify({ n: offset })): SourceRecord => {
      const { headers, ...rest } = record(offset, { key: null, value: null });
      const text = { key, value, headers: headers.map(([name, bytes]) => [name, String(bytes)] as const) };
      return { ...rest, text, headers: [] };
    };
    all.member.sink.records(at("orders"), [texts(0, "a"), texts(1, "b"), record(2, { key: "a" }), texts(3, "c", "{")]);
    await turns();
    assert.deepEqual(all.handlers.running, ["a0", "b1"], "equal keys share a lane, be they text or bytes");
    assert.equal(all.subscription.stats().skipped, 1);
    await all.handlers.end("a0", "b1");
    await all.handlers.end("a2");
    assert.deepEqual(all.handlers.begun, ["a0", "b1", "a2"]);
  });

  it("runs at most as many handlers as concurrency allows, over all partitions", async () => {
    await using all = await stage({ concurrency: 3 }, { partitions: 2 });
    all.deliver(0, "a0 b1 c2");
    all.deliver(1, "d0 e1");
    await turns();
    assert.deepEqual(all.handlers.running, ["a0", "b1", "c2"]);
    await all.handlers.end("b1");
    assert.deepEqual(all.handlers.running, ["a0", "c2", "d0"]);
    await all.handlers.end("a0", "c2", "d0");
    assert.deepEqual(all.handlers.running, ["e1"]);
  });

  it("lets lanes take turns, so that a busy key does not starve the others", async () => {
    await using all = await stage({ concurrency: 1 });
    all.deliver(0, "a0 a1 a2 b3 c4 b5");
    await turns();
    for (const name of ["a0", "b3", "c4", "a1", "b5", "a2"]) await all.handlers.end(name);
    assert.deepEqual(all.handlers.begun, ["a0", "b3", "c4", "a1", "b5", "a2"]);
  });

  it("stands thousands of handlers that end at once", async () => {
    await using all = await stage({ concurrency: 1, maxInFlight: 10_000 });
    all.handlers.free = true;
    all.deliver(
      0,
      Array.from({ length: 5_000 }, (_, offset) => ["a", offset] as const),
    );
    await until("all of them", () => all.subscription.stats().handled === 5_000);
    assert.equal(all.subscription.stats().inFlight, 0);
  });
});

describe("window", () => {
  it("pauses a partition at maxInFlight records and resumes it at half", async () => {
    await using all = await stage({ maxInFlight: 4 }, { partitions: 2 });
    all.deliver(0, "a0 b1 c2");
    all.deliver(1, [["z", 0]]);
    assert.deepEqual(all.member.calls, []);
    all.deliver(0, "d3 e4");
    assert.deepEqual(all.member.calls, ["pause orders/0"]);
    all.deliver(0, [["f", 5]]);
    assert.equal(all.member.count("pause orders/0"), 1, "it is asked once");
    await turns();
    await all.handlers.end("a0", "b1", "c2");
    assert.equal(all.member.count("resume orders/0"), 0);
    assert.equal(all.subscription.stats().inFlight, 4, "three of this partition, one of the other");
    await all.handlers.end("d3");
    assert.equal(all.member.count("resume orders/0"), 1);
    all.deliver(0, "g6 h7 i8");
    assert.equal(all.member.count("pause orders/0"), 2);
  });

  it("pauses a partition at maxBufferedBytes of keys and values and resumes it at half", async () => {
    await using all = await stage({ maxBufferedBytes: 100 });
    const value = (offset: number): string => JSON.stringify({ n: offset, x: "" }).replace('""', `"${"x".repeat(12)}"`);
    const bytes = 1 + value(0).length;
    assert.equal(bytes, 27);
    for (const [offset, key] of ["a", "b", "c"].entries()) all.deliver(0, [[key, offset, { value: value(offset) }]]);
    assert.deepEqual(all.member.calls, []);
    all.deliver(0, [["d", 3, { value: value(3) }]]);
    assert.deepEqual(all.member.calls, ["pause orders/0"]);
    await turns();
    await all.handlers.end("a0", "b1");
    assert.equal(all.member.count("resume orders/0"), 0, "54 bytes are more than half");
    await all.handlers.end("c2");
    assert.equal(all.member.count("resume orders/0"), 1);
  });

  it("resumes with a window of one, and needs no pause for records that nobody takes", async () => {
    await using all = await stage({ maxInFlight: 1 });
    const moves = (): readonly string[] => all.member.calls.filter((call) => call !== "acknowledge");
    all.deliver(0, [["a", 0, { headers: { type: "foreign" } }]]);
    await turns();
    assert.deepEqual(moves(), []);
    all.deliver(0, [["a", 1]]);
    await turns();
    assert.deepEqual(moves(), ["pause orders/0"]);
    await all.handlers.end("a1");
    assert.deepEqual(moves(), ["pause orders/0", "resume orders/0"]);
  });
});

describe("acknowledging", () => {
  it("acknowledges after commitEvery records, in the order in which they were settled", async () => {
    await using all = await stage({ commitEvery: 3 });
    all.deliver(0, "a0 b1 c2 d3");
    await turns();
    await all.handlers.end("c2", "a0");
    assert.deepEqual(all.member.acknowledgements, []);
    await all.handlers.end("d3");
    assert.deepEqual(all.member.acknowledgements, [["orders/0@2", "orders/0@0", "orders/0@3"]]);
  });

  it("acknowledges after commitIntervalMs what there is", async () => {
    await using all = await stage({ commitEvery: 100, commitIntervalMs: 5 });
    all.deliver(0, "a0 b1");
    await turns();
    await all.handlers.end("a0");
    await until("the acknowledgement", () => all.member.acknowledged.length > 0);
    await all.handlers.end("b1");
    await until("the next", () => all.member.acknowledged.length > 1);
    assert.deepEqual(all.member.acknowledgements, [["orders/0@0"], ["orders/0@1"]]);
  });

  it("has one acknowledgement under way at a time and gathers what is settled meanwhile", async () => {
    await using all = await stage({ commitEvery: 1 });
    const first = deferred<void>();
    all.member.onAcknowledge = () => first.promise;
    all.deliver(0, "a0 b1 c2");
    await turns();
    await all.handlers.end("a0");
    await all.handlers.end("b1");
    await all.handlers.end("c2");
    assert.deepEqual(all.member.acknowledgements, [["orders/0@0"]]);
    all.member.onAcknowledge = undefined;
    first.resolve();
    await turns();
    assert.deepEqual(all.member.acknowledgements, [["orders/0@0"], ["orders/0@1", "orders/0@2"]]);
  });

  it("repeats what could not be acknowledged for now, at the next interval and not with every record", async () => {
    await using all = await stage({ commitEvery: 1, commitIntervalMs: 100 });
    all.member.onAcknowledge = () => {
      throw busy();
    };
    all.deliver(0, "a0 b1 c2");
    await turns();
    await all.handlers.end("a0");
    await all.handlers.end("b1", "c2");
    assert.deepEqual(all.member.acknowledgements, [["orders/0@0"]]);
    assert.equal(all.subscription.state, "running");
    assert.deepEqual(logged(all.lines), ["events were not acknowledged and may be delivered again"]);
    all.member.onAcknowledge = undefined;
    await until("the repetition", () => all.member.acknowledgements.length > 1);
    assert.deepEqual(all.member.acknowledgements[1], ["orders/0@0", "orders/0@1", "orders/0@2"]);
    all.deliver(0, [["d", 3]]);
    await turns();
    await all.handlers.end("d3");
    assert.deepEqual(all.member.acknowledgements[2], ["orders/0@3"], "prompt again");
  });

  it("fails when acknowledging fails for good", async () => {
    await using all = await stage();
    all.member.onAcknowledge = () => {
      throw denied();
    };
    all.deliver(0, [["a", 0]]);
    await turns();
    await all.handlers.end("a0");
    await assert.rejects(
      all.subscription.done,
      (error) => isHexkitError(error, "ERR_HEXKIT_PERMISSION_DENIED") && /acknowledge events of group "shop"/.test(error.message),
    );
    assert.equal(all.member.count("leave"), 1);
  });
});

describe("revocation", () => {
  it("lets running handlers end and handles what lies before them, acknowledges and then gives the partition up", async () => {
    await using all = await stage({ commitEvery: 100 }, { partitions: 2 });
    all.deliver(0, "a0 a1 b2 a3");
    all.deliver(1, "z0 z1");
    await turns();
    let given = false;
    const revoked = all.member.sink.revoked([at("orders", 0)], { lost: false }).then(() => {
      given = true;
    });
    await all.handlers.end("a0");
    assert.ok(!given);
    assert.deepEqual(all.handlers.running, ["b2", "z0", "a1"], "b2 would be delivered again without a1");
    all.deliver(0, [["c", 4]]);
    await turns();
    assert.ok(!all.handlers.begun.includes("c4"), "what arrives while it is given up is left to others");
    await all.handlers.end("b2");
    assert.ok(!given);
    await all.handlers.end("a1");
    await revoked;
    assert.deepEqual(all.member.acknowledgements, [["orders/0@0", "orders/0@2", "orders/0@1"]]);
    assert.equal(all.subscription.stats().inFlight, 2);
    await all.handlers.end("z0");
    assert.deepEqual(all.handlers.running, ["z1"], "the other partition goes on");
  });

  it("gives the partition up when the drain time is over, tells the handler, and does not count what it does then", async () => {
    await using all = await stage({ drainTimeoutMs: 10 });
    all.deliver(0, "a0 b1");
    await turns();
    await all.member.sink.revoked([at("orders")], { lost: false });
    assert.ok(all.handlers.contexts.every(({ signal }) => signal.aborted));
    await all.handlers.end("a0");
    await all.handlers.fail("b1", new Error("aborted"));
    assert.deepEqual(all.member.acknowledgements, []);
    assert.equal(all.subscription.state, "running", "an error after the signal is no failure");
    assert.deepEqual(logged(all.lines), [], "and no news");
    assert.equal(all.subscription.stats().failed, 0);
  });

  it("acknowledges nothing of partitions that are lost, not even what was settled before", async () => {
    await using all = await stage({ commitEvery: 100, commitIntervalMs: 20 }, { partitions: 2 });
    all.deliver(0, "a0 b1 b2");
    all.deliver(1, [["z", 0]]);
    await turns();
    await all.handlers.end("a0", "z0");
    await all.member.sink.revoked([at("orders", 0)], { lost: true });
    assert.ok(all.handlers.contexts[1]?.signal.aborted);
    await all.handlers.end("b1");
    assert.deepEqual(all.handlers.running, []);
    await until("the acknowledgement", () => all.member.acknowledged.length > 0);
    await all.subscription.stop();
    assert.deepEqual(all.member.acknowledged, ["orders/1@0"]);
  });

  it("takes a partition that comes back at once after it was lost", async () => {
    await using all = await stage();
    all.deliver(0, "a0 a1");
    await turns();
    void all.member.sink.revoked([at("orders")], { lost: true });
    all.member.sink.assigned([at("orders")]);
    all.deliver(0, "a0 a1");
    await turns();
    assert.deepEqual(all.handlers.begun, ["a0", "a0"]);
    await all.handlers.end("a0");
    await all.handlers.end("a1");
    all.deliver(0, [["a", 2]]);
    await turns();
    await all.handlers.end("a2");
    assert.deepEqual(all.member.acknowledged, ["orders/0@0", "orders/0@1", "orders/0@2"]);
  });

  it("takes a partition that comes back later, with a window and a signal of its own", async () => {
    await using all = await stage({ maxInFlight: 2 });
    all.deliver(0, "a0 b1");
    await turns();
    const revoked = all.member.sink.revoked([at("orders")], { lost: false });
    await all.handlers.end("a0", "b1");
    await revoked;
    assert.equal(all.member.count("resume orders/0"), 0, "what is given up is not resumed");
    all.deliver(0, [["late", 2]]);
    assert.equal(all.subscription.stats().received, 2, "records of a partition that is not ours are left alone");
    all.member.sink.assigned([at("orders")]);
    all.deliver(0, [["c", 2]]);
    await turns();
    assert.equal(all.member.count("pause orders/0"), 1);
    assert.equal(all.handlers.contexts.at(-1)?.signal.aborted, false);
    await all.handlers.end("c2");
    assert.deepEqual(all.member.acknowledged, ["orders/0@0", "orders/0@1", "orders/0@2"]);
  });

  it("keeps what is under way when a rejoin leaves a partition where it is", async () => {
    await using all = await stage();
    all.deliver(0, "a0 a1");
    await turns();
    all.member.sink.assigned([at("orders", 0), at("orders", 1)]);
    assert.equal(all.subscription.stats().inFlight, 2);
    await all.handlers.end("a0");
    const revoked = all.member.sink.revoked([at("orders")], { lost: false });
    await all.handlers.end("a1");
    await revoked;
    assert.deepEqual(all.member.acknowledged, ["orders/0@0", "orders/0@1"]);
  });

  it("stands the revocation of partitions that it does not have, or of none", async () => {
    await using all = await stage();
    await all.member.sink.revoked([at("orders", 9)], { lost: false });
    await all.member.sink.revoked([], { lost: true });
    assert.equal(all.subscription.state, "running");
  });
});

describe("decoding", () => {
  it("restores the correlation id around the handler, in canonical form, and nowhere else", async () => {
    const ids: (string | undefined)[] = [];
    const handlers = new Handlers();
    handlers.consume = async (_event, context) => {
      await turns(1);
      ids.push(getCorrelationId(), context.correlationId);
    };
    await using all = await stage({}, { handlers });
    const id = newCorrelationId();
    all.deliver(0, [["a", 0, { headers: { correlation_id: `{${id.toUpperCase()}}` } }]]);
    await until("the handler", () => ids.length > 0);
    assert.deepEqual(ids, [id, id]);
    assert.equal(currentCorrelationId(), undefined);
  });

  it("passes a UUID of any version and spelling as event id, and a random one with a warning where there is none", async () => {
    const events: ReceivedEvent[] = [];
    const handlers = new Handlers();
    handlers.consume = async (event) => void events.push(event);
    await using all = await stage({}, { handlers });
    const version7 = "0188d2b4-7c3e-7a01-9f00-0123456789ab";
    const ids = [version7.toUpperCase(), undefined, "", "seven"];
    all.deliver(
      0,
      ids.map((event_id, offset) => ["a", offset, { headers: { event_id } }] as const),
    );
    await until("the events", () => events.length === 4);
    assert.equal(events[0]?.eventId, version7);
    for (const { eventId } of events.slice(1)) assert.match(eventId, uuid4);
    const lines = all.lines.filter(({ level }) => level === "warn");
    assert.equal(lines.length, 3);
    assert.equal(lines[0]?.message, "an event has no valid event_id; a random one stands in");
    assert.deepEqual(lines[0]?.fields.details, { topic: "orders", partition: 0, offset: 1, type: "made" });
  });

  it("gives all headers as text, the last of equal names, and the time", async () => {
    const events: ReceivedEvent[] = [];
    const handlers = new Handlers();
    handlers.consume = async (event) => void events.push(event);
    await using all = await stage({}, { handlers });
    const [correlationId, eventId] = [newCorrelationId(), randomUUID()];
    const rawHeaders = [
      ["type", Buffer.from("other")],
      ["type", Buffer.from("made")],
      ["correlation_id", Buffer.from(correlationId)],
      ["event_id", Buffer.from(eventId)],
      ["note", Buffer.from("ü")],
      ["none", null],
      ["odd", Uint8Array.of(0xff)],
    ] as const;
    all.deliver(0, [["kü", 5, { rawHeaders, value: '{"text":"grün"}' }]]);
    await until("the event", () => events.length === 1);
    assert.deepEqual(events[0], {
      topic: "orders",
      type: "made",
      key: "kü",
      payload: { text: "grün" },
      eventId,
      headers: { type: "made", correlation_id: correlationId, event_id: eventId, note: "ü", odd: "\ufffd" },
      timestamp: new Date(1_700_000_000_005),
    });
  });

  const ignored: [what: string, parts: RawParts][] = [
    ["without a type", { headers: { type: undefined } }],
    ["with an empty type", { headers: { type: "" } }],
    ["of a type that nobody takes", { headers: { type: "foreign" } }],
    ["of a type that every object has", { headers: { type: "constructor" } }],
    ["without a correlation id", { headers: { correlation_id: undefined } }],
    ["with an empty correlation id", { headers: { correlation_id: "" } }],
    ["of a foreign type, whatever is wrong with key and value", { headers: { type: "foreign" }, key: null, value: "no JSON" }],
    ["without headers", { rawHeaders: [] }],
    ["with null headers", { rawHeaders: [["type", null]] }],
  ];
  for (const [what, parts] of ignored) {
    it(`acknowledges a record ${what} unseen`, async () => {
      await using all = await stage();
      all.deliver(0, [["a", 0, parts]]);
      await turns();
      assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
      assert.deepEqual(all.handlers.begun, []);
      assert.equal(all.subscription.stats().ignored, 1);
    });
  }

  const undecodable: [what: string, parts: RawParts, reason: RegExp][] = [
    ["a correlation id that is no UUID", { headers: { correlation_id: "seven" } }, /correlation_id "seven" is not a UUID of version 4/],
    [
      "a correlation id of another version",
      { headers: { correlation_id: "0188d2b4-7c3e-7a01-9f00-0123456789ab" } },
      /is not a UUID of version 4/,
    ],
    ["a null key", { key: null }, /its key is null/],
    ["a null value", { value: null }, /its value is null/],
    ["a key that is not UTF-8", { key: Uint8Array.of(0xc3) }, /its key or value is not UTF-8 text/],
    ["a value that is not UTF-8", { value: Uint8Array.of(0x22, 0xff, 0x22) }, /its key or value is not UTF-8 text/],
    ["a value that is not JSON", { value: "{" }, /its value is not JSON: /],
    ["an empty value", { value: "" }, /its value is not JSON: /],
    ["Python's NaN", { value: '{"n": NaN}' }, /its value is not JSON: /],
    ["a byte order mark", { value: '\ufeff{"n":1}' }, /its value is not JSON: /],
  ];
  for (const [what, parts, reason] of undecodable) {
    it(`treats a record with ${what} like a failed event`, async () => {
      await using all = await stage({ onFailure: "skip" });
      all.deliver(0, [
        ["a", 0, parts],
        ["b", 1],
      ]);
      await turns();
      assert.deepEqual(all.member.acknowledged, ["orders/0@0"]);
      const { failed, skipped, ignored: unseen } = all.subscription.stats();
      assert.deepEqual({ failed, skipped, unseen }, { failed: 1, skipped: 1, unseen: 0 });
      const line = all.lines.find(({ level }) => level === "error");
      assert.equal(line?.message, "an event failed and was skipped");
      const { exception } = (line as LogLine).fields as unknown as { exception: { message: string } };
      assert.match(JSON.stringify(exception), /record at topic \\"orders\\", partition 0, offset 0 cannot be decoded/);
      assert.match(exception.message, reason);
      assert.deepEqual(all.handlers.running, ["b1"]);
    });
  }

  it("stops at an undecodable record under the default policy, without acknowledging it", async () => {
    await using all = await stage();
    all.deliver(0, [["a", 0, { value: null }]]);
    await assert.rejects(all.subscription.done, (error) => isHexkitError(error, "ERR_HEXKIT_EVENT_UNDECODABLE"));
    assert.deepEqual(all.member.acknowledged, []);
  });
});

describe("states", () => {
  it("is starting until partitions were assigned, also with none", async () => {
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver);
    const subscription = service.api.subscribe(new Handlers());
    const member = await driver.member();
    assert.equal(subscription.state, "starting");
    member.sink.assigned([]);
    assert.equal(subscription.state, "running");
  });

  it("is degraded while something is in the way, and says what", async () => {
    await using all = await stage();
    const { sink } = all.member;
    sink.trouble({ reason: "broker away", error: new Error("refused") });
    assert.equal(all.subscription.state, "degraded");
    assert.equal(all.subscription.stats().trouble, "broker away");
    sink.trouble({ reason: "broker away" });
    sink.trouble({ reason: "topic missing" });
    assert.deepEqual(logged(all.lines), ["subscription is degraded", "subscription is degraded"], "each reason is logged once");
    assert.equal(all.subscription.stats().trouble, "topic missing");
    sink.trouble(undefined);
    sink.trouble(undefined);
    assert.equal(all.subscription.state, "running");
    assert.equal(all.subscription.stats().trouble, undefined);
    assert.deepEqual(logged(all.lines, "info"), ["subscription is well again"]);
  });

  it("stays starting in trouble and begins degraded", async () => {
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver);
    const subscription = service.api.subscribe(new Handlers());
    const { sink } = await driver.member();
    sink.trouble({ reason: "topic missing" });
    assert.equal(subscription.state, "starting");
    sink.assigned([]);
    assert.equal(subscription.state, "degraded");
    sink.trouble(undefined);
    assert.equal(subscription.state, "running");
  });

  it("tells health of every subscription, and is not ok once one has failed", async () => {
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver);
    const handlers = new Handlers();
    handlers.free = true;
    const subscription = service.api.subscribe(handlers, { commitEvery: 1 });
    service.api.subscribe(new Handlers(), { group: "second" });
    await driver.member(1);
    const member = driver.members[0] as Membership;
    member.lagging = 42;
    member.sink.assigned([at("orders")]);
    member.sink.records(at("orders"), [record(0), record(1, { headers: { type: "foreign" } })]);
    await turns();
    const first = {
      group: "shop",
      topics: ["orders"],
      state: "running",
      received: 2,
      handled: 1,
      ignored: 1,
      retried: 0,
      failed: 0,
      deadLettered: 0,
      skipped: 0,
      restarts: 0,
      inFlight: 0,
      lag: 42,
      trouble: undefined,
    };
    const report = await service.registry.health();
    assert.equal(report.ok, true);
    assert.deepEqual(report.bindings.eventSubscriber?.subscriptions, [
      first,
      { ...first, group: "second", state: "starting", received: 0, handled: 0, ignored: 0, lag: undefined },
    ]);
    member.sink.failed(new Error("gone"));
    await assert.rejects(subscription.done);
    const after = await service.registry.health();
    assert.equal(after.ok, false);
    assert.equal((after.bindings.eventSubscriber?.subscriptions as { state: string }[] | undefined)?.[0]?.state, "failed");
  });
});
