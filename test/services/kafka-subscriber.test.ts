import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, systemClock } from "../../core/index.ts";
import { bareKafkajs, committedOffsets, createTopic, openProvider, outgoing, Reader, sendAll, uniqueName, until } from "./kafka.ts";

const numbered = (topic: string, count: number, from = 0): ReturnType<typeof outgoing>[] =>
  Array.from({ length: count }, (_, index) => outgoing(topic, `key-${(from + index) % 20}`, String(from + index)));

test("a successor goes on behind what was acknowledged, and repeats what was not", async () => {
  await using provider = await openProvider();
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic);
  await sendAll(provider.publisher, numbered(topic, 5));
  const first = await Reader.join(provider.subscriber, group, [topic]);
  await until("all records", () => first.seen.length === 5);
  // 0, 1 and 3 are settled: the position stays before 2.
  await first.source.acknowledge(
    [0, 3, 1].map((index) => first.seen[index] as (typeof first.seen)[number]),
    {},
  );
  assert.equal((await committedOffsets(group, topic)).get(0), 2);
  await first.source.leave();
  const second = await Reader.join(provider.subscriber, group, [topic]);
  await until("the rest", () => second.seen.length === 3);
  await second.source.leave();
  assert.deepEqual(second.values, ["2", "3", "4"]);
  assert.deepEqual([first.failures, second.failures], [[], []]);
});

test("leaving takes less than a second, hands over at once, and can be repeated", async () => {
  await using provider = await openProvider();
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic, 3);
  const first = await Reader.join(provider.subscriber, group, [topic]);
  const second = await Reader.join(provider.subscriber, group, [topic]);
  await until("both to share", () => first.held.length + second.held.length === 3 && first.held.length > 0 && second.held.length > 0);
  const begin = performance.now();
  await Promise.all([first.source.leave(), first.source.leave()]);
  assert.ok(performance.now() - begin < 1_000);
  await until("the other to take over", () => second.held.length === 3);
  assert.ok(performance.now() - begin < 5_000, "sooner than the session would end");
  await second.source.leave();
});

test("leaving while the join waits for others is as quick", async () => {
  await using provider = await openProvider();
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic);
  let done = (): void => {};
  const slow = await Reader.join(provider.subscriber, group, [topic], (reader) => {
    reader.onRevoked = () =>
      new Promise((resolve) => {
        done = resolve;
      });
  });
  await until("the first to hold the partition", () => slow.held.length === 1);
  const late = await Reader.join(provider.subscriber, group, [topic]);
  await until("the first to be asked for it", () => slow.revocations.length === 1);
  const begin = performance.now();
  await late.source.leave();
  assert.ok(performance.now() - begin < 1_500);
  assert.equal(late.assignments, 0);
  done();
  await until("the first to hold it again", () => slow.assignments === 2);
  await slow.source.leave();
});

test("members come and go without a record lost, or one acknowledged coming again", async () => {
  await using provider = await openProvider();
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic, 4);
  const counts = new Map<string, number>();
  const join = (): Promise<Reader> =>
    Reader.join(provider.subscriber, group, [topic], (reader) => {
      let acknowledged = Promise.resolve();
      reader.onRecords = (records) => {
        for (const { value } of records) counts.set(String(value), (counts.get(String(value)) ?? 0) + 1);
        acknowledged = acknowledged.then(() => reader.source.acknowledge(records, {}));
      };
      // As the engine does: what was handed over is settled before the partitions go.
      reader.onRevoked = () => acknowledged;
    });
  const first = await join();
  let sent = 0;
  const send = async (count: number): Promise<void> => {
    await sendAll(provider.publisher, numbered(topic, count, sent));
    sent += count;
  };
  await until("the first to have all", () => first.held.length === 4);
  await send(200);
  const second = await join();
  await until("two to share", () => first.held.length === 2 && second.held.length === 2);
  await send(200);
  const third = await join();
  await send(200);
  await until("three to share", () => third.held.length > 0 && first.held.length + second.held.length + third.held.length === 4);
  await send(200);
  await until("all but what is in the leaver's hands", () => counts.size === sent);
  await second.onRevoked();
  await second.source.leave();
  await send(200);
  await until("every record", () => counts.size === sent);
  await Promise.all([first.onRevoked(), third.onRevoked()]);
  await Promise.all([first.source.leave(), third.source.leave()]);
  assert.deepEqual(
    [...counts].filter(([, count]) => count > 1),
    [],
  );
  const committed = await committedOffsets(group, topic);
  assert.equal(
    [...committed.values()].reduce((sum, offset) => sum + Math.max(0, offset), 0),
    sent,
  );
});

test("a rebalance waits until running work is done, and what it acknowledges counts", async () => {
  await using provider = await openProvider();
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic, 2);
  await sendAll(provider.publisher, numbered(topic, 40));
  const first = await Reader.join(provider.subscriber, group, [topic], (reader) => {
    reader.onRevoked = async () => {
      await until("the work to be let go", () => released);
      await reader.source.acknowledge(reader.seen, {});
    };
  });
  let released = false;
  await until("all records", () => first.seen.length === 40);
  const second = await Reader.join(provider.subscriber, group, [topic]);
  await until("the revocation", () => first.revocations.length === 1);
  assert.deepEqual([first.revocations[0]?.lost, first.revocations[0]?.partitions.length, second.assignments], [false, 2, 0]);
  released = true;
  await until("both to share", () => first.held.length === 1 && second.held.length === 1);
  const more = numbered(topic, 40, 40);
  await sendAll(provider.publisher, more);
  await until("the new records", () => first.seen.length + second.seen.length === 80);
  await Promise.all([first.source.leave(), second.source.leave()]);
});

test("what is acknowledged after the partition has gone is passed over, also if it comes back", async () => {
  await using provider = await openProvider({ rebalanceTimeoutMs: 1_000 });
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic);
  await sendAll(provider.publisher, numbered(topic, 3));
  let stuck = true;
  const first = await Reader.join(provider.subscriber, group, [topic], (reader) => {
    reader.onRevoked = () => (stuck ? new Promise(() => {}) : Promise.resolve());
  });
  await until("the records", () => first.seen.length === 3);
  const old = [...first.seen];
  const second = await Reader.join(provider.subscriber, group, [topic]);
  await until("the group to go on without waiting for ever", () => first.assignments === 2);
  stuck = false;
  await second.source.leave();
  await until("the partition to be back, from its start", () => first.assignments === 3 && first.seen.length === first.seenBefore + 3);
  await first.source.acknowledge(old, {});
  assert.equal((await committedOffsets(group, topic)).get(0), -1);
  await first.source.acknowledge(first.seen.slice(-3, -1), {});
  assert.equal((await committedOffsets(group, topic)).get(0), 2);
  await first.source.leave();
});

test("a paused partition rests, the others go on, and a resumed one continues at once where it was", async () => {
  await using provider = await openProvider();
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic, 2);
  const of = (partition: number): number => reader.seen.filter((record) => record.partition === partition).length;
  const reader = await Reader.join(provider.subscriber, group, [topic]);
  await until("the partitions", () => reader.held.length === 2);
  await sendAll(provider.publisher, numbered(topic, 40));
  await until("the first records", () => reader.seen.length === 40);
  const rested = of(0);
  reader.source.pause([{ topic, partition: 0 }]);
  // A record of it may still be under way; one more round of the other shows that it is not.
  await sendAll(provider.publisher, numbered(topic, 40));
  await until("the other partition's", () => of(1) === 2 * (40 - rested));
  assert.equal(of(0), rested);
  reader.source.pause([{ topic, partition: 1 }]);
  const begin = performance.now();
  reader.source.resume([{ topic, partition: 0 }]);
  await until("the rest", () => reader.seen.length === 80);
  assert.ok(performance.now() - begin < 400, `${performance.now() - begin} ms`);
  assert.equal(reader.source.lag(), 0);
  const offsets = reader.seen.filter((record) => record.partition === 0).map((record) => record.offset);
  assert.deepEqual(offsets, [...offsets.keys()]);
  await reader.source.leave();
});

test("a missing topic is waited for, and read from its first record once it is there", async () => {
  await using provider = await openProvider({ autoCreateTopics: false });
  const [there, missing, group] = [uniqueName(), uniqueName("missing"), uniqueName("group")];
  await createTopic(there);
  const reader = await Reader.join(provider.subscriber, group, [there, missing]);
  await until("the trouble", () => reader.troubles.at(-1)?.reason.includes(missing) === true);
  await sendAll(provider.publisher, [outgoing(there, "k", "1")]);
  await until("the other topic's record", () => reader.seen.length === 1);
  await createTopic(missing);
  await sendAll(provider.publisher, [outgoing(missing, "k", "2")]);
  await until("its record", () => reader.seen.some((record) => record.topic === missing));
  await until("the end of the trouble", () => reader.troubles.at(-1) === undefined);
  assert.deepEqual(reader.failures, []);
  await reader.source.leave();
});

test("members that read different topics get only their own", async () => {
  await using provider = await openProvider();
  const [mine, yours, group] = [uniqueName("mine"), uniqueName("yours"), uniqueName("group")];
  await createTopic(mine, 3);
  await createTopic(yours, 3);
  const me = await Reader.join(provider.subscriber, group, [mine]);
  const you = await Reader.join(provider.subscriber, group, [yours]);
  await until("both to have theirs", () => me.held.length === 3 && you.held.length === 3);
  assert.ok(me.held.every(({ topic }) => topic === mine) && you.held.every(({ topic }) => topic === yours));
  await Promise.all([me.source.leave(), you.source.leave()]);
});

test("partitions that are added are found and read", async () => {
  // Looked for every half a minute; here the clock runs faster.
  const clock: Clock = { now: systemClock.now, sleep: (ms, signal) => systemClock.sleep(ms === 30_000 ? 300 : ms, signal) };
  await using provider = await openProvider({}, { clock });
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic, 1);
  const first = await Reader.join(provider.subscriber, group, [topic]);
  await until("one partition", () => first.held.length === 1);
  const admin = bareKafkajs().admin();
  await admin.connect();
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
  await admin.disconnect();
  await until("three partitions", () => first.held.length === 3);
  await sendAll(provider.publisher, numbered(topic, 20));
  await until("the records of all", () => first.seen.length === 20 && new Set(first.seen.map(({ partition }) => partition)).size === 3);
  await first.source.leave();
});

test("a topic that the broker creates on demand is no trouble, and its first event arrives at once", async () => {
  await using provider = await openProvider();
  const [topic, group] = [uniqueName(), uniqueName("group")];
  const reader = await Reader.join(provider.subscriber, group, [topic]);
  await until("its partitions", () => reader.held.length === 3);
  await provider.publisher.prepare(topic, {});
  const begin = performance.now();
  await sendAll(provider.publisher, [outgoing(topic, "k", "1")]);
  await until("the record", () => reader.seen.length === 1);
  // Less than a request for records that lie in the future may wait.
  assert.ok(performance.now() - begin < 450, `${performance.now() - begin} ms`);
  assert.deepEqual([reader.troubles, reader.assignments], [[], 1]);
  await reader.source.leave();
});

test("a position that is no longer there is left for the earliest record, never for the latest", async () => {
  await using provider = await openProvider();
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic);
  await sendAll(provider.publisher, numbered(topic, 10));
  const admin = bareKafkajs().admin();
  await admin.connect();
  await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: "2" }] });
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "5" }] });
  await admin.disconnect();
  const reader = await Reader.join(provider.subscriber, group, [topic]);
  await until("what is left", () => reader.seen.length === 5);
  assert.deepEqual(
    reader.seen.map((record) => record.offset),
    [5, 6, 7, 8, 9],
  );
  assert.ok(provider.lines.some(({ level, message }) => level === "warn" && /out of range/.test(message)));
  await reader.source.leave();
});

test("records of aborted transactions are not delivered, and the position passes the marks of transactions", async () => {
  await using provider = await openProvider();
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic);
  const producer = bareKafkajs().producer({ transactionalId: uniqueName("tx"), idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  for (const [value, end] of [
    ["dropped", "abort"],
    ["kept", "commit"],
  ] as const) {
    const transaction = await producer.transaction();
    await transaction.send({ topic, messages: [{ key: "k", value }] });
    await transaction[end]();
  }
  await producer.disconnect();
  const reader = await Reader.join(provider.subscriber, group, [topic]);
  await until("no lag", () => reader.source.lag() === 0);
  assert.deepEqual(reader.values, ["kept"]);
  await reader.source.leave();
});

test("lag counts what has not been delivered, what has been read ahead too", async () => {
  await using provider = await openProvider();
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic, 2);
  const reader = await Reader.join(provider.subscriber, group, [topic]);
  assert.equal(reader.source.lag(), undefined);
  await until("no lag", () => reader.source.lag() === 0);
  const rests = { topic, partition: 0 };
  reader.source.pause([rests]);
  await sendAll(provider.publisher, numbered(topic, 40));
  await until("the other partition", () => reader.seen.length > 0 && reader.source.lag() === 40 - reader.seen.length);
  assert.ok(reader.seen.every(({ partition }) => partition === 1));
  reader.source.resume([rests]);
  await until("the rest", () => reader.seen.length === 40 && reader.source.lag() === 0);
  await reader.source.leave();
});

test("the group speaks the protocols that other clients offer, under the client id that was asked for", async () => {
  await using provider = await openProvider();
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic);
  const reader = await Reader.join(provider.subscriber, group, [topic]);
  await until("the partition", () => reader.held.length === 1);
  const admin = bareKafkajs().admin();
  await admin.connect();
  const [description] = (await admin.describeGroups([group])).groups;
  await admin.disconnect();
  assert.deepEqual([description?.protocolType, description?.protocol, description?.members.length], ["consumer", "roundrobin", 1]);
  assert.equal(description?.members[0]?.clientId, "tested.001");
  await reader.source.leave();
});
