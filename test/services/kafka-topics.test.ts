import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openTestRegistry } from "hexkit/testkit";
import { plugin } from "../../plugins/kafka/index.ts";
import { testTopicAccess } from "../../testkit/conformance/index.ts";
import { clearTopics, publishEvents, recordEvents } from "../../testkit/index.ts";
import { bareKafkajs, openEventBroker, servers, uniqueName } from "./kafka.ts";

testTopicAccess({ name: "kafka", plugin, open: () => openEventBroker() });

const env = { HEXKIT_EVENT_PUBLISHER: "kafka", HEXKIT_KAFKA_BROKERS: servers.plain.join(",") };

describe("clearTopics on kafka", () => {
  it("clears a compacted topic too, and leaves its configuration as it was", async () => {
    const topic = uniqueName();
    const admin = bareKafkajs().admin();
    await admin.connect();
    const set = { "cleanup.policy": "compact", "retention.ms": "123456789", "max.message.bytes": "2000000" };
    const configEntries = Object.entries(set).map(([name, value]) => ({ name, value }));
    const settings = async (): Promise<object> => {
      const { resources } = await admin.describeConfigs({ resources: [{ type: 2, name: topic }], includeSynonyms: false });
      const entries = (resources[0]?.configEntries ?? []) as unknown as { configName: string; configValue: string; configSource: number }[];
      return Object.fromEntries(
        entries.filter(({ configSource }) => configSource === 1).map((each) => [each.configName, each.configValue]),
      );
    };
    try {
      await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 2, configEntries }] });
      await using registry = await openTestRegistry({ service: { name: "shop" }, protocols: { eventPublisher: "memory" } }, { env });
      await publishEvents(
        registry,
        topic,
        [1, 2, 3].map((n) => ({ type: "tested", key: `k${n}`, payload: { n } })),
      );
      await clearTopics(registry, topic);
      assert.deepEqual(
        (await admin.fetchTopicOffsets(topic)).map(({ low, high }) => Number(high) - Number(low)),
        [0, 0],
        "nothing is left",
      );
      assert.equal(
        (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0),
        3,
        "offsets went on growing",
      );
      assert.deepEqual(await settings(), set);
      const recording = await recordEvents(registry, topic);
      await publishEvents(registry, topic, { type: "tested", payload: { n: 4 } });
      assert.deepEqual(
        (await recording.stop()).map(({ payload }) => payload),
        [{ n: 4 }],
      );
    } finally {
      await admin.disconnect();
    }
  });
});
