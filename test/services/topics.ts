import { setTimeout as sleep } from "node:timers/promises";
import type { Admin } from "kafkajs";

const patienceMs = 30_000;

/**
 * Creates a topic; resolves when the leader of every partition answers for it. kafkajs's own wait gives up at the first broker that has not heard of
 * the topic; and a leader that is named may not know it yet: kafkajs then sends again what other partitions have stored already.
 */
export async function createTopicAs(admin: Admin, topic: string, partitions: number): Promise<void> {
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: false });
  const deadlineMs = Date.now() + patienceMs;
  let problem: unknown;
  while (Date.now() < deadlineMs) {
    try {
      if ((await admin.fetchTopicOffsets(topic)).length === partitions) return;
    } catch (error) {
      problem = error;
    }
    await sleep(20);
  }
  throw new Error(`topic ${topic} is not served after ${patienceMs} ms`, { cause: problem });
}
