import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { type EventSink, type ProviderContext, type SourceRecord, systemClock } from "hexkit";
import type { NatsClient } from "../../examples/nats-jetstream/client.ts";
import { NatsPublisherDriver } from "../../examples/nats-jetstream/event-publisher.ts";
import { NatsSubscriberDriver } from "../../examples/nats-jetstream/event-subscriber.ts";
import { GroupStore } from "../../examples/nats-jetstream/group-store.ts";
import plugin from "../../examples/nats-jetstream/index.ts";
import { event, openQueue, uniqueName, until } from "./nats.ts";
import { startServer } from "./server.mjs";

describe("the NATS plugin and a server that goes away", () => {
  it("lets go of what others may take over by then, and takes it back when the server is there again", async () => {
    const server = await startServer("nats");
    try {
      const topic = uniqueName();
      await using registry = await openQueue({ servers: [server.addresses.NATS_URL] });
      const cancelled: unknown[] = [];
      let patient = false;
      const subscription = registry.get("eventSubscriber").subscribe({
        topics: [topic],
        types: ["tested"],
        consume: async (_event, { signal }) => {
          if (patient) return;
          await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
          cancelled.push(signal.reason);
        },
      });
      await registry.get("eventPublisher").publish(event(topic));
      await until("the handler", () => subscription.stats().inFlight === 1);
      await server.kill();
      await until("the trouble", () => subscription.state === "degraded");
      assert.equal((await registry.health()).ok, false);
      await until("the handler's end", () => cancelled.length === 1);
      patient = true;
      await server.restart();
      await until("the event, again", () => subscription.stats().handled === 1);
      await until("the end of the trouble", () => subscription.state === "running");
      assert.equal(subscription.stats().restarts, 0);
    } finally {
      await server.stop();
    }
  });
});

describe("the bare drivers on a server that goes away", () => {
  it("acknowledge nothing that the server does not remember", async () => {
    const server = await startServer("nats");
    const closing = new AbortController();
    const context: ProviderContext = {
      provider: "queue",
      plugin: "nats",
      service: { name: "tested", instance: "1" },
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      clock: systemClock,
      signal: closing.signal,
      scope: {},
    };
    const [topic, group] = [uniqueName(), uniqueName()];
    const servers = [server.addresses.NATS_URL as string];
    const times = { connectTimeoutMs: 5_000, requestTimeoutMs: 5_000, sessionTimeoutMs: 60_000, heartbeatIntervalMs: 200 };
    const more = { prefix: "hexkit", autoCreateTopics: true, partitions: 1, replicas: 1 };
    const client = (await plugin.open({ servers, ...times, ...more }, context)) as NatsClient;
    try {
      const headers = [["type", "tested"]] as const;
      const outgoing = { topic, key: "k", value: "{}", headers };
      const publisher = new NatsPublisherDriver(client);
      assert.deepEqual(await publisher.send(publisher.lane(outgoing), [outgoing]), [{}]);
      const records: SourceRecord[] = [];
      const troubles: (string | undefined)[] = [];
      const sink: EventSink = {
        assigned() {},
        records: (_at, each) => void records.push(...each),
        revoked: async () => {},
        trouble: (trouble) => void troubles.push(trouble?.reason),
        failed: (error) => assert.fail(inspect(error)),
      };
      const source = await new NatsSubscriberDriver(client, context).join(
        { group, clientId: "tested", topics: [topic], from: "earliest" },
        sink,
      );
      await until("the record", () => records.length === 1);
      await server.kill();
      await until("the trouble", () => troubles.at(-1) !== undefined);
      await assert.rejects(source.acknowledge(records, {}), { name: "DisconnectedError" });
      const [outcome] = await publisher.send(publisher.lane(outgoing), [outgoing]);
      assert.match(String(outcome?.error), /^DisconnectedError/);
      await server.restart();
      await until("the end of the trouble", () => troubles.at(-1) === undefined);
      await source.acknowledge(records, {});
      const { sequence, value } = (await new GroupStore(client, group).position(topic, 0)) ?? assert.fail("nothing is stored");
      assert.ok(sequence > 0);
      assert.equal(value.next, 2);
      assert.equal(records.length, 1, "nothing came twice");
    } finally {
      closing.abort();
      await client.close();
      await server.stop();
    }
  });
});
