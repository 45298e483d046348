import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { definePlugin, inspectConfig } from "hexkit";
import { plugin as memory } from "hexkit/plugins/memory";
import { openTestRegistry } from "hexkit/testkit";

const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const config = {
  service: { name: "shop", instance: "7" },
  log: { level: "warn" },
  lifecycle: { closeTimeoutMs: 12_345 },
  providers: { events: { plugin: "kafka", options: { brokers: ["broker.example:9092"] } } },
  protocols: {
    eventPublisher: { provider: "events", deliveryTimeoutMs: 5_000 },
    "eventPublisher:audit": "events",
    eventSubscriber: { provider: "events", concurrency: 3, group: "own" },
    dao: "memory",
    outbox: { relayIntervalMs: 77 },
  },
};
/** Stands for a real server. */
const pigeon = definePlugin({ ...memory, name: "pigeon" } as never);

/** What a configuration comes to: value by place. */
async function effective(values: Awaited<ReturnType<typeof inspectConfig>>["values"]): Promise<Map<string, unknown>> {
  return new Map(values.map(({ pointer, value }) => [pointer, value]));
}

describe("testkit: openTestRegistry", () => {
  it("moves every binding to memory and changes nothing else", async () => {
    await using registry = await openTestRegistry(config, { logger });
    const [own, moved] = await Promise.all([
      effective((await inspectConfig({ config, env: {} })).values),
      effective(registry.config.values),
    ]);
    for (const [pointer, value] of own) {
      if (pointer.startsWith("/providers/")) continue;
      const isBinding = /^\/protocols\/[^/]+\/provider$/.test(pointer);
      assert.deepEqual(moved.get(pointer), isBinding ? "memory" : value, pointer);
    }
    assert.equal(moved.get("/protocols/eventPublisher:audit/provider"), "memory");
  });

  it("leaves those bindings where they are that the environment binds, and moves the rest", async () => {
    const env = {
      HEXKIT_EVENT_PUBLISHER__AUDIT: "pigeon",
      HEXKIT_EVENT_SUBSCRIBER_CONCURRENCY: "9",
      HEXKIT_DAO: "",
      HEXKIT_LOG_LEVEL: undefined,
    };
    await using registry = await openTestRegistry(config, { env, plugins: [pigeon], logger });
    const values = await effective(registry.config.values);
    assert.equal(values.get("/protocols/eventPublisher:audit/provider"), "pigeon");
    assert.equal(values.get("/protocols/eventPublisher/provider"), "memory");
    assert.equal(values.get("/protocols/dao/provider"), "memory", "an empty variable says nothing");
    assert.equal(values.get("/protocols/eventSubscriber/concurrency"), 9);
  });

  it("keeps to a provider of the configuration that the environment names", async () => {
    const providers = { events: { plugin: "pigeon" } };
    const given = { ...config, providers };
    await using registry = await openTestRegistry(given, { env: { HEXKIT_EVENT_PUBLISHER: "events" }, plugins: [pigeon], logger });
    const { providers: open } = await registry.health();
    assert.deepEqual(
      Object.entries(open)
        .map(([name, { plugin }]) => [name, plugin])
        .sort(),
      [
        ["events", "pigeon"],
        ["memory", "memory"],
      ],
    );
  });

  it("refuses what the environment says wrongly", async () => {
    await assert.rejects(openTestRegistry(config, { env: { HEXKIT_EVENT_PUBLISHRE: "memory" }, logger }), {
      code: "ERR_HEXKIT_CONFIG_INVALID",
      message: /did you mean HEXKIT_EVENT_PUBLISHER\?/,
    });
  });
});
