import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type EventContext, openRegistry, type ReceivedEvent } from "../../core/index.ts";
import { plugin } from "../../plugins/kafka/index.ts";
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

/** A registry whose subscription notes what its handler got. */
async function subscribed(handle: (event: ReceivedEvent, context: EventContext) => void | Promise<void>) {
  const [topic, group] = [uniqueName(), uniqueName("group")];
  await createTopic(topic, 1, brokers);
  const registry = await openRegistry({
    config: {
      service: { name: group },
      log: { level: "silent" },
      providers: { events: { plugin: "kafka", options: { brokers, sessionTimeoutMs: 6_000, heartbeatIntervalMs: 200 } } },
      protocols: { eventPublisher: "events", eventSubscriber: "events" },
    },
    env: {},
    plugins: [plugin],
  });
  const seen: { readonly n: number; readonly aborted: () => boolean }[] = [];
  const subscription = registry.get("eventSubscriber").subscribe({
    topics: [topic],
    types: ["counted"],
    consume: (event, context) => {
      seen.push({ n: (event.payload as { n: number }).n, aborted: () => context.signal.aborted });
      return handle(event, context);
    },
  });
  const publish = (n: number): Promise<void> =>
    registry.get("eventPublisher").publish({ topic, type: "counted", key: `key-${n}`, payload: { n } });
  return { topic, group, registry, subscription, seen, publish };
}

test("a member that is thrown out while a handler is slow: told to end, never committed, delivered again", async () => {
  let slow = true;
  let end = (): void => {};
  const { topic, group, registry, subscription, seen, publish } = await subscribed(async () => {
    if (slow) await new Promise<void>((resolve) => (end = resolve));
  });
  await using _ = registry;
  await publish(1);
  await until("the handler", () => seen.length === 1);
  const { memberId } = await memberOf(group);
  await expel(group, memberId);
  await until("the handler to be told", () => seen[0]?.aborted() === true);
  slow = false;
  await until("the event again", () => seen.length === 2);
  end();
  await publish(2);
  await until("the next event", () => seen.length === 3);
  await subscription.stop();
  assert.deepEqual(
    seen.map(({ n }) => n),
    [1, 1, 2],
  );
  assert.equal(await committedAt(topic, group), 2);
});

test("a member whose event loop stood still for longer than its session joins again by itself", async () => {
  let block = true;
  const { topic, group, registry, subscription, seen, publish } = await subscribed(() => {
    if (block) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 8_000);
    block = false;
  });
  await using _ = registry;
  await publish(1);
  await until("the block to be over", () => !block);
  await publish(2);
  await until("the next event", () => seen.some(({ n }) => n === 2));
  assert.notEqual(subscription.state, "failed");
  await subscription.stop();
  assert.equal(await committedAt(topic, group), 2);
});

async function committedAt(topic: string, groupId: string): Promise<number> {
  const admin = bareKafkajs(brokers).admin();
  await admin.connect();
  const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
  await admin.disconnect();
  return Number(found?.partitions[0]?.offset);
}

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
