import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { isUuid, type StoredDocument, Uuid } from "../../core/index.ts";
import type { DaoTest } from "./dao-bench.ts";

const refusedOnRead = { code: "ERR_HEXKIT_STORED_DOCUMENT_INVALID" };

export function testFormats(test: DaoTest): void {
  test("stores native types, the id under _id, and nothing of its own", async (bench) => {
    await using service = await bench.open();
    const name = bench.name();
    const dao = await bench.people(service, [], name);
    const [code, owner] = [randomUUID(), randomUUID()];
    await dao.insert({
      id: "1",
      name: "Ä",
      age: null,
      score: 1.5,
      isActive: true,
      code,
      born: new Date(1234),
      total: 2n ** 60n,
      photo: Uint8Array.of(0, 255),
      tags: [],
      home: { zip: 7, owner },
      notes: { "a.b": "c" },
    });
    const [stored, ...others] = await bench.database.read(name);
    assert.deepEqual(others, []);
    const { code: storedCode, home, ...rest } = stored as StoredDocument & { code: unknown; home: Record<string, unknown> };
    assert.deepEqual(rest, {
      _id: "1",
      name: "Ä",
      age: null,
      score: 1.5,
      isActive: true,
      born: new Date(1234),
      total: 2n ** 60n,
      photo: Uint8Array.of(0, 255),
      tags: [],
      notes: { "a.b": "c" },
    });
    assert.ok(isUuid(storedCode) && storedCode.text === code, "a UUID is stored as such");
    assert.deepEqual(Object.keys(home), ["zip", "owner"]);
    assert.ok(isUuid(home.owner) && home.owner.text === owner, "a nested one too");
  });

  test("stores a UUID id as a UUID, and does not store what is undefined", async (bench) => {
    await using service = await bench.open();
    const schema = {
      type: "object",
      properties: { key: { type: "string", format: "uuid" }, note: { type: "string" }, inner: { type: "object" } },
    } as const;
    const name = bench.name();
    const dao = await service.factory.open({ name, schema: schema as never, idField: "key" as never });
    const key = randomUUID();
    await dao.upsert({ key, note: undefined, inner: { gone: undefined } } as never);
    const [stored] = await bench.database.read(name);
    assert.deepEqual(Object.keys(stored ?? {}), ["_id", "inner"]);
    assert.deepEqual(stored?.inner, {});
    assert.ok(isUuid(stored?._id) && stored._id.text === key, "the id is stored as a UUID");
  });

  test("round-trips native types at their edges", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    const edges = [
      { born: new Date(0), total: 0n, photo: new Uint8Array(0), score: 0 },
      { born: new Date(-1), total: -(2n ** 63n), photo: new Uint8Array(70_000).fill(7), score: Number.MIN_VALUE },
      { born: new Date("9999-12-31T23:59:59.999Z"), total: 2n ** 63n - 1n, score: Number.MAX_VALUE },
      { age: Number.MAX_SAFE_INTEGER, score: 2 ** 31, total: 5n },
      { age: Number.MIN_SAFE_INTEGER, score: -(2 ** 31) - 1, name: "\0 \u2028 😀" },
    ].map((edge, n) => ({ id: `${n}`, name: "n", ...edge }));
    await dao.insertMany(edges);
    assert.deepEqual(await dao.find({}, { sort: "id" }).toArray(), edges);
    const [first] = edges;
    const photo = (await dao.findOne({ total: 0n })).photo;
    assert.equal(Object.getPrototypeOf(photo), Uint8Array.prototype, "bytes are a plain Uint8Array");
    assert.deepEqual(photo, first?.photo);
  });

  test("keeps dates as text where the schema says so, and dates in the database", async (bench) => {
    await using service = await bench.open();
    const schema = {
      type: "object",
      required: ["id", "at"],
      properties: { id: { type: "integer" }, at: { type: "string", format: "date-time" } },
    } as const;
    const name = bench.name();
    const dao = await service.factory.open({ name, schema, idField: "id", native: { at: "date" } });
    await dao.insert({ id: 1, at: "2026-02-03T04:05:06.789+01:00" });
    assert.deepEqual((await bench.database.read(name))[0]?.at, new Date("2026-02-03T03:05:06.789Z"));
    assert.deepEqual(await dao.getById(1), { id: 1, at: "2026-02-03T03:05:06.789Z" });
    assert.equal(await dao.count({ at: { $gt: "2026-02-03T03:05:06.788Z" } }), 1);
  });

  test("reads what a peer wrote: other order of keys, no metadata or foreign metadata", async (bench) => {
    await using service = await bench.open();
    const name = bench.name();
    const dao = await bench.people(service, [], name);
    const code = randomUUID();
    await bench.database.write(name, [
      { _id: "1", home: { zip: 1, city: "x" }, name: "a", code: new Uuid(code), total: 5 },
      { _id: "2", name: "b", __metadata__: { deleted: false, published: true } },
    ]);
    assert.deepEqual(await dao.find({}, { sort: "id" }).toArray(), [
      { id: "1", home: { zip: 1, city: "x" }, name: "a", code, total: 5n },
      { id: "2", name: "b" },
    ]);
    assert.equal((await dao.findOne({ code })).id, "1");
    const read = await dao.getById("1");
    await dao.update({ ...read, name: "c" }, { ifUnchangedSince: read });
    assert.equal((await dao.getById("1")).name, "c");
    await dao.delete("1");
  });

  test("refuses to hand out a stored document that does not fit the schema, and names it", async (bench) => {
    await using service = await bench.open();
    const name = bench.name();
    const dao = await bench.people(service, [], name);
    await bench.database.write(name, [
      { _id: "good", name: "a" },
      { _id: "no-name" },
      { _id: "odd-type", name: 5 },
      { _id: "too-big", name: "a", score: 2n ** 60n },
    ]);
    for (const id of ["no-name", "odd-type", "too-big"]) {
      await assert.rejects(dao.getById(id), { ...refusedOnRead, message: new RegExp(id) });
      await assert.rejects(dao.findOne({ id }), refusedOnRead);
      await assert.rejects(dao.find({ id }).toArray(), refusedOnRead);
    }
    assert.equal((await dao.getById("good")).name, "a");
    assert.equal(await dao.count(), 4);
  });
}
