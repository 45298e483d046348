import assert from "node:assert/strict";
import { it } from "node:test";
import { z } from "zod";
import type { Filter } from "../../../core/index.ts";
import { openDao } from "./open.ts";

const user = z.object({
  id: z.uuid(),
  name: z.string(),
  age: z.number().optional(),
  at: z.date(),
  tags: z.array(z.string()),
  owner: z.object({ id: z.uuid(), deep: z.object({ x: z.number(), y: z.object({ z: z.string() }) }) }).optional(),
  pets: z.array(z.object({ name: z.string() })),
});
type User = z.output<typeof user>;

/** What tsc must accept, and what it must refuse. */
function _accepted(): Filter<User>[] {
  return [
    {},
    { id: "x", age: null, name: { $in: ["a", "b"] }, tags: "x" },
    { tags: ["x"], "owner.id": { $gt: "a" }, "owner.deep.x": 5, "pets.name": "Rex" },
    { at: { $gte: new Date(), $lt: new Date() }, age: { $not: { $gt: 5 } }, name: { $exists: true } },
    { $or: [{ id: "x" }, { $and: [{ age: 5 }] }], $nor: [{ name: "a" }] },
    // @ts-expect-error unknown field
    { nope: 1 },
    // @ts-expect-error unknown field inside
    { "owner.nope": 1 },
    // @ts-expect-error wrong type
    { age: "36" },
    // @ts-expect-error wrong type in a list
    { name: { $in: [1] } },
    // @ts-expect-error unknown operator
    { name: { $regex: "x" } },
    // @ts-expect-error wrong type of a nested field
    { "owner.deep.x": "5" },
    // @ts-expect-error wrong type in a logical operator
    { $or: [{ age: "x" }] },
  ];
}

it("dao: types follow the schema", async () => {
  await using service = await openDao();
  const dao = await service.factory.open({
    name: service.name(),
    schema: user,
    idField: "id",
    indexes: [{ fields: { "owner.id": 1, age: -1 } }],
  });
  const found: User[] = await dao.find({ age: { $gt: 1 } }, { sort: ["-age", "owner.deep.x"] }).toArray();
  assert.deepEqual(found, []);
  // @ts-expect-error no field of that name
  await assert.rejects(service.factory.open({ name: service.name(), schema: user, idField: "key" }));
  // @ts-expect-error no field of that name
  await assert.rejects(service.factory.open({ name: service.name(), schema: user, idField: "id", indexes: [{ fields: "nope" }] }));
  // @ts-expect-error no field of that name
  assert.throws(() => dao.find({}, { sort: "-nope" }));
  // @ts-expect-error a field is missing
  await assert.rejects(dao.insert({ id: "x", name: "a" }));
  const json = {
    type: "object",
    required: ["id"],
    properties: { id: { type: "string" }, n: { type: "integer" } },
    additionalProperties: false,
  } as const;
  const fromJson = await service.factory.open({ name: service.name(), schema: json, idField: "id" });
  const n: number | undefined = (await fromJson.find({ n: { $gt: 1 } }).toArray())[0]?.n;
  assert.equal(n, undefined);
  // @ts-expect-error wrong type
  assert.throws(() => fromJson.find({ n: "x" }));
  assert.ok(_accepted().length > 0, "types alone matter");
});
