import assert from "node:assert/strict";
import { test } from "node:test";
import { murmur2, partitionOf } from "../../../plugins/kafka/partitioner.ts";

// From the tests of Kafka's Java client (UtilsTest) and of librdkafka (rdmurmur2.c).
const vectors: Readonly<Record<string, number>> = {
  "21": -973932308,
  foobar: -790332482,
  "a-little-bit-long-string": -985981536,
  "a-little-bit-longer-string": -1486304829,
  lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58897971,
  abc: 479470107,
  kafka: 0xd067cf64 | 0,
  giberish123456789: 0x8f552b0c | 0,
  "1234": 0x9fc97b14 | 0,
  "234": 0xe7c009ca | 0,
  "34": 0x873930da | 0,
  "4": 0x5a4b5ca1 | 0,
  "PreAmbleWillBeRemoved,ThePrePartThatIs": 0x78424f1c | 0,
  "": 0x106e08d9 | 0,
};

test("murmur2 gives what Java's client gives, for the empty key too", () => {
  for (const [key, hash] of Object.entries(vectors)) assert.equal(murmur2(Buffer.from(key)), hash, key);
});

test("a negative hash gives a partition all the same", () => {
  assert.equal(partitionOf(Buffer.from("foobar"), 10), (-790332482 & 0x7fffffff) % 10);
  for (const key of Object.keys(vectors)) {
    const partition = partitionOf(Buffer.from(key), 7);
    assert.ok(partition >= 0 && partition < 7, key);
  }
});
