import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import type { EventSubscriberDriver, PartitionExtent, Plugin, Registry, SourceRecord, TopicAccess } from "../../core/index.ts";
import { insideOf } from "../../core/inside.ts";
import { EventBench, type EventBroker, type Service, testTimeoutMs, text, until } from "./event-broker.ts";

export interface TopicAccessSubject {
  readonly name: string;
  /** Why it cannot run here, or false; the reason is printed with the skipped suite. */
  readonly skip?: string | false;
  /** Must have `eventPublisher` and `eventSubscriber`, whose driver has `topics`. */
  readonly plugin: Plugin;
  open(): Promise<EventBroker>;
}

/** What an `eventSubscriber` driver owes that has `topics`, by which the test kit records, clears and knows when all is handled. */
export function testTopicAccess(subject: TopicAccessSubject): void {
  describe(`eventSubscriber.topics: ${subject.name}`, { skip: subject.skip ?? false }, () => {
    let bench: EventBench;
    before(async () => {
      bench = new EventBench(subject.plugin, await subject.open());
    });
    after(() => bench?.broker.close());
    const test = (name: string, work: () => Promise<void>): void => void it(name, { timeout: testTimeoutMs }, work);

    const publish = ({ publisher }: Service, topic: string, from: number, count: number): Promise<void> =>
      publisher.publishAll(
        Array.from({ length: count }, (_, index) => {
          const n = from + index;
          return { topic, type: "tested", key: `key-${n % 5}`, payload: { n }, headers: { note: `n${n}` } };
        }),
      );
    const size = (extents: readonly PartitionExtent[]): number => extents.reduce((sum, { start, end }) => sum + end - start, 0);

    test("know the names of topics, and create none by looking for it", async () => {
      await using service = await bench.open();
      const access = await accessOf(service.registry);
      const [topic, missing] = [await bench.topic(), `conformance-${randomUUID()}`];
      assert.deepEqual(await access.extents([missing], {}), [], "a topic that does not exist has no partitions");
      assert.deepEqual(await access.positions(randomUUID(), [missing], {}), [], "and no positions");
      const names = await access.list({});
      assert.ok(names.includes(topic), "a topic that exists is in the list");
      assert.ok(!names.includes(missing), "one that was asked for is not made by it");
    });

    test("give the extent of every partition, and count whatever was published", async () => {
      await using service = await bench.open();
      const access = await accessOf(service.registry);
      const topic = await bench.topic(3);
      const empty = await access.extents([topic], {});
      assert.deepEqual(empty.map(({ partition }) => partition).sort(), [0, 1, 2], "an empty topic has its partitions");
      assert.equal(size(empty), 0, "and nothing in them");
      for (let n = 1; n <= 3; n += 1) {
        await publish(service, topic, n * 10, 10);
        assert.equal(size(await access.extents([topic], {})), n * 10, "what a publisher was told is stored is within the extent");
      }
    });

    test("read exactly what lies in an extent, in order and as it is stored", async () => {
      await using service = await bench.open();
      const access = await accessOf(service.registry);
      const topic = await bench.topic();
      await publish(service, topic, 0, 5);
      const [before] = await access.extents([topic], {});
      await publish(service, topic, 5, 700);
      const [between] = await access.extents([topic], {});
      await publish(service, topic, 705, 5);
      assert.ok(before !== undefined && between !== undefined, "the topic has its partition");
      const records = await readAll(access, { ...between, start: before.end });
      assert.deepEqual(
        records.map(({ value }) => JSON.parse(text(value)).n),
        Array.from({ length: 700 }, (_, index) => index + 5),
        "nothing before it, nothing behind it, and all in between",
      );
      const [first] = records;
      assert.equal(first?.topic, topic);
      assert.equal(first.partition, between.partition);
      assert.equal(text(first.key), "key-0");
      assert.ok(Math.abs(first.timestampMs - Date.now()) < 86_400_000, "it has the time at which it was produced");
      assert.deepEqual(
        first.headers
          .filter(([name]) => name === "type" || name === "note")
          .map(([name, value]) => `${name}=${text(value)}`)
          .sort(),
        ["note=n5", "type=tested"],
      );
      assert.deepEqual(await readAll(access, { ...between, start: between.end }), [], "an empty extent holds nothing");
    });

    test("tell where a group goes on, and nothing of one that has no position", async () => {
      await using service = await bench.open();
      const access = await accessOf(service.registry);
      const [topic, group] = [await bench.topic(2), randomUUID()];
      assert.deepEqual(await access.positions(group, [topic], {}), []);
      await publish(service, topic, 0, 20);
      const seen: unknown[] = [];
      const consume = ({ payload }: { payload: unknown }): void => void seen.push(payload);
      const subscription = service.subscriber.subscribe({ topics: [topic], types: ["tested"], consume }, { group });
      await until("all to be handled", () => seen.length === 20);
      await subscription.stop();
      const extents = await access.extents([topic], {});
      const positions = await access.positions(group, [topic], {});
      for (const { partition, start, end } of extents) {
        const position = positions.find((each) => each.partition === partition)?.offset ?? start;
        assert.equal(position, end, `the group goes on at the end of partition ${partition}`);
      }
    });

    test("clear a topic, whose offsets go on growing and whose groups go on with what comes next", async () => {
      await using service = await bench.open();
      const access = await accessOf(service.registry);
      const topic = await bench.topic(2);
      await publish(service, topic, 0, 20);
      const seen: number[] = [];
      const consume = ({ payload }: { payload: unknown }): void => void seen.push((payload as { n: number }).n);
      service.subscriber.subscribe({ topics: [topic], types: ["tested"], consume }, { group: randomUUID() });
      await until("all to be handled", () => seen.length === 20);
      const before = await access.extents([topic], {});
      await access.clear(before, {});
      const cleared = await access.extents([topic], {});
      for (const { partition, start, end } of cleared) {
        assert.equal(start, end, `nothing is left in partition ${partition}`);
        assert.equal(end, before.find((each) => each.partition === partition)?.end, `partition ${partition} keeps its end`);
      }
      await publish(service, topic, 20, 10);
      await until("what was published afterwards", () => seen.length === 30);
      assert.deepEqual(
        [...seen].sort((a, b) => a - b),
        Array.from({ length: 30 }, (_, n) => n),
      );
      await access.clear(await access.extents([topic], {}), {});
      await using other = await bench.open();
      const late: number[] = [];
      const note = ({ payload }: { payload: unknown }): void => void late.push((payload as { n: number }).n);
      other.subscriber.subscribe({ topics: [topic], types: ["tested"], consume: note }, { group: randomUUID() });
      await publish(other, topic, 30, 3);
      await until("the events behind what was cleared", () => late.length === 3);
      assert.deepEqual([...late].sort(), [30, 31, 32], "a new group sees nothing of what was cleared");
    });

    test("clear up to the end of an extent, and what came later stays", async () => {
      await using service = await bench.open();
      const access = await accessOf(service.registry);
      const topic = await bench.topic();
      await publish(service, topic, 0, 4);
      const extents = await access.extents([topic], {});
      await publish(service, topic, 4, 2);
      await access.clear(extents, {});
      const [left] = await access.extents([topic], {});
      assert.ok(left !== undefined, "the topic has its partition");
      const records = await readAll(access, { ...left, start: 0 });
      assert.deepEqual(
        records.map(({ value }) => JSON.parse(text(value)).n),
        [4, 5],
        "reading from before the begin gives what is there",
      );
      const part = await readAll(access, { ...left, start: 0, end: 5 });
      assert.deepEqual(
        part.map(({ value }) => JSON.parse(text(value)).n),
        [4],
        "and nothing from the end on",
      );
      await access.clear(extents, {});
      assert.equal(size(await access.extents([topic], {})), 2, "clearing twice is harmless");
    });

    test("end with their signal", async () => {
      await using service = await bench.open();
      const access = await accessOf(service.registry);
      const topic = await bench.topic();
      await publish(service, topic, 0, 1);
      const [extent] = await access.extents([topic], {});
      assert.ok(extent !== undefined, "the topic has its partition");
      const signal = AbortSignal.abort(new Error("enough"));
      await assert.rejects(access.list({ signal }));
      await assert.rejects(access.extents([topic], { signal }));
      await assert.rejects(access.positions(randomUUID(), [topic], { signal }));
      await assert.rejects(readAll(access, extent, signal));
      await assert.rejects(access.clear([extent], { signal }));
      assert.equal(size(await access.extents([topic], {})), 1, "nothing was cleared");
    });
  });
}

async function accessOf(registry: Registry): Promise<TopicAccess> {
  const found = await insideOf(registry, "testTopicAccess").beside("eventSubscriber", "eventSubscriber");
  const access = (found?.driver as EventSubscriberDriver | undefined)?.topics;
  assert.ok(access !== undefined, "the plugin's eventSubscriber driver must have `topics`");
  return access;
}

async function readAll(access: TopicAccess, extent: PartitionExtent, signal?: AbortSignal): Promise<SourceRecord[]> {
  const records: SourceRecord[] = [];
  for await (const some of access.read(extent, { signal })) {
    assert.ok(some.length > 0, "no batch is empty");
    records.push(...some);
  }
  return records;
}
