import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { definePlugin, openRegistry, type Plugin, withCorrelationId } from "hexkit";
import { plugin as memory } from "hexkit/plugins/memory";
import { clearTopics, expectEvents, openTestRegistry, publishEvents, recordEvents, settled } from "hexkit/testkit";
import { enterSpace } from "../../plugins/memory/spaces.ts";

const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const config = { service: { name: "shop" }, protocols: { eventPublisher: "memory", eventSubscriber: "memory" } };
const order = { type: "order", payload: { n: 1 } };

describe("testkit: recordEvents", () => {
  it("takes what is added between its begin and its stop, and nothing before or after", async () => {
    await using registry = await openTestRegistry(config, { logger });
    await publishEvents(registry, "orders", [order, order]);
    await using recording = await recordEvents(registry, "orders");
    await publishEvents(registry, "orders", [
      { ...order, key: "a" },
      { ...order, key: "b", payload: { n: 2 } },
    ]);
    const events = await recording.stop();
    await publishEvents(registry, "orders", order);
    assert.deepEqual(events.map(({ topic, type, key, payload }) => [topic, type, key, payload]).sort(), [
      ["orders", "order", "a", { n: 1 }],
      ["orders", "order", "b", { n: 2 }],
    ]);
    assert.equal(await recording.stop(), events, "a second stop gives the same");
    assert.equal(recording.events, events);
  });

  it("gives its events once it has stopped", async () => {
    await using registry = await openTestRegistry(config, { logger });
    const recording = await recordEvents(registry, ["orders", "bills"]);
    assert.throws(() => recording.events, { code: "ERR_HEXKIT_RECORDING_OPEN", message: /orders, bills.*await recording\.stop\(\)/ });
    await recording.stop();
    assert.deepEqual(recording.events, []);
  });

  it("records topics that do not exist yet, and does not wait for what does not come", async () => {
    await using registry = await openTestRegistry(config, { logger });
    const recording = await recordEvents(registry, ["new", "never"]);
    await publishEvents(registry, "new", { ...order, eventId: "0e9bd6a8-4c1b-4b43-9c41-0123456789ab" });
    const [event, ...others] = await recording.stop();
    assert.equal(event?.eventId, "0e9bd6a8-4c1b-4b43-9c41-0123456789ab");
    assert.equal(event.key, "test", "what publishEvents gives a key by default");
    assert.ok(event.timestamp instanceof Date && event.offset === 0, "it has a place and a time");
    assert.deepEqual(others, []);
  });

  it("keeps headers when it is told to, type and event id excepted", async () => {
    await using registry = await openTestRegistry(config, { logger });
    const [plain, full] = [await recordEvents(registry, "orders"), await recordEvents(registry, "orders", { captureHeaders: true })];
    const id = randomUUID();
    await withCorrelationId(id, () => publishEvents(registry, "orders", { ...order, headers: { tenant: "t1" } }));
    assert.equal((await plain.stop())[0]?.headers, undefined);
    assert.deepEqual((await full.stop())[0]?.headers, { tenant: "t1", correlation_id: id });
    expectEvents(full.events, [{ ...order, headers: { tenant: "t1" } }]);
  });

  it("keeps the order of a partition", async () => {
    await using registry = await openTestRegistry(config, { logger });
    const recording = await recordEvents(registry, "orders");
    const events = Array.from({ length: 600 }, (_, n) => ({ type: "order", payload: { n } }));
    await publishEvents(registry, "orders", events);
    expectEvents(await recording.stop(), events, { inOrder: true });
  });

  it("leaves out what was deleted meanwhile", async () => {
    await using registry = await openTestRegistry(config, { logger });
    const recording = await recordEvents(registry, "orders");
    await publishEvents(registry, "orders", order);
    await clearTopics(registry, "orders");
    await publishEvents(registry, "orders", { ...order, payload: { n: 2 } });
    expectEvents(await recording.stop(), [{ type: "order", payload: { n: 2 } }]);
  });

  it("gives null for a record without value, empty texts for what is missing, and refuses what is no JSON", async () => {
    const space = randomUUID();
    const { broker, release } = enterSpace(space, {});
    await using registry = await openTestRegistry(config, { space, logger });
    const append = (value: string | null): void =>
      broker.append(broker.partition("odd", "", 1), [{ raw: { key: null, value, headers: [] }, timestampMs: 0 }]);
    const recording = await recordEvents(registry, "odd", { captureHeaders: true });
    append(null);
    const [{ type, key, eventId, payload, headers } = assert.fail("nothing came")] = await recording.stop();
    assert.deepEqual({ type, key, eventId, payload, headers }, { type: "", key: "", eventId: "", payload: null, headers: {} });
    const broken = await recordEvents(registry, "odd");
    append("{");
    await assert.rejects(broken.stop(), {
      code: "ERR_HEXKIT_EVENT_UNDECODABLE",
      message: /eventSubscriber \(provider "memory", plugin memory\): the recorded value at topic "odd", partition 0, offset 1 is not JSON/,
    });
    await release();
  });

  it("works for a service that only publishes, and publishEvents for one that only consumes", async () => {
    const space = randomUUID();
    const { service } = config;
    await using publisher = await openTestRegistry({ service, protocols: { eventPublisher: "memory" } }, { space, logger });
    await using consumer = await openTestRegistry({ service, protocols: { eventSubscriber: "memory" } }, { space, logger });
    await expectEvents(publisher, "orders", [order], () =>
      publisher.get("eventPublisher").publish({ topic: "orders", key: "k", ...order }),
    );
    const seen: unknown[] = [];
    consumer.get("eventSubscriber").subscribe({ topics: ["orders"], types: ["order"], consume: ({ payload }) => void seen.push(payload) });
    await publishEvents(consumer, "orders", { ...order, payload: { n: 2 } });
    await settled(consumer);
    assert.deepEqual(seen, [{ n: 1 }, { n: 2 }]);
  });

  it("takes a binding where there are several", async () => {
    const { service } = config;
    const providers = {
      one: { plugin: "memory", options: { space: randomUUID() } },
      two: { plugin: "memory", options: { space: randomUUID() } },
    };
    await using registry = await openRegistry({
      config: { service, providers, protocols: { eventPublisher: "one", "eventPublisher:audit": "two" } },
      env: {},
      logger,
    });
    const [first, second] = [await recordEvents(registry, "t"), await recordEvents(registry, "t", { binding: "eventPublisher:audit" })];
    await publishEvents(registry, "t", order);
    await publishEvents(registry, "t", { ...order, payload: { n: 2 } }, { binding: "eventPublisher:audit" });
    expectEvents(await first.stop(), [order]);
    expectEvents(await second.stop(), [{ type: "order", payload: { n: 2 } }]);
    await assert.rejects(recordEvents(registry, "t", { binding: "eventPublisher:other" }), {
      code: "ERR_HEXKIT_UNBOUND",
      message: /nothing is bound as "eventPublisher:other"; bound: eventPublisher, eventPublisher:audit/,
    });
  });

  it("refuses what is no registry, no topic, a registry without events, or one that has closed", async () => {
    await assert.rejects(recordEvents({} as never, "t"), { code: "ERR_HEXKIT_INVALID_ARGUMENT", message: /takes a registry/ });
    const registry = await openTestRegistry({ protocols: { dao: "memory" } }, { logger });
    await assert.rejects(recordEvents(registry, []), { code: "ERR_HEXKIT_INVALID_ARGUMENT", message: /name of a topic/ });
    await assert.rejects(recordEvents(registry, "t"), {
      code: "ERR_HEXKIT_UNBOUND",
      message: /eventPublisher or eventSubscriber; bound: dao/,
    });
    await registry.close();
    await assert.rejects(recordEvents(registry, "t"), { code: "ERR_HEXKIT_CLOSED" });
  });

  it("says so where a plugin cannot look at its topics", async () => {
    const { eventSubscriber: _, ...provides } = memory.provides;
    const remade = (some: object): Plugin => definePlugin({ ...memory, provides: some } as never);
    const open = (plugin: Plugin) =>
      openTestRegistry({ service: config.service, protocols: { eventPublisher: "memory" } }, { plugins: [plugin], logger });
    const blind = remade({ ...provides, eventSubscriber: () => ({ join: () => Promise.reject(new Error("no")) }) });
    const mute = remade(provides);
    await using one = await open(blind);
    await assert.rejects(recordEvents(one, "t"), { code: "ERR_HEXKIT_UNSUPPORTED", message: /eventSubscriber driver has no `topics`/ });
    await using two = await open(mute);
    await assert.rejects(recordEvents(two, "t"), {
      code: "ERR_HEXKIT_UNSUPPORTED",
      message: /"eventPublisher" is bound to has no eventSubscriber/,
    });
  });

  it("records while work runs, gives the events, and passes on what the work throws", async () => {
    await using registry = await openTestRegistry(config, { logger });
    const events = await expectEvents(registry, "orders", [order], () => publishEvents(registry, "orders", order));
    assert.equal(events.length, 1);
    await assert.rejects(
      expectEvents(registry, "orders", [order], () => {}),
      { name: "AssertionError", message: /1 event was expected, 0 came/ },
    );
    const broken = new Error("broken");
    await assert.rejects(
      expectEvents(registry, "orders", [], () => Promise.reject(broken)),
      broken,
    );
  });
});
