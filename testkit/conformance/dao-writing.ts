import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { DaoSubject, DaoTest } from "./dao-bench.ts";

const notFound = { code: "ERR_HEXKIT_DOCUMENT_NOT_FOUND" };
const exists = { code: "ERR_HEXKIT_DOCUMENT_EXISTS" };
const violation = { code: "ERR_HEXKIT_UNIQUE_VIOLATION" };
const changed = { code: "ERR_HEXKIT_DOCUMENT_CHANGED" };

export function testWriting(test: DaoTest, subject: DaoSubject): void {
  test("stores and reads text, integer and UUID ids", async (bench) => {
    await using service = await bench.open();
    const schemas = [
      { id: { type: "string" } as const, values: ["a", "", "ä/ö 😀", "507f1f77bcf86cd799439011"] },
      { id: { type: "integer" } as const, values: [0, -5, 2 ** 31, Number.MAX_SAFE_INTEGER] },
      { id: { type: "string", format: "uuid" } as const, values: [randomUUID(), "c232ab00-9414-11ec-b3c8-9f68deced846"] },
    ];
    for (const { id, values } of schemas) {
      const schema = { type: "object", required: ["key"], properties: { key: id, n: { type: "integer" } } } as const;
      const dao = await service.factory.open({ name: bench.name(), schema: schema as never, idField: "key" as never });
      for (const key of values) {
        const dto = { key, n: 1 } as never;
        await dao.insert(dto);
        assert.deepEqual(await dao.getById(key), dto);
        await assert.rejects(dao.insert(dto), exists);
        await dao.update({ key, n: 2 } as never);
        assert.deepEqual(await dao.findOne({ key } as never), { key, n: 2 });
        await dao.delete(key);
        await assert.rejects(dao.getById(key), notFound);
      }
    }
  });

  test("takes a UUID id in any spelling and gives it in canonical form", async (bench) => {
    await using service = await bench.open();
    const schema = { type: "object", required: ["id"], properties: { id: { type: "string" } } } as const;
    const dao = await service.factory.open({ name: bench.name(), schema, idField: "id", uuids: ["id"] });
    const id = randomUUID();
    await dao.insert({ id: id.toUpperCase() });
    assert.deepEqual(await dao.getById(`{${id}}`), { id });
    await assert.rejects(dao.insert({ id }), exists);
  });

  test("inserts what is not there, and nothing twice", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    await dao.insert({ id: "1", name: "first" });
    await assert.rejects(dao.insert({ id: "1", name: "second" }), exists);
    assert.deepEqual(await dao.find().toArray(), [{ id: "1", name: "first" }]);
  });

  test("does not find, update or delete what is not there, and creates nothing thereby", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    await assert.rejects(dao.getById("1"), notFound);
    await assert.rejects(dao.update({ id: "1", name: "a" }), notFound);
    await assert.rejects(dao.delete("1"), notFound);
    assert.equal(await dao.count(), 0);
  });

  test("upserts: creates what is not there, replaces what is", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    await dao.upsert({ id: "1", name: "a", age: 1 });
    await dao.upsert({ id: "1", name: "b" });
    assert.deepEqual(await dao.find().toArray(), [{ id: "1", name: "b" }]);
  });

  test("an update replaces the whole document", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    await dao.insert({ id: "1", name: "a", age: 1, home: { city: "x", zip: 1 } });
    await dao.insert({ id: "2", name: "other" });
    await dao.update({ id: "1", name: "a", home: { city: "y" } });
    assert.deepEqual(await dao.getById("1"), { id: "1", name: "a", home: { city: "y" } });
    assert.deepEqual(await dao.getById("2"), { id: "2", name: "other" });
  });

  test("keeps copies: what was given or handed out may be changed", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    const dto = { id: "1", name: "a", tags: ["x"], home: { city: "c" }, photo: Uint8Array.of(1), born: new Date(5) };
    const inserting = dao.insert(dto);
    await inserting;
    for (const read of [dto, (await dao.getById("1")) as typeof dto, (await dao.find().toArray())[0] as typeof dto]) {
      read.tags.push("y");
      read.home.city = "changed";
      read.photo[0] = 9;
      read.born.setTime(6);
    }
    const kept = { id: "1", name: "a", tags: ["x"], home: { city: "c" }, photo: Uint8Array.of(1), born: new Date(5) };
    assert.deepEqual(await dao.getById("1"), kept);
  });

  test("inserts and upserts many, none included, in order until the first that fails", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    const people = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => ({ id: `${from + n}`, name: "a" }));
    await dao.insertMany([]);
    await dao.upsertMany([]);
    await dao.insertMany(people(0, 300));
    assert.equal(await dao.count(), 300);
    await assert.rejects(dao.insertMany(people(298, 302)), exists);
    assert.equal(await dao.count(), 300);
    await assert.rejects(
      dao.insertMany([
        { id: "new", name: "n" },
        { id: "0", name: "taken" },
        { id: "after", name: "a" },
      ]),
      exists,
    );
    assert.equal(await dao.count({ id: { $in: ["new", "after"] } }), 1);
    await dao.upsertMany([...people(0, 2).map((person) => ({ ...person, name: "b" })), { id: "created", name: "b" }]);
    assert.equal(await dao.count({ name: "b" }), 3);
  });

  test("keeps a unique index, on insert, update, upsert and of many", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service, [{ fields: "name", unique: true }]);
    await dao.insert({ id: "1", name: "a" });
    await dao.insert({ id: "2", name: "b" });
    await assert.rejects(dao.insert({ id: "3", name: "a" }), violation);
    await assert.rejects(dao.update({ id: "2", name: "a" }), violation);
    await assert.rejects(dao.upsert({ id: "2", name: "a" }), violation);
    await assert.rejects(dao.upsert({ id: "3", name: "a" }), violation);
    await assert.rejects(dao.insertMany([{ id: "3", name: "a" }]), violation);
    await assert.rejects(dao.upsertMany([{ id: "3", name: "a" }]), violation);
    await dao.update({ id: "1", name: "a", age: 1 });
    await dao.delete("1");
    await dao.insert({ id: "3", name: "a" });
    assert.deepEqual(
      (await dao.find({}, { sort: "id" }).toArray()).map(({ id, name }) => id + name),
      ["2b", "3a"],
    );
  });

  test("a unique index counts missing as null and each element of a list; a sparse one leaves out what lacks all fields", async (bench) => {
    await using service = await bench.open();
    const plain = await bench.people(service, [{ fields: "age", unique: true }]);
    await plain.insert({ id: "1", name: "a" });
    await assert.rejects(plain.insert({ id: "2", name: "b" }), violation);
    await assert.rejects(plain.insert({ id: "2", name: "b", age: null }), violation);
    const sparse = await bench.people(service, [{ fields: "code", unique: true, sparse: true }]);
    const code = randomUUID();
    await sparse.insertMany([
      { id: "1", name: "a" },
      { id: "2", name: "b" },
      { id: "3", name: "c", code },
    ]);
    await assert.rejects(sparse.insert({ id: "4", name: "d", code }), violation);
    const listed = await bench.people(service, [{ fields: "tags", unique: true }]);
    await listed.insert({ id: "1", name: "a", tags: ["x", "y", "x"] });
    await assert.rejects(listed.insert({ id: "2", name: "a", tags: ["z", "y"] }), violation);
    await listed.update({ id: "1", name: "a", tags: ["w"] });
    await listed.insert({ id: "2", name: "a", tags: ["z", "y"] });
  });

  test("a compound unique index is violated only by all its fields; a taken id is told first", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service, [
      { fields: ["name", "home.zip"], unique: true },
      { fields: { id: 1, age: -1 }, unique: true },
    ]);
    await dao.insert({ id: "1", name: "a", home: { zip: 1 } });
    await dao.insert({ id: "2", name: "a", home: { zip: 2 } });
    await dao.insert({ id: "3", name: "b", home: { zip: 1 } });
    await assert.rejects(dao.insert({ id: "4", name: "a", home: { zip: 1 } }), violation);
    await assert.rejects(dao.insert({ id: "1", name: "z", home: { zip: 9 } }), exists);
  });

  test("makes indexes once, on the stored id field, with dotted fields and directions, and drops none", async (bench) => {
    await using service = await bench.open();
    const name = bench.name();
    const indexes = [{ fields: { id: 1, name: -1 } }, { fields: "home.city" }, { fields: "id", unique: true }] as const;
    await bench.people(service, indexes, name);
    await bench.people(service, indexes, name);
    await bench.people(service, [], name);
    const made = (await bench.database.indexes(name)).map((index) => JSON.stringify(index)).sort();
    assert.deepEqual(made, ['{"_id":1,"name":-1}', '{"home.city":1}']);
  });

  test("refuses an index that stored documents or another index contradict", async (bench) => {
    await using service = await bench.open();
    const name = bench.name();
    const dao = await bench.people(service, [{ fields: "score" }], name);
    await dao.insertMany([
      { id: "1", name: "a" },
      { id: "2", name: "a" },
    ]);
    const conflict = { code: "ERR_HEXKIT_INDEX_CONFLICT" };
    await assert.rejects(bench.people(service, [{ fields: "name", unique: true }], name), conflict);
    await assert.rejects(bench.people(service, [{ fields: "score", unique: true }], name), conflict);
  });

  test("of concurrent inserts of one id, one succeeds; concurrent upserts all do", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service, [{ fields: "age", unique: true, sparse: true }]);
    const insert = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => dao.insert({ id: "1", name: `${n}` })));
    assert.equal(insert.filter(({ status }) => status === "fulfilled").length, 1);
    for (let round = 0; round < 5; round += 1) {
      await Promise.all(Array.from({ length: 20 }, (_, n) => dao.upsert({ id: `u${round}`, name: `${n}` })));
    }
    assert.equal(await dao.count(), 6);
    const unique = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => dao.insert({ id: `a${n}`, name: "n", age: 7 })));
    assert.equal(unique.filter(({ status }) => status === "fulfilled").length, 1);
  });

  test("updates only what is unchanged, if asked to", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    const before = { id: "1", name: "a", home: { city: "x", zip: 1 }, born: new Date(5), code: randomUUID(), total: 5n };
    await dao.insert(before);
    await dao.update({ ...before, name: "b" }, { ifUnchangedSince: await dao.getById("1") });
    await assert.rejects(dao.update({ ...before, name: "c" }, { ifUnchangedSince: before }), changed);
    assert.equal((await dao.getById("1")).name, "b");
    await dao.delete("1");
    await assert.rejects(dao.update(before, { ifUnchangedSince: before }), notFound);
    await assert.rejects(dao.update(before, { ifUnchangedSince: { ...before, id: "2" } }), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
  });

  test("no concurrent update is lost under optimistic locking", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    await dao.insert({ id: "1", name: "a", age: 0 });
    const increment = async (): Promise<void> => {
      for (;;) {
        const read = await dao.getById("1");
        try {
          return await dao.update({ ...read, age: (read.age ?? 0) + 1 }, { ifUnchangedSince: read });
        } catch (error) {
          assert.equal((error as { code: string }).code, "ERR_HEXKIT_DOCUMENT_CHANGED");
        }
      }
    };
    await Promise.all(Array.from({ length: 10 }, increment));
    assert.equal((await dao.getById("1")).age, 10);
  });

  test("refuses a document that is too large, and takes one that is nearly", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    const { maxDocumentBytes } = subject.expects;
    const sized = (share: number) => ({ id: "1", name: "x".repeat(Math.floor(maxDocumentBytes * share)) });
    await assert.rejects(dao.insert(sized(1.1)), { code: "ERR_HEXKIT_DOCUMENT_TOO_LARGE" });
    await assert.rejects(dao.upsert(sized(1.1)), { code: "ERR_HEXKIT_DOCUMENT_TOO_LARGE" });
    await dao.insert(sized(0.9));
    assert.equal((await dao.getById("1")).name.length, Math.floor(maxDocumentBytes * 0.9));
  });
}
