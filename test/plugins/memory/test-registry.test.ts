import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openTestRegistry } from "../../../testkit/index.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const config = {
  service: { name: "orders" },
  providers: {
    events: { plugin: "kafka", options: { brokers: ["nowhere.invalid:9092"] } },
    mail: { plugin: "hexkit-plugin-that-is-not-installed", options: { password: { $env: "NOT_SET" } } },
  },
  protocols: {
    eventPublisher: "events",
    "eventPublisher:audit": "mail",
    eventSubscriber: { provider: "events", concurrency: 3 },
  },
};

describe("testkit: openTestRegistry", () => {
  it("moves every binding to memory and keeps its settings", async () => {
    await using registry = await openTestRegistry(config, { logger: silent });
    const value = (pointer: string): unknown => registry.config.values.find((each) => each.pointer === pointer)?.value;
    for (const binding of ["eventPublisher", "eventPublisher:audit", "eventSubscriber"]) {
      assert.equal(value(`/protocols/${binding}/provider`), "memory");
    }
    assert.equal(value("/protocols/eventSubscriber/concurrency"), 3);

    await registry.get("eventPublisher:audit").publish({ topic: "t", type: "tested", key: "k", payload: { n: 1 } });
    const payload = await new Promise((resolve) => {
      registry.get("eventSubscriber").subscribe({ topics: ["t"], types: ["tested"], consume: (event) => resolve(event.payload) });
    });
    assert.deepEqual(payload, { n: 1 });
  });

  it("takes a file, and does not read the environment", async () => {
    const folder = await mkdtemp(join(tmpdir(), "hexkit-"));
    process.env.HEXKIT_EVENT_PUBLISHER = "nonsense";
    try {
      const file = join(folder, "own.json");
      await writeFile(file, JSON.stringify(config));
      await using registry = await openTestRegistry(file, { logger: silent });
      await registry.get("eventPublisher").publish({ topic: "t", type: "tested", key: "k", payload: {} });
    } finally {
      delete process.env.HEXKIT_EVENT_PUBLISHER;
      await rm(folder, { recursive: true });
    }
  });

  it("still refuses what is wrong with the rest", async () => {
    await assert.rejects(
      openTestRegistry({ ...config, protocols: { ...config.protocols, eventSubscriber: { provider: "events", concurrency: 0 } } }),
      {
        code: "ERR_HEXKIT_CONFIG_INVALID",
      },
    );
  });
});
