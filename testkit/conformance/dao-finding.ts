import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type DaoTest, ids, type Person } from "./dao-bench.ts";

const [codeA, codeB] = ["0b9f7b1e-6b3a-4f0e-9f0e-6b3a4f0e9f0e", "ffffffff-6b3a-4f0e-9f0e-6b3a4f0e9f0e"];

/** A little of everything, ids in the order of insertion. */
const people: readonly Person[] = [
  {
    id: "a",
    name: "Ada",
    age: 36,
    score: 1.5,
    isActive: true,
    code: codeA,
    born: new Date(1000),
    total: 2n ** 60n,
    photo: Uint8Array.of(1, 2),
  },
  { id: "b", name: "bob", age: null, score: -0.5, tags: ["x", "y"], marks: [1, 5], home: { city: "Rome", zip: 7 } },
  { id: "c", name: "Cyd", age: 5, tags: [], marks: [], home: { zip: 7, city: "Rome" }, pets: [{ name: "Rex", age: 3 }, { name: "Tom" }] },
  { id: "d", name: "😀", age: 36, isActive: false, code: codeB, born: new Date(2000), total: 3n, tags: ["y"], marks: [3], pets: [] },
  { id: "e", name: "\uffee", home: { city: "Rome" }, pets: [{ name: "Tom", age: 9 }], notes: { k: "v" }, marks: [7, 2] },
];

/** A filter, and the ids of those that it finds. */
const filters: readonly (readonly [filter: object, found: string])[] = [
  [{}, "abcde"],
  [{ id: "a" }, "a"],
  [{ id: { $in: ["a", "e", "z"] } }, "ae"],
  [{ $or: [{ id: "a" }, { id: "b" }] }, "ab"],
  [{ $and: [{ id: { $gt: "a" } }, { $nor: [{ id: "c" }, { id: { $gte: "e" } }] }] }, "bd"],
  [{ name: "Ada", age: 36 }, "a"],
  [{ name: "Ada", age: 5 }, ""],
  [{ age: 36 }, "ad"],
  [{ age: null }, "be"],
  [{ age: { $ne: null } }, "acd"],
  [{ age: { $ne: 36 } }, "bce"],
  [{ age: { $eq: 36 } }, "ad"],
  [{ age: { $gt: 5 } }, "ad"],
  [{ age: { $gte: 5 } }, "acd"],
  [{ age: { $lt: 36 } }, "c"],
  [{ age: { $lte: 36, $gt: 5 } }, "ad"],
  [{ age: { $gte: null } }, "be"],
  [{ age: { $gt: null } }, ""],
  [{ age: { $in: [5, null] } }, "bce"],
  [{ age: { $in: [] } }, ""],
  [{ age: { $nin: [5, null] } }, "ad"],
  [{ age: { $nin: [] } }, "abcde"],
  [{ age: { $exists: true } }, "abcd"],
  [{ age: { $exists: false } }, "e"],
  [{ age: { $not: { $gt: 5 } } }, "bce"],
  [{ age: { $not: { $gt: 5, $lt: 40 } } }, "bce"],
  [{ age: { $not: { $not: { $eq: 5 } } } }, "c"],
  [{ score: { $lt: 0 } }, "b"],
  [{ score: 1.5 }, "a"],
  [{ isActive: false }, "d"],
  [{ isActive: { $gt: false } }, "a"],
  [{ name: { $gt: "Z" } }, "bde"],
  [{ name: { $gt: "\uffee" } }, "d"],
  [{ code: codeA.toUpperCase() }, "a"],
  [{ code: { $gt: codeA } }, "d"],
  [{ code: { $in: [codeA, codeB] } }, "ad"],
  [{ born: new Date(1000) }, "a"],
  [{ born: { $gt: new Date(1000) } }, "d"],
  [{ total: 2n ** 60n }, "a"],
  [{ total: { $lte: 3n } }, "d"],
  [{ photo: Uint8Array.of(1, 2) }, "a"],
  [{ tags: "y" }, "bd"],
  [{ tags: ["x", "y"] }, "b"],
  [{ tags: ["y", "x"] }, ""],
  [{ tags: [] }, "c"],
  [{ tags: null }, "ae"],
  [{ tags: { $ne: "y" } }, "ace"],
  [{ tags: { $in: ["x", "z"] } }, "b"],
  [{ "tags.0": "x" }, "b"],
  [{ "tags.1": { $exists: true } }, "b"],
  [{ marks: { $gt: 2, $lt: 2 } }, "b"],
  [{ marks: { $gt: 1, $lt: 5 } }, "bde"],
  [{ marks: { $not: { $gt: 2 } } }, "ac"],
  [{ home: { city: "Rome", zip: 7 } }, "b"],
  [{ home: { zip: 7, city: "Rome" } }, "c"],
  [{ "home.city": "Rome" }, "bce"],
  [{ "home.zip": null }, "ade"],
  [{ "home.zip": { $gt: 6 } }, "bc"],
  [{ "pets.name": "Tom" }, "ce"],
  [{ "pets.age": { $gt: 2, $lt: 5 } }, "c"],
  [{ "pets.age": null }, "abc"],
  [{ "pets.age": { $exists: false } }, "abd"],
  [{ "pets.0.name": "Tom" }, "e"],
  [{ pets: { name: "Tom" } }, "c"],
  [{ pets: [] }, "d"],
  [{ "notes.k": "v" }, "e"],
  [{ notes: { k: "v" } }, "e"],
  [{ $nor: [{ age: 36 }, { name: "bob" }] }, "ce"],
  [{ $or: [{ $and: [{ age: 36 }, { isActive: true }] }, { "home.zip": 7, tags: [] }] }, "ac"],
];

export function testFinding(test: DaoTest): void {
  test("finds by every operator, by lists, nested objects and null as the contract says", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    await dao.insertMany(people);
    for (const [filter, expected] of filters) {
      const found = await dao.find(filter as never, { sort: "id" }).toArray();
      assert.equal(
        ids(found).join(""),
        expected,
        JSON.stringify(filter, (_, value) => (typeof value === "bigint" ? `${value}n` : value)),
      );
      assert.equal(await dao.count(filter as never), expected.length);
    }
  });

  test("finds the same with indexes", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service, [
      { fields: "age" },
      { fields: "tags" },
      { fields: ["home.city", "home.zip"] },
      { fields: "pets.age" },
    ]);
    await dao.insertMany(people);
    for (const [filter, expected] of filters)
      assert.equal(ids(await dao.find(filter as never, { sort: "id" }).toArray()).join(""), expected);
  });

  test("finds missing fields also where a sparse index could be used", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service, [{ fields: "age", sparse: true }]);
    await dao.insertMany(people);
    for (const filter of [
      { age: null },
      { age: { $gte: null } },
      { age: { $lte: null } },
      { age: { $in: [null] } },
      { age: { $not: { $gt: 0 } } },
    ]) {
      assert.equal(ids(await dao.find(filter, { sort: ["age", "id"] }).toArray()).join(""), "be", JSON.stringify(filter));
    }
    assert.equal(ids(await dao.find({ age: { $exists: false } }, { sort: ["age", "id"] }).toArray()).join(""), "e");
    assert.equal(ids(await dao.find({}, { sort: ["age", "id"] }).toArray()).join(""), "becad");
  });

  test("finds nested objects, lists and maps by their whole value, and gives them back", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    const [, , c] = people as [Person, Person, Person];
    await dao.insert(c);
    assert.deepEqual(await dao.findOne({ pets: c.pets as never, home: c.home as never, tags: c.tags as never }), c);
  });

  test("finds nothing in a collection that is not there, and everything without a filter", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    assert.deepEqual(await dao.find().toArray(), []);
    assert.equal(await dao.count(), 0);
    await dao.insertMany(people);
    assert.equal((await dao.find().toArray()).length, 5);
    assert.equal(await dao.count({}), 5);
  });

  test("finds the only match, and says when there is none or more than one", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    await dao.insertMany(people);
    assert.equal((await dao.findOne({ name: "bob" })).id, "b");
    await assert.rejects(dao.findOne({ name: "nobody" }), { code: "ERR_HEXKIT_NO_HIT" });
    await assert.rejects(dao.findOne({ age: 36 }), { code: "ERR_HEXKIT_MULTIPLE_HITS" });
    await assert.rejects(dao.findOne({}), { code: "ERR_HEXKIT_MULTIPLE_HITS" });
  });

  test("sorts by kinds, text by code points, lists by an end of theirs, missing and null first", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    await dao.insertMany(people);
    const sorted = async (sort: string | readonly string[]) => ids(await dao.find({}, { sort: sort as never }).toArray()).join("");
    assert.equal(await sorted("id"), "abcde");
    assert.equal(await sorted("-id"), "edcba");
    assert.equal(await sorted("name"), "acbed");
    assert.equal(await sorted(["age", "id"]), "becad");
    assert.equal(await sorted(["-age", "id"]), "adcbe");
    assert.equal(await sorted(["age", "-id"]), "ebcda");
    assert.equal(await sorted(["marks", "id"]), "cabed");
    assert.equal(await sorted(["-marks", "id"]), "ebdac");
    assert.equal(await sorted(["home.zip", "-id"]), "edacb");
    assert.equal(await sorted(["-home.zip", "home.city", "id"]), "bcade");
    assert.equal(await sorted(["born", "id"]), "bcead");
    assert.equal(await sorted(["-code", "id"]), "dabce");
    assert.equal(await sorted(["isActive", "id"]), "bceda");
    assert.equal(await sorted(["-total", "id"]), "adbce");
    assert.equal(await sorted(["pets.age", "id"]), "abcde");
    assert.equal(await sorted(["-pets.age", "id"]), "ecabd");
  });

  test("pages: skip and limit cut an exact window, 0 gives nothing, the total ignores both", async (bench) => {
    await using service = await bench.open({ batchSize: 2 });
    const dao = await bench.people(service);
    await dao.insertMany(people);
    const window = async (paging: object) => ids(await dao.find({}, { sort: "id", ...paging }).toArray()).join("");
    assert.equal(await window({ skip: 1 }), "bcde");
    assert.equal(await window({ limit: 2 }), "ab");
    assert.equal(await window({ limit: 4 }), "abcd");
    assert.equal(await window({ skip: 1, limit: 3 }), "bcd");
    assert.equal(await window({ skip: 4, limit: 3 }), "e");
    assert.equal(await window({ skip: 9 }), "");
    assert.equal(await window({ limit: 0 }), "");
    assert.equal(await dao.find({}, { limit: 0 }).total(), 5);
    assert.equal(await dao.find({ age: 36 }, { skip: 1, limit: 1 }).total(), 2);
  });

  test("counts the total once, before, during or after iteration", async (bench) => {
    await using service = await bench.open({ batchSize: 1 });
    const dao = await bench.people(service);
    await dao.insertMany(people);
    const before = dao.find({}, { limit: 2 });
    assert.equal(await before.total(), 5);
    await dao.delete("e");
    assert.equal((await before.toArray()).length, 2);
    assert.equal(await before.total(), 5);
    const during = dao.find();
    for await (const _ of during) assert.equal(await during.total(), 4);
    assert.equal(await during.total(), 4);
  });

  test("hands documents out once, in batches of any size, and asks nothing before the first is wanted", async (bench) => {
    for (const batchSize of [1, 3, 100]) {
      await using service = await bench.open({ batchSize });
      const dao = await bench.people(service);
      const find = dao.find({}, { sort: "id" });
      await dao.insertMany(people);
      assert.equal(ids(await find.toArray()).join(""), "abcde");
      assert.deepEqual(await find.toArray(), []);
    }
  });

  test("frees what an iteration holds when it is left early", async (bench) => {
    await using service = await bench.open({ batchSize: 1 });
    const dao = await bench.people(service);
    await dao.insertMany(people);
    for (let round = 0; round < 50; round += 1) {
      for await (const { id } of dao.find({}, { sort: "id" })) {
        assert.equal(id, "a");
        break;
      }
    }
    assert.equal(await dao.count(), 5);
  });

  test("finds among many documents what is there, in every batch", async (bench) => {
    await using service = await bench.open();
    const dao = await bench.people(service);
    await dao.insertMany(Array.from({ length: 1050 }, (_, n) => ({ id: randomUUID(), name: `n${n % 2}`, age: n })));
    const found = await dao.find({ name: "n1" }, { sort: "-age" }).toArray();
    assert.deepEqual(
      found.map(({ age }) => age),
      Array.from({ length: 525 }, (_, n) => 1049 - 2 * n),
    );
  });
}
