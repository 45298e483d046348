import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { FormLink } from "../../core/index.ts";
import { refuses, type StorageBench, suite } from "./storage-bench.ts";

function post(form: FormLink, content: string, fields: Readonly<Record<string, string>> = form.fields): Promise<Response> {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  body.append("file", new Blob([content]), "file.txt");
  return fetch(form.url, { method: "POST", body });
}

/** Reads the answer, so that its connection is free, and gives its status. */
async function statusOf(answer: Promise<Response>): Promise<number> {
  const { status, body } = await answer;
  await body?.cancel();
  return status;
}

const refused = (status: number): boolean => status === 400 || status === 403 || status === 413;

export function testLinks(bench: StorageBench): void {
  const { expects } = bench.subject;
  if (!expects.links) {
    testNoLinks(bench);
    return;
  }

  suite("links (capability links)", () => {
    bench.test("to download give the object, whole or in part, until they expire", async ({ storage, bucket }) => {
      await storage.put(bucket, "key", "0123456789", { contentType: "text/plain" });
      const { url, expiresAt } = await storage.presignDownload(bucket, "key", { expiresInMs: 3_600_999 });
      assert.ok(Math.abs(expiresAt.getTime() - Date.now() - 3_600_000) < 120_000, String(expiresAt));
      const whole = await fetch(url);
      assert.equal(await whole.text(), "0123456789");
      assert.equal(whole.headers.get("content-type"), "text/plain");
      const part = await fetch(url, { headers: { range: "bytes=2-4" } });
      assert.equal(`${part.status} ${await part.text()}`, "206 234");
      const brief = await storage.presignDownload(bucket, "key", { expiresInMs: 1000 });
      await bench.elapse(2100);
      assert.equal(await statusOf(fetch(brief.url)), 403);
    });

    bench.test("to download may name and type the file anew", async ({ storage, bucket }) => {
      await storage.put(bucket, "key", "x");
      const plain = await storage.presignDownload(bucket, "key", { fileName: "report 2026.csv", contentType: "text/csv" });
      const answer = await fetch(plain.url);
      await answer.text();
      assert.equal(answer.headers.get("content-disposition"), 'attachment; filename="report 2026.csv"');
      assert.equal(answer.headers.get("content-type"), "text/csv");
      const odd = await storage.presignDownload(bucket, "key", { fileName: 'grüße "100%".txt' });
      const other = await fetch(odd.url);
      await other.text();
      const expected = `attachment; filename="gr__e _100__.txt"; filename*=UTF-8''gr%C3%BC%C3%9Fe%20%22100%25%22.txt`;
      assert.equal(other.headers.get("content-disposition"), expected);
    });

    bench.test("are good for what was signed only", async ({ storage, bucket }) => {
      await storage.put(bucket, "key", "x");
      await storage.put(bucket, "kez", "secret");
      const { url } = await storage.presignDownload(bucket, "key");
      assert.equal(await statusOf(fetch(url.replace("/key?", "/kez?"))), 403, "another key");
      assert.equal(await statusOf(fetch(url, { method: "PUT", body: "y" })), 403, "another method");
      assert.equal(await statusOf(fetch(url, { method: "DELETE" })), 403, "DELETE");
      assert.equal(await statusOf(fetch(url.split("?")[0] as string)), 403, "no signature");
      assert.equal(await statusOf(fetch(`${url}&response-content-type=text/html`)), 403, "another query");
      await using object = await storage.get(bucket, "key");
      assert.equal(await object.text(), "x");
    });

    bench.test("carry no checksum that was not asked for", async ({ storage, bucket }) => {
      await storage.put(bucket, "key", "x");
      const upload = await storage.multipart.start(bucket, "large");
      const links = [
        await storage.presignDownload(bucket, "key"),
        await storage.presignPut(bucket, "new"),
        await storage.multipart.partUrl(upload, 1),
      ];
      for (const { url } of links) assert.doesNotMatch(url, /checksum|crc32|content-md5/i);
    });

    bench.test("to put take content, of the signed type only", async ({ storage, bucket }) => {
      const any = await storage.presignPut(bucket, "any");
      assert.deepEqual(any.headers, {});
      assert.equal(await statusOf(fetch(any.url, { method: "PUT", body: "content", headers: { "content-type": "text/x-any" } })), 200);
      assert.equal((await storage.stat(bucket, "any")).contentType, "text/x-any");
      const { url, headers } = await storage.presignPut(bucket, "typed", { contentType: "text/csv" });
      assert.equal(await statusOf(fetch(url, { method: "PUT", body: "a,b", headers: { "content-type": "text/html" } })), 403, "other type");
      assert.equal(await storage.exists(bucket, "typed"), false);
      assert.equal(await statusOf(fetch(url, { method: "PUT", body: "a,b", headers })), 200);
      await using object = await storage.get(bucket, "typed");
      assert.deepEqual([await object.text(), object.info.contentType], ["a,b", "text/csv"]);
    });

    bench.test("to put do not outlive their time", async ({ storage, bucket }) => {
      const { url } = await storage.presignPut(bucket, "late", { expiresInMs: 1000 });
      await bench.elapse(2100);
      assert.equal(await statusOf(fetch(url, { method: "PUT", body: "x" })), 403);
      assert.equal(await storage.exists(bucket, "late"), false);
    });

    bench.test("to upload need an absent object, to download a present one", async ({ storage, bucket }) => {
      await storage.put(bucket, "key", "old");
      await refuses("ERR_HEXKIT_OBJECT_EXISTS", storage.presignPut(bucket, "key"));
      const { url } = await storage.presignPut(bucket, "key", { overwrite: true });
      assert.equal(await statusOf(fetch(url, { method: "PUT", body: "new" })), 200);
      await refuses("ERR_HEXKIT_OBJECT_NOT_FOUND", storage.presignDownload(bucket, "none"));
      await using object = await storage.get(bucket, "key");
      assert.equal(await object.text(), "new");
    });
  });

  suite("forms", () => {
    bench.test(
      "take a file of at most the given size",
      async ({ storage, bucket, newName }) => {
        const form = await storage.presignUpload(bucket, "key", { maxBytes: 10 });
        const tooLarge = await statusOf(post(form, "01234567890"));
        assert.ok(tooLarge === 400 || tooLarge === 413, `status ${tooLarge}`);
        assert.equal(await storage.exists(bucket, "key"), false, "nothing of it is stored");
        const status = await statusOf(post(form, "0123456789"));
        assert.ok(status === 204 || status === 200, `status ${status}`);
        await using object = await storage.get(bucket, "key");
        assert.equal(await object.text(), "0123456789");
        await refuses("ERR_HEXKIT_OBJECT_EXISTS", storage.presignUpload(bucket, "key"));
        await refuses("ERR_HEXKIT_BUCKET_NOT_FOUND", storage.presignUpload(newName(), "key"));
        const over = await storage.presignUpload(bucket, "key", { overwrite: true });
        assert.equal((await statusOf(post(over, "a much longer content than before"))) < 300, true);
      },
      { needs: "postForm" },
    );

    bench.test(
      "are good for what was signed only",
      async ({ storage, bucket }) => {
        const form = await storage.presignUpload(bucket, "key");
        const attempts = {
          "another key": { ...form.fields, key: "other" },
          "a further field": { ...form.fields, "x-amz-acl": "public-read" },
        };
        for (const [what, fields] of Object.entries(attempts)) {
          const status = await statusOf(post(form, "x", fields));
          assert.ok(refused(status), `${what}: status ${status}`);
        }
        const bare = await statusOf(post(form, "x", { key: "key" }));
        assert.ok(refused(bare), `no signature: status ${bare}`);
        assert.equal(await storage.exists(bucket, "key"), false);
        assert.equal(await storage.exists(bucket, "other"), false);
      },
      { needs: "postForm" },
    );

    bench.test(
      "do not outlive their time",
      async ({ storage, bucket }) => {
        const form = await storage.presignUpload(bucket, "key", { expiresInMs: 1000 });
        await bench.elapse(2100);
        const status = await statusOf(post(form, "x"));
        assert.ok(refused(status), `status ${status}`);
      },
      { needs: "postForm" },
    );

    bench.test(
      "are refused where the provider has none",
      ({ storage, bucket }) => refuses("ERR_HEXKIT_UNSUPPORTED", storage.presignUpload(bucket, "key")),
      { lacks: "postForm" },
    );
  });

  suite("links to parts (capability links)", () => {
    bench.test("take the part, of the signed MD5 only", async ({ storage, bucket }) => {
      const upload = await storage.multipart.start(bucket, "key", { contentType: "text/plain", metadata: { a: "b" } });
      const md5 = createHash("md5").update("part").digest("base64");
      const { url, headers } = await storage.multipart.partUrl(upload, 1, { md5 });
      assert.deepEqual(headers, { "content-md5": md5 });
      const wrong = await statusOf(fetch(url, { method: "PUT", body: "trap", headers }));
      assert.ok(refused(wrong), `status ${wrong}`);
      const bare = await statusOf(fetch(url, { method: "PUT", body: "part" }));
      assert.ok(refused(bare), `without the header: status ${bare}`);
      assert.deepEqual(await storage.multipart.listParts(upload), []);
      assert.equal(await statusOf(fetch(url, { method: "PUT", body: "part", headers })), 200);
      await storage.multipart.complete(upload);
      await using object = await storage.get(bucket, "key");
      assert.equal(await object.text(), "part");
      assert.deepEqual([object.info.contentType, object.info.metadata], ["text/plain", { a: "b" }]);
    });

    bench.test("are good for 1 to 10,000, and for their own part", async ({ storage, bucket }) => {
      const upload = await storage.multipart.start(bucket, "key");
      for (const number of [0, 10_001, 1.5, Number.NaN, "1" as never]) {
        await refuses("ERR_HEXKIT_INVALID_ARGUMENT", storage.multipart.partUrl(upload, number), String(number));
      }
      const first = await storage.multipart.partUrl(upload, 1);
      assert.equal(await statusOf(fetch(first.url.replace(/partNumber=1(?=&|$)/, "partNumber=2"), { method: "PUT", body: "x" })), 403);
      const last = await storage.multipart.partUrl(upload, 10_000);
      assert.equal(await statusOf(fetch(last.url, { method: "PUT", body: "last" })), 200);
      assert.deepEqual(
        (await storage.multipart.listParts(upload)).map(({ partNumber }) => partNumber),
        [10_000],
      );
    });
  });
}

function testNoLinks(bench: StorageBench): void {
  suite("links", () => {
    bench.test("are refused, of every kind, where the provider signs none (no capability links)", async ({ storage, bucket }) => {
      const code = "ERR_HEXKIT_UNSUPPORTED";
      await storage.put(bucket, "key", "x");
      await refuses(code, storage.presignDownload(bucket, "key"), "presignDownload");
      await refuses(code, storage.presignPut(bucket, "new"), "presignPut");
      await refuses(code, storage.presignUpload(bucket, "new"), "presignUpload");
      const upload = await storage.multipart.start(bucket, "new");
      await refuses(code, storage.multipart.partUrl(upload, 1), "partUrl");
    });
  });
}
