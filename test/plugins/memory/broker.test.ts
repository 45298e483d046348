import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { OutgoingRecord } from "../../../core/index.ts";
import { join, openDrivers, type RecordingSink, record, send, turns } from "./drivers.ts";

const numbered = (count: number, topic = "t"): OutgoingRecord[] =>
  Array.from({ length: count }, (_, index) => record(topic, `key-${index}`, String(index)));
const held = (sink: RecordingSink): string[] => [...sink.holding].sort();

describe("memory: publishing", () => {
  it("keeps a key in one partition and spreads keys over all of them", async () => {
    const { publisher } = await openDrivers();
    assert.equal(publisher.lane(record("t", "a", "1")), publisher.lane(record("t", "a", "2")));
    const lanes = new Set(numbered(50).map((each) => publisher.lane(each)));
    assert.deepEqual([...lanes].sort(), ["t/0", "t/1", "t/2"]);
  });

  it("creates a topic with the partitions of the provider that uses it first", async () => {
    const scope = {};
    const first = await openDrivers({ partitions: 1 }, scope);
    await first.publisher.prepare("t", {});
    const { sink } = await join((await openDrivers({ partitions: 5 }, scope)).subscriber, { topics: ["t", "u"] });
    await turns();
    assert.deepEqual(held(sink), ["t/0", "u/0", "u/1", "u/2", "u/3", "u/4"]);
  });

  it("delivers never inside send", async () => {
    const { publisher, subscriber } = await openDrivers();
    const { sink } = await join(subscriber, { topics: ["t"] });
    await turns();
    const sending = publisher.send(publisher.lane(record("t", "k", "1")), [record("t", "k", "1")], {});
    assert.deepEqual(sink.values, []);
    await sending;
    await turns();
    assert.deepEqual(sink.values, ["1"]);
  });

  it("stamps records with the context's clock", async () => {
    const { publisher, subscriber } = await openDrivers({}, {}, { now: () => 42, sleep: async () => {} });
    await send(publisher, [record("t", "k", "1")]);
    const { sink } = await join(subscriber, { topics: ["t"] });
    await turns();
    assert.equal(sink.received[0]?.timestampMs, 42);
  });

  it("stores nothing once the signal has aborted", async () => {
    const { publisher, subscriber } = await openDrivers();
    await assert.rejects(publisher.send("t/0", [record("t", "k", "1")], { signal: AbortSignal.abort() }), { name: "AbortError" });
    const { sink } = await join(subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(sink.values, []);
  });

  it("hands every reader bytes of its own", async () => {
    const { publisher, subscriber } = await openDrivers();
    await send(publisher, [record("t", "k", "value")]);
    const one = await join(subscriber, { topics: ["t"], group: "one" });
    await turns();
    one.sink.received[0]?.value?.fill(0);
    one.sink.received[0]?.headers[0]?.[1]?.fill(0);
    const other = await join(subscriber, { topics: ["t"], group: "other" });
    await turns();
    assert.deepEqual(other.sink.values, ["value"]);
    assert.equal(Buffer.from(other.sink.received[0]?.headers[0]?.[1] ?? []).toString(), "t");
  });
});

describe("memory: groups", () => {
  it("gives each group everything, from its own position", async () => {
    const { publisher, subscriber } = await openDrivers();
    await send(publisher, numbered(5));
    const one = await join(subscriber, { topics: ["t"], group: "one" });
    const late = await join(subscriber, { topics: ["t"], group: "late", from: "latest" });
    await send(publisher, [record("t", "k", "new")]);
    await turns();
    assert.equal(one.sink.received.length, 6);
    assert.deepEqual(late.sink.values, ["new"]);
  });

  it("remembers the position of a group that began at the latest", async () => {
    const { publisher, subscriber } = await openDrivers();
    const first = await join(subscriber, { topics: ["t"], from: "latest" });
    await turns();
    await first.source.leave();
    await send(publisher, [record("t", "k", "missed")]);
    const second = await join(subscriber, { topics: ["t"], from: "latest" });
    await turns();
    assert.deepEqual(second.sink.values, ["missed"]);
  });

  it("delivers a partition in order and each offset once", async () => {
    const { publisher, subscriber } = await openDrivers({ partitions: 1 });
    await send(publisher, numbered(1000));
    const { sink } = await join(subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(
      sink.received.map(({ offset }) => offset),
      Array.from({ length: 1000 }, (_, index) => index),
    );
  });

  it("stops at a pause, also within a backlog, and goes on where it stopped", async () => {
    const { publisher, subscriber } = await openDrivers({ partitions: 1 });
    await send(publisher, numbered(1000));
    const { sink, source } = await join(subscriber, { topics: ["t"] });
    sink.onRecords = (partition) => source.pause([partition]);
    await turns();
    const before = sink.received.length;
    assert.ok(before > 0 && before < 1000);
    assert.equal(source.lag(), 1000 - before);
    sink.onRecords = () => {};
    source.resume([{ topic: "t", partition: 0 }]);
    await turns();
    assert.deepEqual(
      sink.received.map(({ offset }) => offset),
      Array.from({ length: 1000 }, (_, index) => index),
    );
    assert.equal(source.lag(), 0);
  });

  it("delivers again what lies behind the acknowledged prefix", async () => {
    const { publisher, subscriber } = await openDrivers({ partitions: 1 });
    await send(publisher, numbered(5));
    const first = await join(subscriber, { topics: ["t"] });
    await turns();
    const [zero, one, , three] = first.sink.received;
    await first.source.acknowledge([three, one, zero] as never, {});
    await first.source.leave();
    await first.source.leave();
    const second = await join(subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(second.sink.values, ["2", "3", "4"]);
  });

  it("shares partitions evenly and moves as few as possible", async () => {
    const { subscriber } = await openDrivers({ partitions: 4 });
    const one = await join(subscriber, { topics: ["t"] });
    await turns();
    const two = await join(subscriber, { topics: ["t"] });
    await turns();
    assert.equal(one.sink.revocations.flat().length, 2);
    const kept = held(one.sink);
    const three = await join(subscriber, { topics: ["t"] });
    await turns();
    assert.equal([one, two, three].flatMap(({ sink }) => sink.revocations.flat()).length, 3);
    await three.source.leave();
    await turns();
    assert.deepEqual([...held(one.sink), ...held(two.sink)].sort(), ["t/0", "t/1", "t/2", "t/3"]);
    assert.deepEqual(held(one.sink).filter((lane) => kept.includes(lane)).length > 0, true);
    assert.deepEqual([held(one.sink).length, held(two.sink).length], [2, 2]);
  });

  it("assigns topics only to members that subscribed to them", async () => {
    const { subscriber } = await openDrivers({ partitions: 2 });
    const one = await join(subscriber, { topics: ["t", "u"] });
    const two = await join(subscriber, { topics: ["u"] });
    await turns();
    assert.deepEqual(held(one.sink), ["t/0", "t/1"]);
    assert.deepEqual(held(two.sink), ["u/0", "u/1"]);
  });

  it("spreads topics of one partition over the members", async () => {
    const { subscriber } = await openDrivers({ partitions: 1 });
    const topics = ["a", "b", "c", "d"];
    const [one, two] = [await join(subscriber, { topics }), await join(subscriber, { topics })];
    await turns();
    assert.deepEqual([held(one.sink).length, held(two.sink).length], [2, 2]);
  });

  it("hands a partition on only after the engine let go of it, and then without what was acknowledged", async () => {
    const { publisher, subscriber } = await openDrivers({ partitions: 2 });
    await send(publisher, numbered(20));
    const one = await join(subscriber, { topics: ["t"] });
    await turns();
    let letGo = (): void => {};
    one.sink.onRevoked = () =>
      new Promise((resolve) => {
        letGo = resolve;
      });
    const two = await join(subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(held(two.sink), []);
    const [moving] = one.sink.revocations.flat();
    const records = one.sink.received.filter(({ partition }) => partition === moving?.partition);
    const before = one.sink.received.length;
    await send(publisher, numbered(20));
    await turns();
    assert.ok(one.sink.received.slice(before).every(({ partition }) => partition !== moving?.partition));
    await one.source.acknowledge(records, {});
    letGo();
    await turns();
    assert.deepEqual(held(two.sink), [`t/${moving?.partition}`]);
    assert.equal(two.sink.received[0]?.offset, records.length);
  });

  it("passes over acknowledgements from before a partition moved", async () => {
    const { publisher, subscriber } = await openDrivers({ partitions: 1 });
    await send(publisher, numbered(3));
    const one = await join(subscriber, { topics: ["t"] });
    await turns();
    await one.source.leave();
    const two = await join(subscriber, { topics: ["t"] });
    await turns();
    await one.source.acknowledge(one.sink.received, {});
    await two.source.acknowledge(one.sink.received, {});
    await two.source.leave();
    const three = await join(subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(three.sink.values, ["0", "1", "2"]);
  });

  it("passes over offsets that were not delivered", async () => {
    const { publisher, subscriber } = await openDrivers({ partitions: 1 });
    const one = await join(subscriber, { topics: ["t"] });
    await turns();
    const future = { topic: "t", partition: 0, offset: 0, key: null, value: null, headers: [], timestampMs: 0 };
    await one.source.acknowledge([future], {});
    await send(publisher, numbered(2));
    await turns();
    await one.source.acknowledge(one.sink.received.slice(1), {});
    await one.source.leave();
    const two = await join(subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(two.sink.values, ["0", "1"]);
  });

  it("lets others take over at once when a member leaves, also one that is still letting go", async () => {
    const { subscriber } = await openDrivers({ partitions: 2 });
    const one = await join(subscriber, { topics: ["t"] });
    await turns();
    one.sink.onRevoked = () => new Promise(() => {});
    const two = await join(subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(held(two.sink), []);
    await one.source.leave();
    await turns();
    assert.deepEqual(held(two.sink), ["t/0", "t/1"]);
    assert.equal(one.sink.revocations.length, 1);
  });

  it("tells a source that has left nothing more", async () => {
    const { publisher, subscriber } = await openDrivers();
    const { sink, source } = await join(subscriber, { topics: ["t"] });
    await send(publisher, numbered(5));
    await source.leave();
    await send(publisher, numbered(5));
    await turns();
    assert.deepEqual(sink.received, []);
  });
});
