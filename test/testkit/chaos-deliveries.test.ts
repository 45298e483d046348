import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { plugin as memory } from "hexkit/plugins/memory";
import { chaos, memoryFaults } from "hexkit/testkit";
import { join, openDrivers, record, send } from "../plugins/memory/drivers.ts";
import { consume, HurriedClock, openService, partitionKeys, publish, turns, until } from "./service.ts";

const [inZero, inOne, inTwo] = partitionKeys;

describe("chaos: joining", () => {
  it("fails, and is tried again by the engine", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin, clock: new HurriedClock() });
    const fault = plan.fail("eventSubscriber.join", { next: 3 });
    const { seen, subscription } = consume(registry);
    await publish(registry, "a", 1);
    await until(() => seen.length === 1);
    assert.deepEqual([fault.hits, plan.calls("eventSubscriber.join"), subscription.stats().restarts], [3, 4, 3]);
    assert.equal(subscription.state, "running");
  });

  it("fails for good with an error that does not pass", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin });
    plan.fail("eventSubscriber.join", { error: "ERR_HEXKIT_PERMISSION_DENIED" });
    const { subscription } = consume(registry);
    await assert.rejects(subscription.done, { code: "ERR_HEXKIT_PERMISSION_DENIED" });
    assert.equal(subscription.state, "failed");
  });

  it("hangs until released", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin });
    const hanging = plan.hang("eventSubscriber.join");
    const { seen, subscription } = consume(registry);
    await publish(registry, "a", 1);
    await hanging.hit();
    await turns();
    assert.deepEqual([subscription.state, seen], ["starting", []]);
    hanging.lift();
    await until(() => seen.length === 1);
    assert.equal(subscription.state, "running");
  });

  it("leaves no member behind whose joining is reported as failed or happens twice", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin, clock: new HurriedClock() });
    plan.loseAnswer("eventSubscriber.join", { next: 1 });
    plan.repeat("eventSubscriber.join", { next: 1 });
    const { seen, subscription } = consume(registry);
    await until(() => subscription.state === "running");
    await turns();
    for (const key of partitionKeys) await publish(registry, key, 1);
    await until(() => seen.length === 3);
    // Nobody else has any of the partitions.
    await subscription.stop();
    assert.equal(plan.calls("eventSubscriber.leave"), 3);
    assert.equal(subscription.stats().handled, 3);
  });
});

describe("chaos: acknowledgements", () => {
  /** Handles one event, stops, and returns what a successor gets. */
  async function redelivered(plan: (chaotic: ReturnType<typeof chaos>["plan"]) => void): Promise<string[]> {
    const chaotic = chaos(memory);
    const space = randomUUID();
    await using first = await openService({ plugin: chaotic.plugin, space, clock: new HurriedClock() });
    plan(chaotic.plan);
    const { seen, subscription } = consume(first);
    await publish(first, "a", 1);
    await until(() => subscription.stats().handled === 1);
    await subscription.stop();
    assert.deepEqual(seen, ["a1"]);
    await using second = await openService({ space });
    const { seen: again } = consume(second);
    await publish(second, "a", 2);
    await until(() => again.includes("a2"));
    return again;
  }

  it("that fail are repeated, so that a successor gets nothing twice", async () => {
    assert.deepEqual(await redelivered((plan) => plan.fail("eventSubscriber.acknowledge", { next: 2 })), ["a2"]);
  });

  it("that never succeed mean that a successor gets the events again", async () => {
    assert.deepEqual(await redelivered((plan) => plan.fail("eventSubscriber.acknowledge")), ["a1", "a2"]);
  });

  it("that happen but are reported as failed count even so", async () => {
    assert.deepEqual(await redelivered((plan) => plan.loseAnswer("eventSubscriber.acknowledge")), ["a2"]);
  });

  it("that fail with an error that does not pass fail the subscription", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin });
    plan.fail("eventSubscriber.acknowledge", { error: "ERR_HEXKIT_PERMISSION_DENIED", next: 1 });
    const { subscription } = consume(registry);
    await publish(registry, "a", 1);
    await assert.rejects(subscription.done, { code: "ERR_HEXKIT_PERMISSION_DENIED" });
  });
});

describe("chaos: deliveries", () => {
  it("come twice, in order, and the position goes on as if they had come once", async () => {
    const { plugin, plan } = chaos(memory);
    const space = randomUUID();
    await using registry = await openService({ plugin, space });
    for (const n of [1, 2]) await publish(registry, "a", n);
    const fault = plan.repeat("eventSubscriber.records", { next: 1 });
    const { seen, subscription } = consume(registry);
    await until(() => seen.length === 4);
    await publish(registry, "a", 3);
    await until(() => subscription.stats().handled === 5);
    assert.equal(fault.hits, 1);
    assert.deepEqual(seen, ["a1", "a2", "a1", "a2", "a3"]);
    await subscription.stop();
    await using second = await openService({ space });
    const { seen: again } = consume(second);
    await publish(second, "a", 4);
    await until(() => again.length > 0);
    assert.deepEqual(again, ["a4"]);
  });

  it("that hang hold up their partition and no other, and come in order when released", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin });
    const hanging = plan.hang("eventSubscriber.records", { when: ({ partition }) => partition === 1, next: 1 });
    const { seen } = consume(registry);
    await publish(registry, inOne, 1);
    await hanging.hit();
    for (const key of [inZero, inOne, inTwo]) await publish(registry, key, 2);
    await turns();
    assert.deepEqual(seen.sort(), [`${inTwo}2`, `${inZero}2`]);
    hanging.lift();
    await until(() => seen.length === 4);
    assert.deepEqual(seen.slice(2), [`${inOne}1`, `${inOne}2`]);
  });

  it("wait by the registry's clock", async () => {
    const { plugin, plan } = chaos(memory);
    const clock = new HurriedClock();
    await using registry = await openService({ plugin, clock });
    plan.delay("eventSubscriber.records", { ms: 1_234 });
    const { seen } = consume(registry);
    for (const n of [1, 2, 3]) await publish(registry, "a", n);
    await until(() => seen.length === 3);
    assert.deepEqual(seen, ["a1", "a2", "a3"]);
    assert.ok(clock.pauses.every((ms) => ms === 1_234) && clock.pauses.length > 0);
  });

  it("that still hang when their partition is given up come to whoever has it next, once", async () => {
    const { plugin, plan } = chaos(memory);
    const space = randomUUID();
    await using registry = await openService({ plugin, space });
    const hanging = plan.hang("eventSubscriber.records", { next: 1 });
    const { seen, subscription } = consume(registry);
    await publish(registry, "a", 1);
    await hanging.hit();
    memoryFaults(space).rebalance(subscription.group);
    await until(() => seen.length === 1);
    hanging.lift();
    await publish(registry, "a", 2);
    await until(() => seen.length > 1);
    await turns();
    assert.deepEqual(seen, ["a1", "a2"]);
  });

  it("that fail mean that the source has given up: the group is joined again and nothing is lost", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin, clock: new HurriedClock() });
    const fault = plan.fail("eventSubscriber.records", { skip: 1, next: 2 });
    const { seen, subscription } = consume(registry);
    await publish(registry, "a", 1);
    await until(() => subscription.stats().handled === 1);
    await publish(registry, "a", 2);
    await until(() => seen.length === 2);
    assert.deepEqual(seen, ["a1", "a2"]);
    assert.deepEqual([fault.hits, subscription.stats().restarts], [2, 2]);
  });

  it("that happen although the source gives up may be handled twice", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin, clock: new HurriedClock() });
    plan.loseAnswer("eventSubscriber.records", { next: 1 });
    // The first handling ends only after the source has given up, so it cannot be acknowledged.
    const { seen, subscription } = consume(registry, {}, () =>
      seen.length === 1 ? until(() => subscription.stats().restarts === 1) : undefined,
    );
    await publish(registry, "a", 1);
    await until(() => seen.length === 2);
    await until(() => subscription.stats().handled === 1);
    assert.deepEqual(seen, ["a1", "a1"]);
    assert.equal(subscription.stats().restarts, 1);
  });

  it("never come after the source has been left, whoever listens", async () => {
    const { plugin, plan } = chaos(memory);
    const { publisher, subscriber } = await openDrivers({}, {}, undefined, plugin);
    await send(publisher, [record("t", "k", "1")]);
    const hanging = plan.hang("eventSubscriber.records");
    const { sink, source } = await join(subscriber, { topics: ["t"] });
    await hanging.hit();
    await source.leave();
    hanging.lift();
    await turns();
    assert.deepEqual(sink.received, []);
  });

  it("never come to a subscription that has stopped", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin });
    const hanging = plan.hang("eventSubscriber.records");
    const { seen, subscription } = consume(registry);
    await publish(registry, "a", 1);
    await hanging.hit();
    await subscription.stop();
    hanging.lift();
    await turns();
    assert.deepEqual([seen, subscription.stats().received], [[], 0]);
  });
});
