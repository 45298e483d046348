import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { clearMemorySpace, memoryFaults } from "hexkit/plugins/memory";
import { openTestRegistry } from "hexkit/testkit";
import { consume, HurriedClock, label, openService, partitionKeys, publish, turns, until } from "../../testkit/service.ts";

const [inZero, inOne, inTwo] = partitionKeys;

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Two members of one group on a space of their own, and what each has handled. */
async function pair({ handler, drainTimeoutMs }: { handler?: (name: string) => unknown; drainTimeoutMs?: number } = {}) {
  const space = randomUUID();
  const settings = drainTimeoutMs === undefined ? {} : { drainTimeoutMs };
  const [one, two] = [await openService({ space, instance: "one" }), await openService({ space, instance: "two" })];
  const first = consume(one, settings, handler);
  await until(() => first.subscription.state === "running");
  const second = consume(two, settings);
  await until(() => second.subscription.state === "running");
  await turns();
  return {
    space,
    faults: memoryFaults(space),
    registry: one,
    first,
    second,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([one.close(), two.close()]);
      clearMemorySpace(space);
    },
  };
}

/** Publishes an event for each of the three partitions, and waits until all are handled by somebody. */
async function round({ registry, first, second }: Awaited<ReturnType<typeof pair>>, n: number): Promise<{ one: string[]; two: string[] }> {
  const [ones, twos] = [first.seen.length, second.seen.length];
  for (const key of partitionKeys) await publish(registry, key, n);
  await until(() => first.seen.length + second.seen.length >= ones + twos + 3);
  await turns();
  return { one: first.seen.slice(ones).sort(), two: second.seen.slice(twos).sort() };
}

describe("memory: an outage", () => {
  it("makes publishing wait until it is over, and loses nothing", async () => {
    const space = randomUUID();
    await using registry = await openService({ space, clock: new HurriedClock() });
    const faults = memoryFaults(space);
    const { seen, subscription } = consume(registry);
    await until(() => subscription.state === "running");
    faults.outage();
    faults.outage();
    const publishing = publish(registry, "a", 1);
    let isPublished = false;
    void publishing.then(() => {
      isPublished = true;
    });
    await turns(100);
    assert.deepEqual([isPublished, seen], [false, []]);
    faults.restore();
    faults.restore();
    await publishing;
    await until(() => seen.length === 1);
  });

  it("refuses publishing once the time for it is over, and the cause says why", async () => {
    const space = randomUUID();
    const protocols = { eventPublisher: { provider: "memory", deliveryTimeoutMs: 250 } };
    await using registry = await openTestRegistry({ protocols }, { space, logger: silent });
    memoryFaults(space).outage();
    await assert.rejects(registry.get("eventPublisher").publish({ topic: "t", type: "t", key: "k", payload: {} }), (error) => {
      const { code, cause } = error as { code: string; cause?: { code?: string } };
      assert.deepEqual([code, cause?.code], ["ERR_HEXKIT_TIMEOUT", "ERR_HEXKIT_UNAVAILABLE"]);
      return true;
    });
  });

  it("degrades subscriptions, stops deliveries and acknowledgements, and leaves members what they have", async () => {
    let release = (): void => {};
    const handling = new Promise<void>((resolve) => {
      release = resolve;
    });
    const space = randomUUID();
    await using registry = await openService({ space });
    const { seen, subscription } = consume(registry, {}, (name) => (name === "a1" ? handling : undefined));
    await publish(registry, "a", 1);
    await until(() => seen.length === 1);
    memoryFaults(space).outage();
    assert.equal(subscription.state, "degraded");
    assert.match(subscription.stats().trouble ?? "", /broker in memory is away/);
    assert.equal((await registry.health()).ok, false);
    release();
    await turns();
    assert.equal(subscription.stats().handled, 1);
    memoryFaults(space).restore();
    assert.equal(subscription.state, "running");
    assert.equal((await registry.health()).ok, true);
    await publish(registry, "a", 2);
    await until(() => seen.length === 2);
    await subscription.stop();
    // What was handled during the outage has been acknowledged after it.
    await using next = await openService({ space });
    const again = consume(next);
    await publish(next, "a", 3);
    await until(() => again.seen.length > 0);
    assert.deepEqual(again.seen, ["a3"]);
  });

  it("means that what is stopped during it is delivered again afterwards", async () => {
    const space = randomUUID();
    await using registry = await openService({ space, clock: new HurriedClock(), subscriber: { commitEvery: 1_000 } });
    const { subscription } = consume(registry);
    await publish(registry, "a", 1);
    await until(() => subscription.stats().handled === 1);
    memoryFaults(space).outage();
    await subscription.stop();
    memoryFaults(space).restore();
    const again = consume(registry);
    await until(() => again.seen.length === 1);
    assert.deepEqual(again.seen, ["a1"]);
  });

  it("lets nobody open or join until it is over", async () => {
    const space = randomUUID();
    memoryFaults(space).outage();
    await assert.rejects(openService({ space }), { code: "ERR_HEXKIT_UNAVAILABLE" });
    memoryFaults(space).restore();
    await using registry = await openService({ space, clock: new HurriedClock(), subscriber: { maxRestarts: 1_000_000 } });
    memoryFaults(space).outage();
    const { subscription } = consume(registry);
    await until(() => subscription.stats().restarts > 2);
    assert.equal(subscription.state, "starting");
    memoryFaults(space).restore();
    await until(() => subscription.state === "running");
  });

  it("ends when the space is cleared", async () => {
    const space = randomUUID();
    memoryFaults(space).outage();
    clearMemorySpace(space);
    await (await openService({ space })).close();
  });

  it("is no matter of other spaces", async () => {
    memoryFaults(randomUUID()).outage();
    await using registry = await openService();
    await publish(registry, "a", 1);
  });
});

describe("memory: a forced rebalance", () => {
  it("moves every partition to the next member, each time, and repeats nothing", async () => {
    await using members = await pair();
    const { faults, first, second } = members;
    const before = await round(members, 1);
    assert.equal(before.one.length + before.two.length, 3);
    faults.rebalance("shop");
    await turns();
    const after = await round(members, 2);
    assert.deepEqual(
      after.one,
      before.two.map((name) => name.replace("1", "2")),
    );
    assert.deepEqual(
      after.two,
      before.one.map((name) => name.replace("1", "2")),
    );
    faults.rebalance("shop");
    await turns();
    const back = await round(members, 3);
    assert.deepEqual(
      back.one,
      before.one.map((name) => name.replace("1", "3")),
    );
    assert.equal(first.seen.length + second.seen.length, 9);
  });

  it("waits for running handlers, whose events nobody else gets", async () => {
    let release = (): void => {};
    const handling = new Promise<void>((resolve) => {
      release = resolve;
    });
    const held: string[] = [];
    await using members = await pair({
      handler: (name) => {
        held.push(name);
        return handling;
      },
    });
    const { faults, registry, first, second } = members;
    for (const key of partitionKeys) await publish(registry, key, 1);
    await until(() => held.length + second.seen.length === 3);
    const mine = [...held];
    faults.rebalance("shop");
    await turns();
    for (const name of mine) await publish(registry, name.slice(0, 1), 2);
    await turns();
    assert.deepEqual(
      second.seen.filter((name) => mine.includes(name.replace("2", "1"))),
      [],
    );
    release();
    await until(() => mine.every((name) => second.seen.includes(name.replace("1", "2"))));
    assert.deepEqual(
      second.seen.filter((name) => mine.includes(name)),
      [],
    );
    assert.equal(first.subscription.stats().handled >= mine.length, true);
  });

  it("gives a single member its own again, without repeating what it has handled", async () => {
    const space = randomUUID();
    await using registry = await openService({ space });
    const { seen } = consume(registry);
    for (const key of partitionKeys) await publish(registry, key, 1);
    await until(() => seen.length === 3);
    memoryFaults(space).rebalance("shop");
    for (const key of partitionKeys) await publish(registry, key, 2);
    await until(() => seen.length === 6);
    await turns();
    assert.equal(seen.length, 6);
  });

  it("is refused for a group that nobody has joined", () => {
    assert.throws(() => memoryFaults(randomUUID()).rebalance("shop"), {
      code: "ERR_HEXKIT_INVALID_ARGUMENT",
      message: /nobody has joined a group "shop"/,
    });
  });
});

describe("memory: a lost member", () => {
  it("loses all partitions at once; others get what it had not acknowledged, and nothing that it does counts", async () => {
    let release = (): void => {};
    const handling = new Promise<void>((resolve) => {
      release = resolve;
    });
    await using members = await pair({ handler: (name) => (name.endsWith("1") ? undefined : handling) });
    const { faults, registry, first, second } = members;
    await round(members, 1);
    await until(() => first.subscription.stats().inFlight === 0);
    for (const key of partitionKeys) await publish(registry, key, 2);
    await until(() => first.seen.length + second.seen.length === 6);
    const held = first.seen.filter((name) => name.endsWith("2"));
    assert.ok(held.length > 0);
    const lost = faults.loseMember("shop", "shop.one");
    await until(() => held.every((name) => second.seen.includes(name)));
    release();
    await turns();
    assert.equal(second.seen.filter((name) => name.endsWith("2")).length, 3);
    assert.equal(first.subscription.stats().handled, first.seen.length - held.length);
    assert.equal(first.subscription.state, "running");
    // It is out until it comes back.
    assert.equal((await round(members, 3)).two.length, 3);
    lost.rejoin();
    lost.rejoin();
    await turns();
    const shared = await round(members, 4);
    assert.ok(shared.one.length > 0 && shared.two.length > 0);
  });

  it("is the one that joined first, if none is named", async () => {
    await using members = await pair();
    const lost = members.faults.loseMember("shop");
    await turns();
    assert.deepEqual((await round(members, 1)).one, []);
    lost.rejoin();
  });

  it("that has stopped meanwhile does not come back", async () => {
    await using members = await pair();
    const lost = members.faults.loseMember("shop", "shop.one");
    await members.first.subscription.stop();
    lost.rejoin();
    await turns();
    const { two } = await round(members, 1);
    assert.equal(two.length, 3);
    assert.throws(() => members.faults.loseMember("shop", "shop.one"), {
      code: "ERR_HEXKIT_INVALID_ARGUMENT",
      message: /in it: shop\.two/,
    });
  });

  it("may come back while the broker is away, and gets its share afterwards", async () => {
    await using members = await pair();
    const { faults, first } = members;
    const lost = faults.loseMember("shop", "shop.one");
    faults.outage();
    lost.rejoin();
    await turns();
    assert.equal(first.subscription.state, "degraded");
    faults.restore();
    await turns();
    assert.equal(first.subscription.state, "running");
    assert.ok((await round(members, 1)).one.length > 0);
  });
});

describe("memory: groups with more members than partitions", () => {
  it("tell a member that it has no share, so that its subscription runs", async () => {
    const space = randomUUID();
    const registries = await Promise.all(["1", "2", "3"].map((instance) => openService({ space, instance, partitions: 2 })));
    const subscriptions = registries.map((registry) => consume(registry).subscription);
    await until(() => subscriptions.every(({ state }) => state === "running"));
    await Promise.all(registries.map((registry) => registry.close()));
  });
});

describe("testkit: openTestRegistry with a space", () => {
  it("lets two services meet, and faults reach them", async () => {
    const space = randomUUID();
    const config = { service: { name: "shop" }, protocols: { eventPublisher: "memory", eventSubscriber: "memory" } };
    await using one = await openTestRegistry(config, { space, logger: silent });
    await using two = await openTestRegistry({ ...config, service: { name: "billing" } }, { space, logger: silent });
    const seen: string[] = [];
    two.get("eventSubscriber").subscribe({ topics: ["orders"], types: ["order"], consume: (event) => void seen.push(label(event)) });
    await publish(one, inZero, 1);
    await publish(one, inOne, 1);
    await publish(one, inTwo, 1);
    await until(() => seen.length === 3);
    memoryFaults(space).outage();
    assert.deepEqual([(await one.health()).ok, (await two.health()).ok], [false, false]);
    memoryFaults(space).restore();
  });
});
