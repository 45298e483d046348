import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ScriptedKafka } from "./kafka.mjs";
import { startKafka } from "./kafka.mjs";
import { bareKafkajs, createTopic, openProvider, outgoing, Reader, sendAll, uniqueName, until } from "./kafka.ts";

// A broker of their own, since they kill it.
let kafka: ScriptedKafka;
let brokers: string[];
before(async () => {
  kafka = await startKafka({ container: false });
  brokers = (kafka.addresses.KAFKA_BROKERS as string).split(",");
});
after(() => kafka?.stop());

test("a broker that is killed and comes back: degraded meanwhile, nothing lost, no rebalance, and on within seconds", async (t) => {
  await using provider = await openProvider({ brokers, requestTimeoutMs: 3_000 });
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic, 3, brokers);
  const acknowledged: Promise<void>[] = [];
  const reader = await Reader.join(provider.subscriber, group, [topic], (each) => {
    each.onRecords = (records) => void acknowledged.push(each.source.acknowledge(records, {}));
  });
  const send = (from: number, count: number): Promise<void> =>
    sendAll(
      provider.publisher,
      Array.from({ length: count }, (_, index) => outgoing(topic, `key-${index % 10}`, String(from + index))),
    );
  await send(0, 50);
  await until("the first records", () => reader.seen.length >= 50);
  await kafka.kill();
  await until("the trouble", () => reader.troubles.at(-1) !== undefined);
  await assert.rejects(provider.ping());
  // Sent while nobody listens, and kept trying as core would.
  const sending = send(50, 50);
  await kafka.restart();
  const back = performance.now();
  await sending;
  await until("every record", () => new Set(reader.values).size === 100);
  const silentMs = performance.now() - back;
  t.diagnostic(`on again ${Math.round(silentMs)} ms after the broker`);
  await until("the end of the trouble", () => reader.troubles.at(-1) === undefined);
  assert.ok(silentMs < 6_000, `${silentMs} ms`);
  assert.deepEqual(reader.failures, []);
  assert.equal(reader.assignments, 1);
  await provider.ping();
  await Promise.all(acknowledged);
  await reader.source.leave();
});

test("an acknowledgement waits for a broker that is away, and is remembered", async () => {
  await using provider = await openProvider({ brokers, requestTimeoutMs: 3_000 });
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic, 1, brokers);
  await sendAll(provider.publisher, [outgoing(topic, "k", "1"), outgoing(topic, "k", "2")]);
  const first = await Reader.join(provider.subscriber, group, [topic]);
  await until("both records", () => first.seen.length === 2);
  await kafka.kill();
  const acknowledged = first.source.acknowledge(first.seen.slice(0, 1), {});
  await kafka.restart();
  await acknowledged;
  await first.source.leave();
  const second = await Reader.join(provider.subscriber, group, [topic]);
  await until("the other record", () => second.seen.length === 1);
  assert.deepEqual(second.values, ["2"]);
  await second.source.leave();
});

test("leaving and closing take no longer than a second or two without the broker", async () => {
  const provider = await openProvider({ brokers, requestTimeoutMs: 30_000 });
  const topic = uniqueName();
  await createTopic(topic, 1, brokers);
  const reader = await Reader.join(provider.subscriber, uniqueName("group"), [topic]);
  await until("the partition", () => reader.held.length === 1);
  await kafka.kill();
  const begin = performance.now();
  await reader.source.leave();
  await provider[Symbol.asyncDispose]();
  assert.ok(performance.now() - begin < 2_000, `${performance.now() - begin} ms`);
  await kafka.restart();
});

test("a member that is thrown out of its group says that its partitions are lost, and joins again", async () => {
  await using provider = await openProvider({ brokers, sessionTimeoutMs: 6_000 });
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic, 1, brokers);
  await sendAll(provider.publisher, [outgoing(topic, "k", "1")]);
  const reader = await Reader.join(provider.subscriber, group, [topic]);
  await until("the record", () => reader.seen.length === 1);
  const { memberId } = await memberOf(group);
  await expel(group, memberId);
  await until("the loss", () => reader.revocations.length === 1);
  assert.equal(reader.revocations[0]?.lost, true);
  await until("the record again", () => reader.seen.length === 2);
  // Of the lost assignment: passed over, not an error.
  await reader.source.acknowledge(reader.seen.slice(0, 1), {});
  await reader.source.acknowledge(reader.seen.slice(1), {});
  await reader.source.leave();
  assert.deepEqual(reader.failures, []);
});

async function memberOf(group: string): Promise<{ memberId: string }> {
  const admin = bareKafkajs(brokers).admin();
  await admin.connect();
  const [description] = (await admin.describeGroups([group])).groups;
  await admin.disconnect();
  return description?.members[0] as { memberId: string };
}

/** Leaves in the member's name: for the coordinator, as if its session had ended. */
async function expel(group: string, memberId: string): Promise<void> {
  await using client = await openProvider({ brokers });
  const { coordinator } = await client.cluster.anyBroker("findCoordinator", { groupId: group });
  await client.cluster.at(coordinator, "group", "leaveGroup", { groupId: group, memberId });
}
