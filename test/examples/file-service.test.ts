import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { root, run, start } from "../core/run-program.ts";

const folder = join(root, "examples", "file-service");

describe("file-service", { concurrency: 2 }, () => {
  it("stores, lists, serves, links and removes files in the demo, and ends", async () => {
    const { code, stdout, stderr } = await run([join(folder, "demo.ts")]);
    assert.equal(code, 0, stderr);
    const bytes = 20 * 2 ** 20;
    const badName = "a file's name has up to 100 letters, digits, spaces, dots, - and _, and begins with a letter or digit";
    assert.deepEqual(stdout.split("\n"), [
      'PUT    /files/gr%C3%BC%C3%9Fe.txt 201 {"name":"grüße.txt","bytes":15}',
      `PUT    /files/numbers.bin         201 {"name":"numbers.bin","bytes":${bytes}}`,
      `GET    /files                     200 [{"name":"grüße.txt","bytes":15},{"name":"numbers.bin","bytes":${bytes}}]`,
      "GET    /files/gr%C3%BC%C3%9Fe.txt 200 Grüße, files!",
      "numbers.bin came back as it was sent",
      "by its link, without the service: 200 Grüße, files!",
      `as attachment; filename="gr__e.txt"; filename*=UTF-8''gr%C3%BC%C3%9Fe.txt`,
      'GET    /files/missing.txt         404 {"error":"there is no file \\"missing.txt\\""}',
      `PUT    /files/..%2Fescape         400 {"error":"${badName}"}`,
      "DELETE /files/gr%C3%BC%C3%9Fe.txt 200 {}",
      "DELETE /files/numbers.bin         200 {}",
      "GET    /files                     200 []",
      "",
    ]);
    assert.equal(stderr, "");
  });

  it("serves until SIGTERM", async () => {
    const program = start([join(folder, "main.ts")], { env: { PORT: "0" } });
    const [url] = /http:\S+/.exec(await program.line(/^files at /)) ?? [];
    const put = await fetch(`${url}/a.txt`, { method: "PUT", body: "text", headers: { "content-type": "text/x" } });
    assert.equal(`${put.status} ${await put.text()}`, '201 {"name":"a.txt","bytes":4}\n');
    const get = await fetch(`${url}/a.txt`);
    assert.equal(`${get.status} ${get.headers.get("content-type")} ${await get.text()}`, "200 text/x text");
    const odd = await fetch(`${url}/%E0%A4%A`);
    assert.equal(odd.status, 400, await odd.text());
    program.signal("SIGTERM");
    const { code, stderr } = await program.ended;
    assert.equal(code, 0, stderr);
  });

  it("says in one message that the storage cannot be reached, and ends with 1", async () => {
    const env = {
      PORT: "0",
      FILES_ACCESS_KEY_ID: "key",
      FILES_SECRET_ACCESS_KEY: "canary-2718",
      HEXKIT_FILES_ENDPOINT: "http://127.0.0.1:1",
    };
    const config = join(folder, "s3.config.json");
    const { code, stdout, stderr } = await run([join(folder, "main.ts")], { env: { ...env, HEXKIT_CONFIG: config } });
    assert.deepEqual([code, stdout], [1, ""], stderr);
    assert.match(stderr, /ERR_HEXKIT_UNAVAILABLE: .*provider "files".*ECONNREFUSED/);
    assert.doesNotMatch(stderr, /canary|^\s+at /m);
  });

  it("is started by npm run file-service as these tests start it", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };
    assert.equal(scripts["file-service"], "node --conditions=@hexkit/source --import tsx examples/file-service/main.ts");
  });
});
