import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { describe, it } from "node:test";
import { inspect, promisify } from "node:util";
import { isHexkitError, type ObjectStorage } from "hexkit";
import { cannedServer, credentials, failure, openStorage, xml } from "./s3-server.ts";

const bucket = "tested-bucket";
const facts = { etag: '"abc"', "content-length": "0", "last-modified": "Tue, 24 Nov 2026 17:00:00 GMT" };
const code = (error: unknown): string => (isHexkitError(error) ? error.code : inspect(error));
const codeOf = (call: Promise<unknown>): Promise<string> => call.then(() => "resolved", code);

// Both plugins keep one contract with different clients.
for (const plugin of ["s3", "minio"]) {
  describe(`plugin ${plugin}, on a server that answers what the test wants`, () => {
    it("signs links for the public address, by SigV4, without a checksum", async () => {
      await using server = await cannedServer();
      server.answer = (_, response) => void response.writeHead(200, facts).end();
      await using opened = await openStorage(plugin, {
        endpoint: server.endpoint,
        publicEndpoint: "https://files.example.org",
        sessionToken: "tested-token",
        // Links have none even so.
        ...(plugin === "s3" && { checksums: "WHEN_SUPPORTED" }),
      });
      const { storage } = opened;
      const upload = { bucket, key: "a b/ü+1.txt", uploadId: "tested-upload" };
      server.answer = (request, response) => {
        if (request.method === "HEAD") response.writeHead(200, facts).end();
        else if (request.url?.includes("uploads")) xml(200, uploadsOf(upload))(request, response);
        else xml(404, "<Error><Code>NoSuchKey</Code></Error>")(request, response);
      };
      const links = [
        await storage.presignDownload(bucket, upload.key, { expiresInMs: 60_000, fileName: "x y.txt", contentType: "text/x" }),
        await storage.presignPut(bucket, upload.key, { expiresInMs: 60_000, overwrite: true }),
        await storage.presignPut(bucket, upload.key, { expiresInMs: 60_000, overwrite: true, contentType: "text/x" }),
        await storage.multipart.partUrl(upload, 7, { expiresInMs: 60_000 }),
        await storage.multipart.partUrl(upload, 7, { expiresInMs: 60_000, md5: "1B2M2Y8AsgTpgAmY7PhCfg==" }),
      ];
      const urls = links.map(({ url }) => new URL(url));
      for (const url of urls) {
        assert.equal(`${url.protocol}//${url.host}${url.pathname}`, `https://files.example.org/${bucket}/a%20b/%C3%BC%2B1.txt`);
        assert.equal(url.searchParams.get("X-Amz-Algorithm"), "AWS4-HMAC-SHA256");
        assert.equal(url.searchParams.get("X-Amz-Expires"), "60");
        assert.equal(url.searchParams.get("X-Amz-Security-Token"), "tested-token");
        assert.match(url.searchParams.get("X-Amz-Credential") ?? "", /^tested-key\/\d{8}\/us-east-1\/s3\/aws4_request$/);
        for (const name of url.searchParams.keys()) assert.doesNotMatch(name, /checksum/i);
      }
      const signed = urls.map((url) => url.searchParams.get("X-Amz-SignedHeaders"));
      assert.deepEqual(signed, ["host", "host", "content-type;host", "host", "content-md5;host"]);
      assert.match(urls[0]?.searchParams.get("response-content-disposition") ?? "", /^attachment; filename="x y.txt"/);
      assert.equal(urls[0]?.searchParams.get("response-content-type"), "text/x");
      assert.deepEqual([urls[3]?.searchParams.get("partNumber"), urls[3]?.searchParams.get("uploadId")], ["7", "tested-upload"]);
    });

    it("signs forms for the public address, with exactly one key and the limit of size", async () => {
      await using server = await cannedServer();
      server.answer = (_, response) => void response.writeHead(200, facts).end();
      await using opened = await openStorage(plugin, { endpoint: server.endpoint, publicEndpoint: "http://files.example.org:8080" });
      const { url, fields } = await opened.storage.presignUpload(bucket, "formed", {
        maxBytes: 1_000,
        overwrite: true,
        expiresInMs: 60_000,
      });
      assert.equal(url.replace(/\/$/, ""), `http://files.example.org:8080/${bucket}`);
      const policy = JSON.parse(Buffer.from(fields.Policy ?? fields.policy ?? "", "base64").toString()) as {
        conditions: unknown[];
        expiration: string;
      };
      const text = JSON.stringify(policy.conditions);
      assert.ok(text.includes('["content-length-range",0,1000]'), text);
      assert.ok(text.includes('"formed"') && text.includes(`"${bucket}"`), text);
      assert.doesNotMatch(text, /starts-with|checksum/);
      assert.ok(Math.abs(Date.parse(policy.expiration) - Date.now() - 60_000) < 10_000, policy.expiration);
    });

    it("repeats as often as core says, and no client beside it", async () => {
      await using server = await cannedServer();
      await using opened = await openStorage(plugin, { endpoint: server.endpoint }, { maxRetries: 2 });
      for (const [status, answered] of [
        [503, "SlowDown"],
        [500, "InternalError"],
        [429, "SlowDown"],
      ] as const) {
        server.answer = failure(status, answered);
        const before = server.requests.length;
        const failed = opened.storage.get(bucket, "k");
        await assert.rejects(failed, (error) => code(error) === "ERR_HEXKIT_UNAVAILABLE" && String(error).includes(`said ${answered}`));
        assert.equal(server.requests.length - before, 3, `after ${status}`);
      }
    });

    it("maps answers without XML, and ones without a body, by their status", async () => {
      await using server = await cannedServer();
      await using opened = await openStorage(plugin, { endpoint: server.endpoint }, { maxRetries: 0 });
      const { storage } = opened;
      server.answer = (_, response) =>
        void response.writeHead(502, { "content-type": "text/html" }).end("<html><body>Bad Gateway<br></body></html>");
      assert.equal(await codeOf(storage.get(bucket, "k")), "ERR_HEXKIT_UNAVAILABLE");
      assert.equal(await codeOf(storage.put(bucket, "k", "x")), "ERR_HEXKIT_UNAVAILABLE");
      server.answer = (_, response) => void response.writeHead(403).end();
      assert.equal(await codeOf(storage.stat(bucket, "k")), "ERR_HEXKIT_PERMISSION_DENIED");
      server.answer = (_, response) => void response.writeHead(503).end();
      assert.equal(await codeOf(storage.bucketExists(bucket)), "ERR_HEXKIT_UNAVAILABLE");
    });

    it("takes a failure within an answer of status 200 for a failure", async () => {
      await using server = await cannedServer();
      await using opened = await openStorage(plugin, { endpoint: server.endpoint }, { maxRetries: 0 });
      server.answer = (request, response) => {
        if (request.method === "HEAD") response.writeHead(request.url?.includes("target") ? 404 : 200, facts).end();
        else failure(200, "InternalError")(request, response);
      };
      const copied = opened.storage.copy({ bucket, key: "source" }, { bucket, key: "target" }, { overwrite: true });
      assert.equal(await codeOf(copied), "ERR_HEXKIT_UNAVAILABLE");
    });

    it("rejects when the connection breaks off within an answer", async () => {
      await using server = await cannedServer();
      await using opened = await openStorage(plugin, { endpoint: server.endpoint }, { maxRetries: 0 });
      server.answer = (_, response) => {
        response.writeHead(200, { ...facts, "content-length": "100" });
        response.write("begun", () => response.destroy());
      };
      const object = await opened.storage.get(bucket, "k");
      assert.equal(await codeOf(object.bytes()), "ERR_HEXKIT_UNAVAILABLE");
      server.answer = (_, response) => void response.destroy();
      assert.equal(await codeOf(opened.storage.put(bucket, "k", "x")), "ERR_HEXKIT_UNAVAILABLE");
    });

    it("asks no second time for what a server has not got", async () => {
      await using server = await cannedServer();
      await using opened = await openStorage(plugin, { endpoint: server.endpoint });
      const table: readonly (readonly [number, string, string, (storage: ObjectStorage) => Promise<unknown>])[] = [
        [404, "NoSuchBucket", "ERR_HEXKIT_BUCKET_NOT_FOUND", (storage) => storage.put(bucket, "k", "x")],
        [400, "XMinioInvalidObjectName", "ERR_HEXKIT_OBJECT_KEY_INVALID", (storage) => storage.put(bucket, "k", "x")],
        [400, "EntityTooLarge", "ERR_HEXKIT_OBJECT_TOO_LARGE", (storage) => storage.put(bucket, "k", "x")],
        [416, "InvalidRange", "ERR_HEXKIT_RANGE_NOT_SATISFIABLE", (storage) => storage.get(bucket, "k", { range: { start: 9 } })],
        [403, "AccessDenied", "ERR_HEXKIT_PERMISSION_DENIED", (storage) => storage.get(bucket, "k")],
        [403, "RequestTimeTooSkewed", "ERR_HEXKIT_AUTHENTICATION_FAILED", (storage) => storage.get(bucket, "k")],
        [409, "BucketNotEmpty", "ERR_HEXKIT_BUCKET_NOT_EMPTY", (storage) => storage.deleteBucket(bucket)],
        [412, "PreconditionFailed", "ERR_HEXKIT_OBJECT_EXISTS", (storage) => storage.put(bucket, "k", "x", { ifAbsent: true })],
        [501, "NotImplemented", "ERR_HEXKIT_UNSUPPORTED", (storage) => storage.put(bucket, "k", "x")],
      ];
      for (const [status, answered, expected, call] of table) {
        server.answer = failure(status, answered);
        const before = server.requests.length;
        await assert.rejects(
          call(opened.storage),
          (error) => code(error) === expected && String(error).includes(`said ${answered} 'so'`),
          answered,
        );
        assert.equal(server.requests.length - before, 1, answered);
      }
    });

    it("refuses before any I/O what its options say that the server cannot", async () => {
      await using server = await cannedServer();
      await using opened = await openStorage(plugin, { endpoint: server.endpoint, conditionalWrites: false, postForms: false });
      assert.equal(await codeOf(opened.storage.put(bucket, "k", "x", { ifAbsent: true })), "ERR_HEXKIT_UNSUPPORTED");
      assert.equal(await codeOf(opened.storage.presignUpload(bucket, "k")), "ERR_HEXKIT_UNSUPPORTED");
      assert.deepEqual(server.requests, []);
    });

    it("opens with credentials that may not list buckets, and not with wrong ones", async () => {
      for (const [answered, expected] of [
        ["AccessDenied", "resolved"],
        ["SignatureDoesNotMatch", "ERR_HEXKIT_AUTHENTICATION_FAILED"],
        ["InvalidAccessKeyId", "ERR_HEXKIT_AUTHENTICATION_FAILED"],
      ] as const) {
        const server = createServer(failure(403, answered)).listen(0, "127.0.0.1");
        await once(server, "listening");
        const endpoint = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
        const outcome = await openStorage(plugin, { endpoint }).then(
          async (opened) => {
            await opened[Symbol.asyncDispose]();
            return "resolved";
          },
          (error: unknown) => {
            assert.ok(!inspect(error).includes(credentials.secretAccessKey), "the secret is in the error");
            return code(error);
          },
        );
        assert.equal(outcome, expected, answered);
        server.closeAllConnections();
        server.close();
      }
    });

    it("does not open where nothing listens, or no such host is known", async () => {
      const server = await cannedServer();
      const { endpoint } = server;
      await server[Symbol.asyncDispose]();
      for (const address of [endpoint, "http://no-such-host.invalid:9000"]) {
        assert.equal(await codeOf(openStorage(plugin, { endpoint: address })), "ERR_HEXKIT_UNAVAILABLE", address);
      }
    });

    it("prints nothing of its own on the console", async () => {
      await using server = await cannedServer();
      const program = `
        import { openRegistry } from "hexkit";
        const registry = await openRegistry({ env: {}, config: ${JSON.stringify({
          log: { level: "silent" },
          providers: { files: { plugin, options: { endpoint: server.endpoint, ...credentials } } },
          protocols: { objectStorage: { provider: "files", maxRetries: 0 } },
        })} });
        const storage = registry.get("objectStorage");
        await storage.put("${bucket}", "k", "");
        await storage.get("${bucket}", "cut").then((object) => object.bytes()).catch(() => {});
        await registry.close();`;
      server.answer = (request, response) => {
        if (request.url?.includes("cut")) response.destroy();
        else response.writeHead(200, facts).end();
      };
      const args = ["--conditions=@hexkit/source", "--import", "tsx", "--input-type=module", "-e", program];
      const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, NODE_OPTIONS: "" } });
      assert.equal(stdout + stderr, "");
    });
  });
}

function uploadsOf({ key, uploadId }: { key: string; uploadId: string }): string {
  const upload = `<Upload><Key>${key}</Key><UploadId>${uploadId}</UploadId><Initiated>2026-11-24T17:00:00.000Z</Initiated></Upload>`;
  return `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${upload}</ListMultipartUploadsResult>`;
}
