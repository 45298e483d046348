import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { openRegistry, type Registry, type Subscription } from "hexkit";
import { plugin as memory } from "hexkit/plugins/memory";
import {
  chaos,
  clearTopics,
  emptyBuckets,
  emptyCollections,
  expectEvents,
  memoryFaults,
  openTestRegistry,
  publishEvents,
  recordEvents,
  settled,
} from "hexkit/testkit";
import { generatedSection } from "../house/generated-file.ts";

const config = {
  service: { name: "shop" },
  protocols: { eventPublisher: "memory", eventSubscriber: { provider: "memory", retryDelayMs: 1 } },
};
const order = { topic: "orders", type: "order", key: "a", payload: { n: 1 } };
const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Makes a bill of every order. */
function startBilling(registry: Registry): Subscription {
  return registry.get("eventSubscriber").subscribe({
    topics: ["orders"],
    types: ["order"],
    consume: async ({ key, payload }) => {
      const { n } = payload as { n: number };
      if (n === 0) throw new Error("nothing was ordered");
      await registry.get("eventPublisher").publish({ topic: "bills", type: "bill", key, payload: { cents: n * 100 } });
    },
  });
}

/** Without a container engine there is no server: this one binds nothing, so that all stays in memory. */
async function startKafka() {
  return { bind: (..._bindings: string[]) => ({}), [Symbol.asyncDispose]: async () => {} };
}

/** What a snippet of the README shows as an error's text. */
function shown(name: string, message: string): void {
  generatedSection("testkit/README.md", name, `\`\`\`text\n${message}\n\`\`\``);
}

// What stands between the marks is what the README shows.
describe("testkit/README.md", () => {
  it("events", async () => {
    await using registry = await openTestRegistry(config, { logger });
    startBilling(registry);
    // #region events
    await using bills = await recordEvents(registry, "bills");
    await publishEvents(registry, "orders", [
      { type: "order", key: "ann", payload: { n: 1 } },
      { type: "order", key: "bob", payload: { n: 2 } },
    ]);
    await settled(registry); // all of it is handled

    expectEvents(await bills.stop(), [
      { type: "bill", key: "ann", payload: { cents: 100 } },
      { type: "bill", key: "bob", payload: { cents: 200 } },
    ]);
    // #endregion
    assert.throws(
      () =>
        expectEvents(bills.events, [
          { type: "bill", key: "ann", payload: { cents: 100 } },
          { type: "bill", key: "bob", payload: { cents: 250 } },
          { type: "bill", key: "zoe", payload: { cents: 300 } },
        ]),
      ({ message }: Error) => {
        shown("difference", message);
        return true;
      },
    );
  });

  it("open", async () => {
    const slow = { ...config.protocols.eventSubscriber, maxRetries: 5, retryDelayMs: 60_000, maxRetryDelayMs: 60_000 };
    await using registry = await openTestRegistry({ ...config, protocols: { ...config.protocols, eventSubscriber: slow } }, { logger });
    const subscription = startBilling(registry);
    await publishEvents(registry, "orders", { type: "order", payload: { n: 0 } });
    while (subscription.stats().retried === 0) await new Promise((resolve) => setImmediate(resolve));
    await assert.rejects(settled(registry, { timeoutMs: 1_000 }), ({ message }: Error) => {
      shown("open", message);
      return true;
    });
  });

  it("clean", async () => {
    const all = { ...config.protocols, objectStorage: "memory", dao: "memory" };
    const file = { ...config, protocols: all };
    const prepare = await openTestRegistry(file, { logger, space: "readme-clean" });
    await prepare.get("objectStorage").createBucket("invoices");
    await prepare.close();
    const env = { HEXKIT_MEMORY_SPACE: "readme-clean" };
    // #region clean
    await using registry = await openTestRegistry(file, { env, logger }); // env: process.env, to reach real servers
    await clearTopics(registry, ["orders", "bills"]);
    await emptyBuckets(registry, "invoices");
    await emptyCollections(registry, "all");
    // #endregion
  });

  it("containers", async () => {
    // #region containers
    await using kafka = await startKafka();
    await using registry = await openTestRegistry(config, { env: kafka.bind("eventPublisher", "eventSubscriber"), logger });
    // #endregion
    await publishEvents(registry, "orders", { type: "order", payload: { n: 1 } });
  });

  it("chaos", async () => {
    // #region chaos
    const { plugin, plan } = chaos(memory); // or your plugin, or ours for Kafka
    await using registry = await openRegistry({ config, plugins: [plugin], env: {}, logger });
    const publisher = registry.get("eventPublisher");

    const fault = plan.fail("eventPublisher.send", { next: 2 }); // ERR_HEXKIT_UNAVAILABLE, unless you give an `error`
    await publisher.publish(order); // the publisher tries until it succeeds
    assert.equal(fault.hits, 2);

    plan.fail("eventPublisher.send", { when: (_lane, records) => records.length > 100, error: "ERR_HEXKIT_MESSAGE_TOO_LARGE" });
    plan.loseAnswer("eventPublisher.send", { every: 10 }); // stored, reported as failed
    plan.delay("eventPublisher.prepare", { ms: 50 });
    plan.repeat("eventSubscriber.records", { share: 0.2, seed: 7 }); // one delivery in five comes twice, the same ones in every run
    plan.fail("provider.check"); // health() is not ok
    // #endregion
    assert.equal((await registry.health()).ok, false);
    // #region release
    const hanging = plan.hang("eventSubscriber.records", { next: 1 });
    const handled = new Promise((resolve) => {
      registry.get("eventSubscriber").subscribe({ topics: ["orders"], types: ["order"], consume: resolve });
    });
    await hanging.hit(); // the records are on their way
    hanging.lift(); // now they arrive
    await handled;
    plan.liftAll();
    // #endregion
    await publisher.publish(order);
  });

  it("intercept", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await openRegistry({ config, plugins: [plugin], env: {}, logger });
    // #region intercept
    plan.intercept("eventPublisher.send", async ({ args: [lane, records, options], proceed }) => {
      const outcomes = await proceed(lane, records, options);
      return outcomes.map((outcome, index) => (records[index]?.key === "poison" ? { error: new Error("refused") } : outcome));
    });
    // #endregion
    await registry.get("eventPublisher").publish(order);
    await assert.rejects(registry.get("eventPublisher").publish({ ...order, key: "poison" }), { code: "ERR_HEXKIT_PROVIDER_FAILED" });
  });

  it("memory", async () => {
    const space = randomUUID();
    // #region memory
    await using registry = await openTestRegistry(config, { space, logger });
    const faults = memoryFaults(space);
    const subscription = registry.get("eventSubscriber").subscribe({ topics: ["orders"], types: ["order"], consume: () => {} });
    await registry.get("eventPublisher").publish(order);

    faults.outage();
    assert.equal((await registry.health()).ok, false); // sending, joining and acknowledging fail, nothing is delivered
    faults.restore();

    faults.rebalance(subscription.group); // every partition is asked back and moves on
    const lost = faults.loseMember(subscription.group); // thrown out: others get what it had not acknowledged
    lost.rejoin();
    // #endregion
  });

  it("shows what these tests run", () => {
    const source = readFileSync(import.meta.filename, "utf8");
    for (const [, name = "", code = ""] of source.matchAll(/^ *\/\/ #region (\w+)\n(.*?)^ *\/\/ #endregion$/gms)) {
      const text = code.trimEnd().replaceAll(/^ {4}/gm, "");
      generatedSection("testkit/README.md", name, `\`\`\`ts\n${text}\n\`\`\``);
    }
  });
});
