import assert from "node:assert/strict";
import { test } from "node:test";
import { BSON, Long, UUID } from "mongodb";
import { type DocumentValue, type StoredDocument, Uuid } from "../../../core/index.ts";
import { DocumentCodec } from "../../../plugins/mongodb/documents.ts";
import { guarded, toFilter, toIndex, toSort, toUpdate } from "../../../plugins/mongodb/filters.ts";

const codec = new DocumentCodec({ UUID, Long });
const uuid = "c232ab00-9414-41ec-b3c8-9f68deced846";

/** As the database has it: one BSON type number per field. */
function types(document: StoredDocument): Record<string, number> {
  const bytes = Buffer.from(BSON.serialize(codec.encode(document)));
  const found: Record<string, number> = {};
  for (const [name] of Object.entries(document)) found[name] = bytes[bytes.indexOf(`${name}\0`) - 1] as number;
  return found;
}

test("each value gets the type of the contract: UUID and bytes binary, dates, integers of 32 and 64 bits, doubles", () => {
  const document = {
    _id: "1",
    int: 5,
    lowest: -(2 ** 31),
    long: 2 ** 31,
    below: -(2 ** 31) - 1,
    safe: Number.MAX_SAFE_INTEGER,
    big: 5n,
    huge: 2 ** 60,
    dbl: 1.5,
    nan: Number.NaN,
    zero: -0,
    date: new Date(5),
    uuid: new Uuid(uuid),
    bytes: Uint8Array.of(1),
    none: null,
    yes: true,
    text: "x",
    list: [1],
    sub: { a: 1 },
  };
  assert.deepEqual(types(document as unknown as StoredDocument), {
    _id: 2,
    int: 16,
    lowest: 16,
    long: 18,
    below: 18,
    safe: 18,
    big: 18,
    huge: 1,
    dbl: 1,
    nan: 1,
    zero: 1,
    date: 9,
    uuid: 5,
    bytes: 5,
    none: 10,
    yes: 8,
    text: 2,
    list: 4,
    sub: 3,
  });
  const raw = codec.encode({ _id: "1", uuid: new Uuid(uuid), bytes: Uint8Array.of(1) }) as unknown as { uuid: UUID };
  assert.equal(raw.uuid.sub_type, 4);
  assert.equal(raw.uuid.toHexString(), uuid);
});

test("what is written is read again, and is a copy", () => {
  const document = {
    _id: new Uuid(uuid),
    n: [1, 2 ** 40, -5.5],
    big: 2n ** 62n,
    at: new Date(7),
    bytes: Uint8Array.of(1, 2),
    sub: { own: new Uuid(uuid), none: null },
  };
  const raw = codec.encode(document as unknown as StoredDocument);
  document.bytes[0] = 9;
  document.at.setTime(0);
  document.n.push(3);
  const read = codec.decode(BSON.deserialize(BSON.serialize(raw)));
  assert.deepEqual(read, { ...document, n: [1, 2 ** 40, -5.5], at: new Date(7), bytes: Uint8Array.of(1, 2) });
  assert.equal(Object.getPrototypeOf(read.bytes), Uint8Array.prototype);
});

test("a stored value without a counterpart is refused with its place", () => {
  const { ObjectId, Decimal128, Binary, Timestamp, MaxKey, Code, BSONRegExp } = BSON;
  for (const value of [
    new ObjectId(),
    Decimal128.fromString("1.5"),
    new Binary(Buffer.from([1]), 3),
    new Timestamp(5n),
    new MaxKey(),
    new Code("x"),
    new BSONRegExp("a"),
  ]) {
    const read = (): unknown => codec.decode(BSON.deserialize(BSON.serialize({ _id: 1, a: [{ b: value }] })));
    assert.throws(read, { name: "StoredValueError", message: /^a\.0\.b: holds / });
  }
  assert.throws(() => codec.decode(BSON.deserialize(BSON.serialize({ _id: new ObjectId() }))), { message: /^_id: holds ObjectId/ });
});

test("a field with an odd name is a field", () => {
  const document = JSON.parse(
    '{ "_id": 1, "__proto__": { "a": 1 }, "_bsontype": "x", "sub": { "_bsontype": "ObjectId" } }',
  ) as StoredDocument;
  const copy = codec.value(document as unknown as DocumentValue) as Record<string, unknown>;
  assert.ok(Object.hasOwn(copy, "__proto__"), "it became the prototype");
  assert.deepEqual(codec.decode({ _id: 1, sub: { _bsontype: "ObjectId" } }), { _id: 1, sub: { _bsontype: "ObjectId" } });
});

test("filters are MongoDB's, each value under an operator, so that none is read as one", () => {
  const eq = { op: "eq", path: ["a", "b"], value: new Uuid(uuid) } as const;
  assert.deepEqual(toFilter(eq, codec), { "a.b": { $eq: new UUID(uuid) } });
  assert.deepEqual(toFilter({ op: "gte", path: ["n"], value: 2 ** 40 }, codec), { n: { $gte: Long.fromNumber(2 ** 40) } });
  assert.deepEqual(toFilter({ op: "in", path: ["n"], values: [1, null] }, codec), { n: { $in: [1, null] } });
  assert.deepEqual(toFilter({ op: "exists", path: ["n"] }, codec), { n: { $exists: true } });
  assert.deepEqual(toFilter({ op: "not", filter: { op: "exists", path: ["n"] } }, codec), { $nor: [{ n: { $exists: true } }] });
  assert.deepEqual(toFilter({ op: "and", filters: [] }, codec), {});
  assert.deepEqual(toFilter({ op: "or", filters: [] }, codec), { _id: { $in: [] } });
  const both = [
    { op: "exists", path: ["a"] },
    { op: "exists", path: ["a"] },
  ] as const;
  assert.deepEqual(toFilter({ op: "and", filters: both }, codec), { $and: [{ a: { $exists: true } }, { a: { $exists: true } }] });
  assert.deepEqual(toFilter({ op: "is", document: { _id: 1, a: "$b" } }, codec), {
    $expr: { $eq: ["$$ROOT", { $literal: { _id: 1, a: "$b" } }] },
  });
  assert.deepEqual(guarded(1, undefined, codec), { _id: 1 });
  assert.deepEqual(guarded(1, { op: "exists", path: ["a"] }, codec), { $and: [{ _id: 1 }, { a: { $exists: true } }] });
});

test("sorts and indexes keep the order of their fields, also of names that are numbers", () => {
  const fields = [
    { path: ["z"], descending: false },
    { path: ["1"], descending: true },
  ];
  assert.deepEqual(
    [...toSort(fields)],
    [
      ["z", 1],
      ["1", -1],
    ],
  );
  assert.deepEqual(toIndex({ fields, unique: true, sparse: true, where: { op: "eq", path: ["p"], value: false } }, codec), {
    key: new Map([
      ["z", 1],
      ["1", -1],
    ]),
    unique: true,
    sparse: true,
    partialFilterExpression: { p: { $eq: false } },
  });
  assert.equal(toIndex({ fields: [{ path: ["_id"], descending: true }], unique: true, sparse: false }, codec), undefined);
});

test("patches set and add, and say nothing of what they leave alone", () => {
  const set = [{ path: ["__metadata__", "published"], value: true }];
  assert.deepEqual(toUpdate({ set }, codec), { $set: { "__metadata__.published": true } });
  assert.deepEqual(toUpdate({ increment: [{ path: ["n"], by: 1 }] }, codec), { $inc: { n: 1 } });
});
