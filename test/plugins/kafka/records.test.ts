import assert from "node:assert/strict";
import { test } from "node:test";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { decodeBatches, encodeBatch, type PlainRecord, recordBytes } from "../../../plugins/kafka/records.ts";

const gzipCodec = { id: 1, compress: promisify<Buffer, Buffer>(gzip) };
const decompress = async (codecId: number, records: Buffer): Promise<Buffer> => {
  assert.equal(codecId, 1);
  return promisify<Buffer, Buffer>(gunzip)(records);
};
const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString());
/** As the broker stores it: with the offset of its first record. */
const at = (batch: Buffer, offset: number): Buffer => {
  const copy = Buffer.from(batch);
  copy.writeBigInt64BE(BigInt(offset), 0);
  return copy;
};
const marked = (batch: Buffer, attributes: number, producerId: bigint): Buffer => {
  const copy = Buffer.from(batch);
  copy.writeInt16BE(attributes, 21);
  copy.writeBigInt64BE(producerId, 43);
  return copy;
};
const record = (value: string, headers: PlainRecord["headers"] = []): PlainRecord => ({ key: "k", value, headers });
const offsets = async (
  data: Buffer,
  from = 0,
  aborted: { producerId: bigint; firstOffset: number }[] = [],
): Promise<[number[], number]> => {
  const { records, nextOffset } = await decodeBatches(data, from, aborted, decompress);
  return [records.map((each) => each.offset), nextOffset];
};

for (const codec of [undefined, gzipCodec]) {
  test(`what is written is read again, headers in order${codec ? ", compressed" : ""}`, async () => {
    const headers = [
      ["b", "1"],
      ["a", ""],
      ["b", "2"],
      ["10", "x"],
      ["__proto__", "y"],
    ] as const;
    const long = "v".repeat(100_000);
    const batch = await encodeBatch([{ key: "", value: long, headers }, record("second")], 1_790_000_000_123, codec);
    const { records, nextOffset } = await decodeBatches(at(batch, 5_000_000_000), 0, [], decompress);
    assert.equal(nextOffset, 5_000_000_002);
    assert.deepEqual(
      records.map(({ offset, timestampMs, key, value }) => [offset, timestampMs, text(key), text(value)]),
      [
        [5_000_000_000, 1_790_000_000_123, "", long],
        [5_000_000_001, 1_790_000_000_123, "k", "second"],
      ],
    );
    assert.deepEqual(
      records[0]?.headers.map(([name, value]) => [name, text(value)]),
      headers,
    );
  });
}

test("reading begins at the offset asked for, in the middle of a batch too", async () => {
  const batch = at(await encodeBatch([record("0"), record("1"), record("2")], 0, undefined), 10);
  assert.deepEqual(await offsets(batch, 11), [[11, 12], 13]);
  assert.deepEqual(await offsets(batch, 13), [[], 13]);
});

test("a batch that the answer cuts off is left for the next one", async () => {
  const whole = at(await encodeBatch([record("0")], 0, undefined), 0);
  const cut = at(await encodeBatch([record("1")], 0, undefined), 1);
  for (const length of [1, 30, cut.length - 1]) {
    assert.deepEqual(await offsets(Buffer.concat([whole, cut.subarray(0, length)])), [[0], 1]);
  }
});

test("records of an aborted transaction and control records are passed over", async () => {
  const batch = await encodeBatch([record("x")], 0, undefined);
  const [transactional, control] = [0x10, 0x30];
  const data = Buffer.concat([
    at(marked(batch, transactional, 1n), 0),
    at(marked(batch, transactional, 2n), 1),
    at(batch, 2),
    at(marked(batch, control, 1n), 3),
    at(marked(batch, transactional, 1n), 4),
    at(marked(batch, control, 2n), 5),
  ]);
  assert.deepEqual(await offsets(data, 0, [{ producerId: 1n, firstOffset: 0 }]), [[1, 2, 4], 6]);
  assert.deepEqual(await offsets(data, 0, []), [[0, 1, 2, 4], 6]);
});

test("the estimate of a record's size is never too small", async () => {
  const empty = (await encodeBatch([record("")], 0, undefined)).length;
  for (const each of [record("v".repeat(3_000)), record("", [["n".repeat(200), "v".repeat(20_000)]])]) {
    assert.ok((await encodeBatch([each], 0, undefined)).length - empty <= recordBytes(each));
  }
});

test("a format older than Kafka 0.11 is refused, not misread", async () => {
  const batch = Buffer.from(await encodeBatch([record("x")], 0, undefined));
  batch.writeInt8(1, 16);
  await assert.rejects(offsets(batch), { name: "LegacyFormatError" });
});
