import { randomUUID } from "node:crypto";
import { clearMemorySpace } from "../../../plugins/memory/index.ts";
import { enterSpace } from "../../../plugins/memory/spaces.ts";
import type { EventBroker } from "../../../testkit/conformance/index.ts";

/** A broker of its own for the conformance suites. */
export async function openBroker(): Promise<EventBroker> {
  const space = randomUUID();
  const { broker, release } = enterSpace(space, {});
  return {
    options: { space, maxMessageBytes: 100_000 },
    createTopic: async (topic, partitions) => void broker.topic(topic, partitions),
    append: async (topic, records) => {
      for (const { key, value, headers = [] } of records) {
        broker.append(broker.partition(topic, String(key), 1), [{ raw: { key, value, headers }, timestampMs: Date.now() }]);
      }
    },
    close: async () => {
      release();
      clearMemorySpace(space);
    },
  };
}
