import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { inspect } from "node:util";
import { type ErrorCode, type HexkitError, openRegistry, type Registry } from "../../core/index.ts";
import { plugin } from "../../plugins/mongodb/index.ts";
import { databaseName, mongodbDsn, openMongo } from "./mongodb.ts";
import { type ScriptedServer, startServer } from "./server.mjs";

const secret = "canary-of-a-secret";
const schema = { type: "object", required: ["id"], properties: { id: { type: "string" }, a: { type: "string" } } } as const;

function open(dsn: string, options: object = {}): Promise<Registry> {
  return openRegistry({
    config: {
      providers: { db: { plugin: "mongodb", options: { dsn, database: databaseName(), ...options } } },
      protocols: { dao: "db" },
    },
    env: {},
    plugins: [plugin],
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  });
}

/** Opening fails soon, with that code and a readable reason, and tells no secret. */
async function refused(dsn: string, code: ErrorCode, reason: RegExp, options: object = {}): Promise<void> {
  const begin = performance.now();
  const error = await open(dsn, options).then(
    () => assert.fail("it opened"),
    (thrown: unknown) => thrown as HexkitError,
  );
  assert.ok(performance.now() - begin < 8_000, `${performance.now() - begin} ms`);
  assert.equal(error.code, code, inspect(error));
  assert.match(error.message, reason);
  for (const text of [error.message, inspect(error, { depth: 9 }), JSON.stringify(error)]) assert.ok(!text.includes(secret), text);
}

describe("a MongoDB that demands credentials", () => {
  let server: ScriptedServer;
  let dsn = "";
  before(async () => {
    server = await startServer("mongodb", { MONGODB_AUTH: "1" });
    dsn = server.addresses.MONGODB_DSN as string;
  });
  after(() => server?.stop());

  it("takes the right ones", async () => {
    await using registry = await open(dsn);
    const dao = await registry.get("dao").open({ name: "things", schema, idField: "id" });
    await dao.insert({ id: "1" });
    assert.deepEqual(await dao.getById("1"), { id: "1" });
  });

  it("refuses a wrong password, and none at all", async () => {
    await refused(dsn.replace("hexkit-secret", secret), "ERR_HEXKIT_AUTHENTICATION_FAILED", /Authentication failed/);
    const without = dsn.replace(/\/\/[^@]*@/, "//").replace("&authSource=admin", "");
    await refused(without, "ERR_HEXKIT_AUTHENTICATION_FAILED", /requires authentication/);
  });

  it("refuses what a user may not do", async () => {
    const database = databaseName();
    await using mongo = await openMongo(database, dsn);
    await mongo.client.db(database).command({ createUser: "reader", pwd: "reads", roles: ["read"] });
    await using registry = await open(
      dsn.replace("hexkit:hexkit-secret", "reader:reads").replace("authSource=admin", `authSource=${database}`),
      { database },
    );
    const dao = await registry.get("dao").open({ name: "things", schema, idField: "id" });
    assert.deepEqual(await dao.find().toArray(), []);
    await assert.rejects(dao.insert({ id: "1" }), { code: "ERR_HEXKIT_PERMISSION_DENIED" });
  });
});

describe("a MongoDB that is not there", () => {
  it("is named with the reason, when nothing listens, when the host is unknown and when it is no member of the set", async () => {
    const quick = { connectTimeoutMs: 700 };
    await refused(`mongodb://u:${secret}@127.0.0.1:1/`, "ERR_HEXKIT_UNAVAILABLE", /127\.0\.0\.1:1: .*ECONNREFUSED/, quick);
    await refused(
      `mongodb://u:${secret}@nowhere.invalid:27017/`,
      "ERR_HEXKIT_UNAVAILABLE",
      /nowhere\.invalid.*(ENOTFOUND|EAI_AGAIN)|no answer/,
      quick,
    );
    await refused(
      mongodbDsn().replace("replicaSet=rs0", "replicaSet=other"),
      "ERR_HEXKIT_UNAVAILABLE",
      /primary of the replica set other/,
      quick,
    );
  });
});

it("errors of writes tell neither stored values nor whole documents", async () => {
  await using registry = await open(mongodbDsn());
  const dao = await registry.get("dao").open({ name: "things", schema, idField: "id", indexes: [{ fields: "a", unique: true }] });
  await dao.insert({ id: "1", a: secret });
  for (const write of [
    () => dao.insert({ id: "2", a: secret }),
    () => dao.insertMany([{ id: "2", a: secret }]),
    () => dao.upsertMany([{ id: "2", a: secret }]),
  ]) {
    const error = await write().then(
      () => assert.fail("it was written"),
      (thrown: unknown) => thrown as HexkitError,
    );
    assert.equal(error.code, "ERR_HEXKIT_UNIQUE_VIOLATION");
    assert.match(error.message, /index: a_1/);
    assert.ok(!inspect(error, { depth: 9 }).includes(secret), inspect(error, { depth: 9 }));
  }
});
