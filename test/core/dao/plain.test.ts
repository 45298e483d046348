import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { type DocumentValue, openRegistry, Uuid } from "../../../core/index.ts";
import { idKey } from "../../../plugins/memory/collection.ts";
import { clearMemorySpace, plugin } from "../../../plugins/memory/index.ts";
import { enterSpace } from "../../../plugins/memory/spaces.ts";

const home = {
  type: "object",
  additionalProperties: false,
  properties: { city: { type: "string" }, zips: { type: "array", items: { type: "integer" } } },
} as const;
const schema = { type: "object", additionalProperties: false, required: ["id"], properties: { id: { type: "string" }, home } } as const;

/** Reads a document that a peer stored. */
async function read(stored: DocumentValue): Promise<unknown> {
  const space = randomUUID();
  const { database, release } = enterSpace(space, {});
  database.put("things", idKey("1"), { _id: "1", home: stored });
  await using registry = await openRegistry({
    config: { providers: { memory: { plugin: "memory", options: { space } } }, protocols: { dao: "memory" }, log: { level: "silent" } },
    env: {},
    plugins: [plugin],
  });
  try {
    const dao = await registry.get("dao").open({ name: "things", schema, idField: "id" });
    const one = await dao.getById("1");
    assert.deepEqual(await dao.find().toArray(), [one]);
    return one.home;
  } finally {
    await release();
    clearMemorySpace(space);
  }
}

// Where a schema allows nothing that is stored as another type, documents are not walked through; the database may hold it all the same.
test("what a plain schema allows is read as it is", async () => {
  assert.deepEqual(await read({ city: "x", zips: [1, 2] }), { city: "x", zips: [1, 2] });
});

test("a UUID where a plain schema has text is read as text", async () => {
  const uuid = randomUUID();
  assert.deepEqual(await read({ city: new Uuid(uuid), zips: [1] }), { city: uuid, zips: [1] });
});

test("an integer that no number can hold is refused where a plain schema has an integer, with its place", async () => {
  await assert.rejects(read({ zips: [1, 2n ** 62n] }), {
    code: "ERR_HEXKIT_STORED_DOCUMENT_INVALID",
    message: /home\.zips\.1: holds an integer/,
  });
});
