import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { it } from "node:test";
import { root, run } from "../core/run-program.ts";
import { servers } from "./kafka.ts";

it("the own tests of stream-calc pass on Kafka, by the environment alone", async () => {
  const env = {
    HEXKIT_EVENT_PUBLISHER: "kafka",
    HEXKIT_EVENT_SUBSCRIBER: "kafka",
    HEXKIT_KAFKA_BROKERS: servers.plain.join(","),
    HEXKIT_EVENT_SUBSCRIBER_GROUP: `stream-calc-${randomUUID()}`,
  };
  const file = join(root, "examples", "stream-calc", "test", "stream-calc.test.ts");
  const { code, stdout, stderr } = await run([file], { env, nodeOptions: ["--test-reporter=tap"] });
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^# pass 6$/m, stdout);
  assert.match(stdout, /^# skipped 0$/m, stdout);
});
