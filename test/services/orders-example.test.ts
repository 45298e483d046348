import assert from "node:assert/strict";
import { join } from "node:path";
import { it } from "node:test";
import { root, run } from "../core/run-program.ts";
import { servers } from "./kafka.ts";
import { databaseName, mongodbDsn, openMongo } from "./mongodb.ts";

it("the example orders runs on MongoDB and Kafka by its environment alone, with the same output", async () => {
  const database = databaseName();
  await using _ = await openMongo(database);
  const env = {
    HEXKIT_DAO: "mongodb",
    HEXKIT_MONGODB_DSN: mongodbDsn(),
    HEXKIT_MONGODB_DATABASE: database,
    HEXKIT_EVENT_PUBLISHER: "kafka",
    HEXKIT_EVENT_SUBSCRIBER: "kafka",
    HEXKIT_KAFKA_BROKERS: servers.plain.join(","),
  };
  const { code, stdout, stderr } = await run([join(root, "examples", "orders", "demo.ts")], { env });
  assert.deepEqual([code, stdout], [0, "ann  2 × apple\nbob  5 × pear\nzoe  3 × fig\n"], stderr);
});
