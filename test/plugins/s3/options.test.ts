import assert from "node:assert/strict";
import { test } from "node:test";
import { openRegistry } from "hexkit";
import { cannedServer, openStorage, xml } from "../s3-server.ts";

test("an access key without its secret, and a token without both, are refused before anything is sent", async () => {
  for (const options of [{ accessKeyId: "tested-key" }, { secretAccessKey: "tested-secret" }, { sessionToken: "tested-token" }]) {
    const config = {
      providers: { files: { plugin: "s3", options: { endpoint: "http://no-such-host.invalid", ...options } } },
      protocols: { objectStorage: "files" },
    };
    await assert.rejects(openRegistry({ config, env: {} }), { code: "ERR_HEXKIT_CONFIG_INVALID" }, Object.keys(options).join());
  }
});

test("a bucket may have a tenant, where the options say so", async () => {
  await using server = await cannedServer();
  server.answer = xml(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>");
  await using refused = await openStorage("s3", { endpoint: server.endpoint });
  await assert.rejects(refused.storage.bucketExists("tenant:bucket"), { code: "ERR_HEXKIT_BUCKET_NAME_INVALID" });
  await using opened = await openStorage("s3", { endpoint: server.endpoint, tenants: true });
  await opened.storage.bucketExists("tenant:bucket");
  assert.match(server.requests.at(-1) ?? "", /^HEAD \/tenant(:|%3A)bucket\/?$/);
});

test("checksums are sent only where they are asked for, if an endpoint is set", async () => {
  await using server = await cannedServer();
  const seen: string[] = [];
  server.answer = (request, response) => {
    seen.push(
      Object.keys(request.headers)
        .filter((name) => name.startsWith("x-amz-checksum"))
        .join(),
    );
    response.writeHead(200, { etag: '"abc"' }).end();
  };
  await using plain = await openStorage("s3", { endpoint: server.endpoint });
  await plain.storage.put("tested-bucket", "key", "x");
  await using checked = await openStorage("s3", { endpoint: server.endpoint, checksums: "WHEN_SUPPORTED" });
  await checked.storage.put("tested-bucket", "key", "x");
  assert.deepEqual(seen, ["", "x-amz-checksum-crc32"]);
});
