import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isHexkitError, openRegistry } from "hexkit";
import { plugin as memory } from "hexkit/plugins/memory";
import { chaos } from "hexkit/testkit";
import { consume, HurriedClock, openService, partitionKeys, publish, turns, until } from "./service.ts";

const [, inOne, inTwo] = partitionKeys;

describe("chaos: a publisher's calls", () => {
  it("fail as often as planned, and are repeated by the publisher", async () => {
    const { plugin, plan } = chaos(memory);
    const clock = new HurriedClock();
    await using registry = await openService({ plugin, clock });
    const fault = plan.fail("eventPublisher.send", { next: 2 });
    await publish(registry, "a", 1);
    assert.equal(fault.hits, 2);
    assert.equal(plan.calls("eventPublisher.send"), 3);
    assert.equal(clock.pauses.length, 2);
    const { seen } = consume(registry);
    await turns();
    assert.deepEqual(seen, ["a1"]);
  });

  it("fail with a code of the test's choice, which says where it comes from", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin });
    plan.fail("eventPublisher.send", { next: 1, error: "ERR_HEXKIT_PERMISSION_DENIED" });
    await assert.rejects(publish(registry, "a", 1), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_PERMISSION_DENIED"));
      assert.deepEqual([error.origin.binding, error.origin.provider, error.origin.plugin], ["eventPublisher", "broker", "memory"]);
      assert.match(error.message, /eventPublisher\.send fails as planned/);
      return true;
    });
    await publish(registry, "a", 2);
  });

  it("fail before anything is sent, when the topic cannot be prepared", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin, clock: new HurriedClock() });
    const fault = plan.fail("eventPublisher.prepare", { next: 3 });
    await publish(registry, "a", 1);
    assert.equal(fault.hits, 3);
    assert.equal(plan.calls("eventPublisher.send"), 1);
  });

  it("happen twice if repeated, and if their acknowledgement is lost", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin, clock: new HurriedClock() });
    plan.repeat("eventPublisher.send", { next: 1 });
    await publish(registry, "a", 1);
    plan.loseAnswer("eventPublisher.send", { next: 1 });
    await publish(registry, "a", 2);
    const { seen } = consume(registry);
    await turns();
    assert.deepEqual(seen, ["a1", "a1", "a2", "a2"]);
  });

  it("hang until released; calls that the plan does not mean go on", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin });
    const hanging = plan.hang("eventPublisher.send", { when: (_lane, records) => records[0]?.key === inOne });
    const { seen } = consume(registry);
    const held = publish(registry, inOne, 1);
    await hanging.hit();
    await publish(registry, inTwo, 1);
    await turns();
    assert.deepEqual(seen, [`${inTwo}1`]);
    hanging.lift();
    await held;
    await until(() => seen.length === 2);
  });

  it("that hang end with their signal, without having happened", async () => {
    const { plugin, plan } = chaos(memory);
    const registry = await openService({ plugin });
    const hanging = plan.hang("eventPublisher.send");
    const held = publish(registry, "a", 1);
    const refused = assert.rejects(held, { code: "ERR_HEXKIT_CLOSED" });
    await hanging.hit();
    await assert.rejects(registry.close({ timeoutMs: 20 }), { code: "ERR_HEXKIT_CLOSE_FAILED" });
    await refused;
    assert.equal(plan.calls("eventPublisher.send"), 1);
  });

  it("wait by the registry's clock", async () => {
    const { plugin, plan } = chaos(memory);
    const clock = new HurriedClock();
    await using registry = await openService({ plugin, clock });
    plan.delay("eventPublisher.send", { ms: 60_000, next: 1 });
    await publish(registry, "a", 1);
    await publish(registry, "a", 2);
    assert.deepEqual(clock.pauses, [60_000]);
  });

  it("can be answered by the test, record by record", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin, partitions: 1 });
    plan.intercept("eventPublisher.send", async ({ args: [lane, records, options], proceed }) => {
      const good = records.filter(({ key }) => key !== "bad");
      await proceed(lane, good, options);
      const refused = { error: Object.assign(new Error("no"), { code: "MEMORY_BROKER_AWAY" }) };
      return records.map(({ key }) => (key === "bad" ? refused : {}));
    });
    const outcomes = Promise.allSettled([publish(registry, "a", 1), publish(registry, "bad", 2), publish(registry, "c", 3)]);
    const { seen } = consume(registry);
    await until(() => seen.length === 2);
    plan.liftAll();
    assert.deepEqual(
      (await outcomes).map(({ status }) => status),
      ["fulfilled", "fulfilled", "fulfilled"],
    );
    await until(() => seen.length === 3);
    assert.deepEqual(seen, ["a1", "c3", "bad2"]);
  });
});

describe("chaos: a provider", () => {
  it("does not open, with the error that is planned", async () => {
    const { plugin, plan } = chaos(memory);
    plan.fail("provider.open", { next: 1, error: "ERR_HEXKIT_AUTHENTICATION_FAILED" });
    await assert.rejects(openService({ plugin }), { code: "ERR_HEXKIT_AUTHENTICATION_FAILED" });
    await (await openService({ plugin })).close();
  });

  it("opens too late", async () => {
    const { plugin, plan } = chaos(memory);
    const hanging = plan.hang("provider.open");
    await assert.rejects(openService({ plugin, connectTimeoutMs: 10 }), { code: "ERR_HEXKIT_TIMEOUT" });
    assert.equal(hanging.hits, 1);
  });

  it("leaves no client behind when its opening is reported as failed or happens twice", async () => {
    const closed: unknown[] = [];
    let opened = 0;
    const publisher = { maxRecordBytes: 1, prepare: async () => {}, lane: () => "", send: async () => [] };
    const counting = { ...memory, open: async () => ++opened, close: async (client: unknown) => void closed.push(client) };
    const { plugin, plan } = chaos({ ...counting, check: () => {}, provides: { eventPublisher: () => publisher } });
    const config = { providers: { broker: { plugin: "memory" } }, protocols: { eventPublisher: "broker" } };
    plan.loseAnswer("provider.open", { next: 1 });
    await assert.rejects(openRegistry({ config, env: {}, plugins: [plugin] }), { code: "ERR_HEXKIT_UNAVAILABLE" });
    assert.deepEqual(closed, [1]);
    plan.repeat("provider.open", { next: 1 });
    const registry = await openRegistry({ config, env: {}, plugins: [plugin] });
    assert.deepEqual(closed, [1, 2]);
    await registry.close();
    assert.deepEqual(closed, [1, 2, 3]);
  });

  it("is not well while its check fails", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openService({ plugin });
    const fault = plan.fail("provider.check");
    assert.equal((await registry.health()).ok, false);
    fault.lift();
    assert.equal((await registry.health()).ok, true);
  });
});
