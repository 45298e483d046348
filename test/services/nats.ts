import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers } from "@nats-io/transport-node";
import { openRegistry, type Plugin, type Registry } from "hexkit";
import nats from "../../examples/nats-jetstream/index.ts";
import { encodeRecord } from "../../examples/nats-jetstream/records.ts";
import { hash } from "../../examples/nats-jetstream/topics.ts";
import type { EventBroker, RawRecord } from "../../testkit/conformance/index.ts";
import { variable } from "./servers.ts";

export const natsUrl = (): string => variable("NATS_URL");

const subject = (topic: string, partition: number): string => `hexkit.topic.${topic}.${partition}`;
const latin1 = (part: string | Uint8Array | null): string => (part === null ? "" : Buffer.from(part).toString("latin1"));

/** A broker for the conformance suites, beside the plugin: streams and messages as the plugin's README describes them. */
export async function openEventBroker(options: Readonly<Record<string, unknown>> = {}): Promise<EventBroker> {
  const servers = [natsUrl()];
  const connection = await connect({ servers });
  const manager = await jetstreamManager(connection);
  const client = jetstream(connection);
  return {
    options: { servers, heartbeatIntervalMs: 200, sessionTimeoutMs: 6_000, ...options },
    ways: { "by a url": { servers: [natsUrl().replace(/^(nats:\/\/)?/, "nats://")], heartbeatIntervalMs: 200 } },
    async createTopic(topic, partitions) {
      const subjects = Array.from({ length: partitions }, (_, partition) => subject(topic, partition));
      await manager.streams.add({ name: `hexkit_topic_${topic}`, subjects });
    },
    async append(topic, records) {
      const { config } = await manager.streams.info(`hexkit_topic_${topic}`);
      for (const record of records) {
        const { headers: encoded, body } = asStored(record);
        const all = headers();
        for (const [name, value] of encoded) all.append(name, value);
        const partition = hash(latin1(record.key)) % config.subjects.length;
        await client.publish(subject(topic, partition), body, { headers: all });
      }
    },
    close: () => connection.close(),
  };
}

/** NATS knows no null: a key that is null is not there, a value that is null is empty. */
function asStored({ key, value, headers: all = [] }: RawRecord): ReturnType<typeof encodeRecord> {
  const named = all.map(([name, each]) => [name, latin1(each)] as const);
  const { headers: encoded } = encodeRecord({ key: latin1(key), value: "", headers: named });
  return { headers: key === null ? encoded.slice(1) : encoded, body: Buffer.from(value ?? "") };
}

export function uniqueName(): string {
  return `test-${randomUUID()}`;
}

/** Waits until `condition` holds; fails, naming `what`, when that takes too long. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadlineMs) throw new Error(`waited 30 s for ${what}`);
    await sleep(10);
  }
}

/** A service on NATS that lets go soon. */
export const openQueue = (
  options: Readonly<Record<string, unknown>>,
  { plugins = [nats] as readonly Plugin[], name = uniqueName() } = {},
): Promise<Registry> =>
  openRegistry({
    config: {
      service: { name },
      log: { level: "silent" },
      providers: { queue: { plugin: "nats", options: { heartbeatIntervalMs: 200, sessionTimeoutMs: 3_000, ...options } } },
      protocols: {
        eventPublisher: { provider: "queue", deliveryTimeoutMs: 20_000 },
        eventSubscriber: { provider: "queue", commitIntervalMs: 20 },
      },
    },
    env: {},
    plugins,
  });
export const event = (topic: string, key = "k", n = 1) => ({ topic, type: "tested", key, payload: { n } });
