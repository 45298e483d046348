import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { toJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { z } from "zod";
import type { Dao } from "../../../core/index.ts";
import { openDao } from "./open.ts";

const zodUser = z.object({
  id: z.uuid(),
  email: z.email(),
  at: z.date(),
  n: z.bigint().optional(),
  raw: z.instanceof(Uint8Array).optional(),
  role: z.enum(["admin", "user"]).default("user"),
  owner: z
    .object({ id: z.uuid(), tags: z.array(z.string()).optional() })
    .nullable()
    .optional(),
  refs: z.array(z.uuid()).optional(),
  byKey: z.record(z.string(), z.uuid()).optional(),
});
const valibotUser = v.object({
  id: v.pipe(v.string(), v.uuid()),
  email: v.pipe(v.string(), v.email()),
  at: v.date(),
  n: v.optional(v.bigint()),
  raw: v.optional(v.instance(Uint8Array)),
  role: v.optional(v.picklist(["admin", "user"]), "user"),
  owner: v.optional(v.nullable(v.object({ id: v.pipe(v.string(), v.uuid()), tags: v.optional(v.array(v.string())) }))),
  refs: v.optional(v.array(v.pipe(v.string(), v.uuid()))),
  byKey: v.optional(v.record(v.string(), v.pipe(v.string(), v.uuid()))),
});
type User = z.output<typeof zodUser>;

const native = { at: "date", n: "bigint", raw: "bytes" } as const;

for (const library of ["zod", "valibot"] as const) {
  describe(`dao: a schema of ${library}`, () => {
    const open = async (service: Awaited<ReturnType<typeof openDao>>): Promise<Dao<User>> => {
      const name = service.name();
      if (library === "zod") return service.factory.open({ name, schema: zodUser, idField: "id", native: { raw: "bytes" } });
      const jsonSchema = toJsonSchema(valibotUser, { errorMode: "ignore" }) as never;
      return (await service.factory.open({ name, schema: valibotUser, jsonSchema, idField: "id", native })) as Dao<User>;
    };
    const user = (): User => ({
      id: randomUUID(),
      email: "a@b.de",
      at: new Date(5),
      n: 2n ** 60n,
      raw: Uint8Array.of(1),
      role: "admin",
      owner: { id: randomUUID(), tags: ["x"] },
      refs: [randomUUID()],
      byKey: { k: randomUUID() },
    });

    it("round-trips and finds native types", async () => {
      await using service = await openDao();
      const dao = await open(service);
      const one = user();
      await dao.insert(one);
      assert.deepEqual(await dao.getById(one.id), one);
      for (const filter of [
        { at: one.at },
        { n: one.n },
        { "owner.id": one.owner?.id },
        { refs: one.refs?.[0] },
        { byKey: one.byKey },
        { "byKey.k": one.byKey?.k },
        { raw: one.raw },
        { $or: [{ id: one.id }, { role: "user" }] },
      ]) {
        assert.deepEqual(await dao.find(filter as never).toArray(), [one], JSON.stringify(Object.keys(filter)));
      }
    });

    it("fills defaults in and leaves out what it does not know", async () => {
      await using service = await openDao();
      const dao = await open(service);
      const given = { id: randomUUID(), email: "a@b.de", at: new Date(1), unknown: 1 };
      await dao.insert(given as never);
      assert.deepEqual(await dao.getById(given.id), { id: given.id, email: given.email, at: given.at, role: "user" });
    });

    it("does not store what is undefined, inside objects neither", async () => {
      await using service = await openDao();
      const dao = await open(service);
      const given = { id: randomUUID(), email: "a@b.de", at: new Date(1), n: undefined, owner: { id: randomUUID(), tags: undefined } };
      await dao.insert(given as never);
      assert.equal(await dao.count({ n: { $exists: false }, "owner.tags": { $exists: false } } as never), 1);
    });

    it("refuses what does not fit, on write and in filters", async () => {
      await using service = await openDao();
      const dao = await open(service);
      await assert.rejects(dao.insert({ ...user(), email: "none" }), { code: "ERR_HEXKIT_DOCUMENT_INVALID", message: /email/ });
      await assert.rejects(dao.upsert({ ...user(), owner: { id: "x" } }), { code: "ERR_HEXKIT_DOCUMENT_INVALID", message: /owner\.id/ });
      for (const filter of [{ at: "2026" }, { n: 5 }, { "owner.id": "x" }, { "owner.more": 1 }, { role: 5 }]) {
        assert.throws(() => dao.find(filter as never), { code: "ERR_HEXKIT_FILTER_INVALID" }, JSON.stringify(filter));
      }
    });
  });
}

describe("dao: schemas", () => {
  it("refuses a Standard Schema that cannot say its JSON Schema, naming the way out", async () => {
    await using service = await openDao();
    await assert.rejects(service.factory.open({ name: "x", schema: valibotUser, idField: "id" }), {
      code: "ERR_HEXKIT_INVALID_ARGUMENT",
      message: /jsonSchema/,
    });
  });

  it("refuses a schema that does not accept what it gives, where that can be seen", async () => {
    await using service = await openDao();
    const schema = z.object({ id: z.string(), n: z.string().transform(Number).pipe(z.number()) });
    await assert.rejects(service.factory.open({ name: "x", schema, idField: "id" }), {
      code: "ERR_HEXKIT_INVALID_ARGUMENT",
      message: /does not accept what it gives: n/,
    });
  });

  it("awaits a schema whose check is a promise, and takes one that throws for a refusal", async () => {
    await using service = await openDao();
    const schema = z.object({ id: z.string(), name: z.string().refine(async (name) => name !== "bad") });
    const dao = await service.factory.open({ name: service.name(), schema, idField: "id" });
    await dao.insertMany([
      { id: "1", name: "a" },
      { id: "2", name: "b" },
    ]);
    assert.equal((await dao.find().toArray()).length, 2);
    await assert.rejects(dao.insert({ id: "3", name: "bad" }), { code: "ERR_HEXKIT_DOCUMENT_INVALID" });
    const throwing = z.object({
      id: z.string().refine(() => {
        throw new Error("canary");
      }),
    });
    const other = await service.factory.open({ name: service.name(), schema: throwing, idField: "id" });
    const error = await other.insert({ id: "1" }).catch((reason: unknown) => reason as Error & { code: string });
    assert.equal((error as { code: string }).code, "ERR_HEXKIT_DOCUMENT_INVALID");
    assert.ok(!(error as Error).message.includes("canary"), (error as Error).message);
  });

  it("knows recursive schemas, unions and references", async () => {
    await using service = await openDao();
    const node = z.object({
      id: z.string(),
      get children() {
        return z.array(node).optional();
      },
    });
    const dao = await service.factory.open({ name: service.name(), schema: node, idField: "id" });
    await dao.insert({ id: "1", children: [{ id: "2", children: [{ id: "3" }] }] });
    assert.equal(await dao.count({ "children.children.id": "3" } as never), 1);
    assert.throws(() => dao.find({ "children.children.children.no": 1 } as never), { code: "ERR_HEXKIT_FILTER_INVALID" });
    const shape = z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("a"), ref: z.uuid() }),
      z.object({ kind: z.literal("b"), size: z.number() }),
    ]);
    const shapes = await service.factory.open({ name: service.name(), schema: z.object({ id: z.int(), shape }), idField: "id" });
    const ref = randomUUID();
    await shapes.insertMany([
      { id: 1, shape: { kind: "a", ref } },
      { id: 2, shape: { kind: "b", size: 1 } },
    ]);
    assert.equal((await shapes.findOne({ "shape.ref": ref } as never)).id, 1);
    assert.equal((await shapes.findOne({ "shape.size": { $gt: 0 } } as never)).id, 2);
  });

  it("keeps text as text where a field may be a UUID or other text", async () => {
    await using service = await openDao();
    const schema = z.object({ id: z.int(), either: z.union([z.uuid(), z.string()]) });
    const dao = await service.factory.open({ name: service.name(), schema, idField: "id" });
    const upper = randomUUID().toUpperCase();
    await dao.insert({ id: 1, either: upper });
    assert.equal((await dao.findOne({ either: upper })).either, upper);
  });

  it("does not change a DTO that a JSON Schema fills defaults into", async () => {
    await using service = await openDao();
    const schema = {
      type: "object",
      properties: { id: { type: "string" }, in: { type: "object", properties: { n: { type: "integer", default: 5 } } } },
    } as const;
    const dao = await service.factory.open({ name: service.name(), schema, idField: "id" });
    const dto = { id: "1", in: {} };
    await dao.insert(dto as never);
    assert.deepEqual(dto, { id: "1", in: {} });
    assert.deepEqual(await dao.getById("1"), { id: "1", in: { n: 5 } });
  });
});
