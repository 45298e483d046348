import assert from "node:assert/strict";
import { inspect } from "node:util";
import { isHexkitError } from "../../core/index.ts";
import { type DaoSubject, type DaoTest, personSchema } from "./dao-bench.ts";
import { within } from "./event-broker.ts";

const badFilters: readonly unknown[] = [
  { unknown: 1 },
  { "home.unknown": 1 },
  { "name.inside": 1 },
  { "": 1 },
  { "home.": 1 },
  { _id: "1" },
  { __metadata__: null },
  { "__metadata__.published": true },
  { $where: "1" },
  { $and: [] },
  { $or: {} },
  { $nor: [1] },
  { $and: [{ unknown: 1 }] },
  { name: { $regex: "x" } },
  { name: { $eq: "a", other: 1 } },
  { name: { $not: "a" } },
  { name: { $not: {} } },
  { name: { $exists: 1 } },
  { name: { $in: "a" } },
  { name: { $in: [1] } },
  { name: { $gt: { $gt: "a" } } },
  { name: undefined },
  { name: 5 },
  { name: true },
  { name: /a/ },
  { id: 1 },
  { id: { $in: ["a", 1] } },
  { age: "36" },
  { age: [1] },
  { age: 3n },
  { isActive: "true" },
  { code: "no-uuid" },
  { code: { $in: ["no-uuid"] } },
  { born: "2026-01-01" },
  { born: new Date(Number.NaN) },
  { total: 5 },
  { total: 2n ** 63n },
  { photo: [1] },
  { tags: 5 },
  { tags: [5] },
  { home: "Rome" },
  { "home.zip": "7" },
  { "pets.age": "3" },
  [],
  "name",
  null,
];

export function testRefusals(test: DaoTest, subject: DaoSubject): void {
  test("refuses an id field that the schema lacks, or that is no id", async (bench) => {
    await using service = await bench.open();
    const open = (id: object, idField = "id") =>
      service.factory.open({ name: bench.name(), schema: { type: "object", properties: { id } } as never, idField: idField as never });
    for (const field of ["key", "", "__metadata__", "id.x", "toString"]) {
      await assert.rejects(open({ type: "string" }, field), { code: "ERR_HEXKIT_ID_FIELD_NOT_FOUND" }, field);
    }
    const odd = [
      { type: "boolean" },
      { type: "number" },
      { type: ["string", "null"] },
      { anyOf: [{ type: "string" }, { type: "integer" }] },
      {},
    ];
    for (const type of [...odd, { type: "array" }, { type: "object" }, { type: "null" }]) {
      await assert.rejects(open(type), { code: "ERR_HEXKIT_ID_TYPE_UNSUPPORTED" }, JSON.stringify(type));
    }
  });

  test("refuses an index of an unknown field, of none, or with an odd direction", async (bench) => {
    await using service = await bench.open();
    const odd = ["unknown", "home.unknown", [], {}, ["name", "unknown"], { name: 2 }, ["name", "name"], "_id", undefined, 5];
    for (const fields of odd) {
      await assert.rejects(
        bench.people(service, [{ fields: fields as never }]),
        { code: "ERR_HEXKIT_INDEX_INVALID" },
        JSON.stringify(fields),
      );
    }
  });

  test("refuses a schema, a name or a native type that cannot be", async (bench) => {
    await using service = await bench.open();
    const good = { name: bench.name(), schema: personSchema, idField: "id" };
    const odd: object[] = [
      { schema: undefined },
      { schema: "person" },
      { schema: { type: "string" } },
      { schema: { type: "object", properties: { id: { type: "nonsense" } } } },
      { name: "" },
      { name: undefined },
      { name: "system.users" },
      { name: "a$b" },
      { name: "a\0b" },
      { name: "x".repeat(101) },
      { idField: undefined },
      { native: { unknown: "date" } },
      { native: { born: "time" } },
      { uuids: ["home.unknown"] },
    ];
    for (const change of odd) {
      const spec = { ...good, ...change } as never;
      await assert.rejects(service.factory.open(spec), { code: "ERR_HEXKIT_INVALID_ARGUMENT" }, JSON.stringify(Object.entries(change)[0]));
    }
  });

  test("refuses a filter with an unknown field or operator or a value of another type, at once and everywhere", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    const invalid = { code: "ERR_HEXKIT_FILTER_INVALID" };
    for (const filter of badFilters) {
      assert.throws(() => dao.find(filter as never), invalid, inspect(filter));
      await assert.rejects(dao.count(filter as never), invalid, inspect(filter));
      await assert.rejects(dao.findOne(filter as never), invalid, inspect(filter));
    }
    const circular: Record<string, unknown> = {};
    circular.$and = [circular];
    assert.throws(() => dao.find(circular as never), invalid);
    for (const sort of ["unknown", "", "-", "--id", ["id", "-id"], [5], {}, null, ["tags", "marks"], "$natural"]) {
      assert.throws(() => dao.find({}, { sort: sort as never }), invalid, JSON.stringify(sort));
    }
  });

  test("refuses negative paging and paging that is no integer, at once", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    for (const value of [-1, 1.5, Number.NaN, "1", null]) {
      assert.throws(() => dao.find({}, { skip: value as never }), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
      if (value !== null) assert.throws(() => dao.find({}, { limit: value as never }), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
    }
  });

  test("an id of another type is not there; what is no id is refused", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    await dao.insert({ id: "1", name: "a" });
    for (const id of [1, 1.5]) {
      await assert.rejects(dao.getById(id), { code: "ERR_HEXKIT_DOCUMENT_NOT_FOUND" });
      await assert.rejects(dao.delete(id), { code: "ERR_HEXKIT_DOCUMENT_NOT_FOUND" });
    }
    for (const id of [true, null, undefined, {}, ["1"], 1n]) {
      await assert.rejects(dao.getById(id as never), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
      await assert.rejects(dao.delete(id as never), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
    }
    assert.equal(await dao.count(), 1);
  });

  test("refuses to write what does not fit the schema or cannot be stored, and writes nothing then", async (bench) => {
    await using service = await bench.open();
    const name = bench.name();
    const dao = await bench.people(service, [], name);
    await dao.insert({ id: "kept", name: "a" });
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const odd: unknown[] = [
      { name: "no id" },
      { id: 5, name: "a" },
      { id: true, name: "a" },
      { id: null, name: "a" },
      { id: "kept" },
      { id: "kept", name: 5 },
      { id: "kept", name: "b", unknown: 1 },
      { id: "kept", name: "b", age: 1.5 },
      { id: "kept", name: "b", code: "no-uuid" },
      { id: "kept", name: "b", born: new Date(Number.NaN) },
      { id: "kept", name: "b", born: "2026-01-01" },
      { id: "kept", name: "b", total: 2n ** 63n },
      { id: "kept", name: "b", total: 5 },
      { id: "kept", name: "b", photo: 3n },
      { id: "kept", name: "b", photo: new Map() },
      { id: "kept", name: "b", photo: () => 1 },
      { id: "kept", name: "b", photo: Symbol("s") },
      { id: "kept", name: "b", photo: [undefined] },
      { id: "kept", name: "b", photo: circular },
      { id: "kept", name: "b", notes: { $set: "c" } },
      { id: "kept", name: "b\ud800" },
      undefined,
      null,
      "text",
      [],
    ];
    const invalid = { code: "ERR_HEXKIT_DOCUMENT_INVALID" };
    for (const [index, dto] of odd.entries()) {
      await assert.rejects(dao.insert(dto as never), invalid, `insert ${index}`);
      await assert.rejects(dao.update(dto as never), invalid, `update ${index}`);
      await assert.rejects(dao.upsert(dto as never), invalid, `upsert ${index}`);
      await assert.rejects(dao.insertMany([{ id: "new", name: "a" }, dto as never]), invalid, `insertMany ${index}`);
      await assert.rejects(dao.upsertMany([{ id: "new", name: "a" }, dto as never]), invalid, `upsertMany ${index}`);
    }
    await assert.rejects(dao.insertMany("no list" as never), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
    assert.deepEqual(await bench.database.read(name), [{ _id: "kept", name: "a" }]);
  });

  test("says where an error comes from, and never what is in a document", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service, [{ fields: "name", unique: true }]);
    const error = await dao.insert({ id: "1", name: 5 as never, notes: { secret: "canary" } }).catch((reason: unknown) => reason);
    assert.ok(isHexkitError(error, "ERR_HEXKIT_DOCUMENT_INVALID"), String(error));
    assert.deepEqual([error.origin.binding, error.origin.provider, error.origin.plugin], ["dao", "subject", subject.plugin.name]);
    assert.match(error.message, /insert .*name/);
    assert.ok(!error.message.includes("canary"), error.message);
    const filter = await dao.count({ name: { $in: ["canary", 5 as never] } }).catch((reason: unknown) => reason);
    assert.ok(isHexkitError(filter, "ERR_HEXKIT_FILTER_INVALID"), String(filter));
    assert.ok(!filter.message.includes("canary"), filter.message);
  });

  test("does nothing if its signal has aborted, and ends when it aborts", async (bench) => {
    await using service = await bench.open({ batchSize: 1 });
    const dao = await bench.people(service);
    await dao.insertMany([
      { id: "1", name: "a" },
      { id: "2", name: "b" },
    ]);
    const aborted = { code: "ERR_HEXKIT_ABORTED" };
    const signal = AbortSignal.abort();
    const calls = [
      () => dao.getById("1", { signal }),
      () => dao.insert({ id: "3", name: "c" }, { signal }),
      () => dao.update({ id: "1", name: "c" }, { signal }),
      () => dao.upsert({ id: "3", name: "c" }, { signal }),
      () => dao.delete("1", { signal }),
      () => dao.insertMany([{ id: "3", name: "c" }], { signal }),
      () => dao.upsertMany([{ id: "3", name: "c" }], { signal }),
      () => dao.findOne({ id: "1" }, { signal }),
      () => dao.find({}, { signal }).toArray(),
      () => dao.find({}, { signal }).total(),
      () => dao.count({}, { signal }),
    ];
    for (const call of calls) await assert.rejects(within("the refusal", Promise.resolve(call())), aborted, String(call));
    assert.deepEqual(
      (await dao.find({}, { sort: "id" }).toArray()).map(({ name }) => name),
      ["a", "b"],
    );
    const controller = new AbortController();
    const reading = async (): Promise<void> => {
      for await (const _ of dao.find({}, { signal: controller.signal })) controller.abort();
    };
    await assert.rejects(within("the end of the iteration", reading()), aborted);
  });

  test("refuses every call after the registry closed", async (bench) => {
    const service = await bench.open();
    const dao = await bench.people(service);
    await service.registry.close();
    const closed = { code: "ERR_HEXKIT_CLOSED" };
    await assert.rejects(dao.getById("1"), closed);
    await assert.rejects(dao.insert({ id: "1", name: "a" }), closed);
    await assert.rejects(dao.find().toArray(), closed);
    await assert.rejects(dao.count(), closed);
    await assert.rejects(bench.people(service), closed);
    await assert.rejects(
      service.factory.transaction(async () => 1),
      subject.expects.transactions ? closed : { code: "ERR_HEXKIT_UNSUPPORTED" },
    );
  });
}
