import { randomUUID } from "node:crypto";
import { clearMemorySpace, plugin } from "../../../plugins/memory/index.ts";
import { enterSpace } from "../../../plugins/memory/spaces.ts";
import { type EventBroker, testEventPublisher, testEventSubscriber } from "../../../testkit/conformance/index.ts";

async function openBroker(): Promise<EventBroker> {
  const space = randomUUID();
  const { broker, release } = enterSpace(space, {});
  return {
    options: { space, maxMessageBytes: 100_000 },
    createTopic: async (topic, partitions) => void broker.topic(topic, partitions),
    append: async (topic, records) => {
      for (const { key, value, headers = [] } of records) {
        broker.append(broker.partition(topic, String(key), 1), [{ key, value, headers, timestampMs: Date.now() }]);
      }
    },
    close: async () => {
      release();
      clearMemorySpace(space);
    },
  };
}

testEventPublisher({ name: "memory", plugin, expects: { maxMessageBytes: 100_000 }, open: openBroker });
testEventSubscriber({ name: "memory", plugin, open: openBroker });
