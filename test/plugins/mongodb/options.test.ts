import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { type HexkitError, openRegistry } from "../../../core/index.ts";
import { plugin } from "../../../plugins/mongodb/index.ts";

async function failure(options: object): Promise<HexkitError> {
  const opening = openRegistry({
    config: { providers: { db: { plugin: "mongodb", options } }, protocols: { dao: "db" } },
    env: {},
    plugins: [plugin],
  });
  return opening.then(
    () => assert.fail("it opened"),
    (error: unknown) => error as HexkitError,
  );
}

test("a connection string that cannot be read is refused before anything is connected, without telling it", async () => {
  const secret = "canary-of-a-secret";
  for (const [dsn, reason] of [
    [`http://u:${secret}@h`, /Invalid scheme/],
    [`mongodb://u:${secret}@h/?foo=1`, /foo/],
    [`mongodb://u:${secret}@h/?maxPoolSize=x`, /maxPoolSize/],
    [`mongodb+srv://u:${secret}@h.example.org:27017`, /port/],
    [`mongodb://u:p@${secret}@h`, /Invalid connection string/],
  ] as const) {
    const error = await failure({ dsn, database: "d" });
    assert.equal(error.code, "ERR_HEXKIT_CONFIG_INVALID", inspect(error));
    assert.match(error.message, reason);
    for (const text of [error.message, inspect(error, { depth: 9 })]) assert.ok(!text.includes(secret), text);
  }
});

test("dsn and database are required, and a database's name has rules", async () => {
  for (const options of [
    {},
    { dsn: "mongodb://h" },
    { database: "d" },
    { dsn: "mongodb://h", database: "a.b" },
    { dsn: "mongodb://h", database: "a b" },
  ]) {
    assert.equal((await failure(options)).code, "ERR_HEXKIT_CONFIG_INVALID", JSON.stringify(options));
  }
});

test("a server that is not there is named, with the reason, in time", async () => {
  const begin = performance.now();
  const error = await failure({ dsn: "mongodb://u:canary-of-a-secret@127.0.0.1:1/", database: "d", connectTimeoutMs: 300 });
  assert.equal(error.code, "ERR_HEXKIT_UNAVAILABLE", inspect(error));
  assert.match(error.message, /127\.0\.0\.1:1: connect ECONNREFUSED/);
  assert.ok(performance.now() - begin < 5_000, "opening took too long");
});
