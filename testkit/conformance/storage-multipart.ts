import assert from "node:assert/strict";
import type { MultipartUploads, UploadRef } from "../../core/index.ts";
import { all, bytesOf, digest, mebibyte, refuses, type StorageBench, suite } from "./storage-bench.ts";

const partBytes = 5 * mebibyte;

export function testMultipart(bench: StorageBench): void {
  const { links } = bench.subject.expects;

  suite("uploads in parts", () => {
    bench.test("make an object of equal parts and a smaller last one, sent in any order", async ({ storage, bucket, send }) => {
      const { multipart } = storage;
      const content = bytesOf(2 * partBytes + 1000);
      const upload = await multipart.start(bucket, "key");
      await send(upload, { 3: content.subarray(2 * partBytes) });
      await send(upload, { 1: content.subarray(0, partBytes) });
      await send(upload, { 2: new Uint8Array(partBytes) });
      await send(upload, { 2: content.subarray(partBytes, 2 * partBytes) });
      assert.equal(await storage.exists(bucket, "key"), false, "not before completion");
      const stored = await multipart.complete(upload, { partCount: 3, partSizeBytes: partBytes });
      const { etag, sizeBytes } = await storage.stat(bucket, "key");
      assert.deepEqual(stored, { bucket, key: "key", etag, sizeBytes });
      await using object = await storage.get(bucket, "key");
      assert.equal(digest(await object.bytes()), digest(content));
      assert.deepEqual(await all(multipart.list(bucket)), []);
      await refuses("ERR_HEXKIT_UPLOAD_NOT_FOUND", multipart.complete(upload), "complete again");
      if (links) await refuses("ERR_HEXKIT_UPLOAD_NOT_FOUND", multipart.partUrl(upload, 1), "a link after completion");
      await multipart.abort(await multipart.start(bucket, "key"));
    });

    bench.test("replace an existing object at completion", async ({ storage, bucket, send }) => {
      await storage.put(bucket, "key", "old");
      const upload = await storage.multipart.start(bucket, "key");
      await send(upload, { 1: "new content" });
      assert.equal((await storage.stat(bucket, "key")).sizeBytes, 3);
      await storage.multipart.complete(upload);
      assert.equal((await storage.stat(bucket, "key")).sizeBytes, 11);
    });

    bench.test(
      "replace nothing with ifAbsent, and stay open",
      async ({ storage, bucket, send }) => {
        const upload = await storage.multipart.start(bucket, "key");
        await send(upload, { 1: "new" });
        await storage.put(bucket, "key", "older");
        await refuses("ERR_HEXKIT_OBJECT_EXISTS", storage.multipart.complete(upload, { ifAbsent: true }));
        await storage.delete(bucket, "key");
        await storage.multipart.complete(upload, { ifAbsent: true });
        assert.equal((await storage.stat(bucket, "key")).sizeBytes, 3);
      },
      { needs: "conditionalComplete" },
    );

    bench.test(
      "refuse a condition that the provider does not know",
      async ({ storage, bucket }) => {
        const upload = await storage.multipart.start(bucket, "key");
        await refuses("ERR_HEXKIT_UNSUPPORTED", storage.multipart.complete(upload, { ifAbsent: true }));
        const large = bytesOf(9 * mebibyte);
        await refuses("ERR_HEXKIT_UNSUPPORTED", storage.put(bucket, "large", large, { ifAbsent: true }));
      },
      { lacks: "conditionalComplete" },
    );

    bench.test("are one at a time for an object, but not for others of the same beginning", async ({ storage, bucket }) => {
      const { multipart } = storage;
      const upload = await multipart.start(bucket, "abc");
      await refuses("ERR_HEXKIT_UPLOAD_EXISTS", multipart.start(bucket, "abc"));
      const other = await multipart.start(bucket, "abcd");
      const listed = await all(multipart.list(bucket, { key: "abc" }));
      assert.deepEqual(
        listed.map(({ startedAt, ...rest }) => rest),
        [upload],
      );
      assert.ok(Math.abs((listed[0]?.startedAt.getTime() ?? 0) - Date.now()) < 120_000, String(listed[0]?.startedAt));
      assert.deepEqual(
        (await all(multipart.list(bucket))).map(({ key, uploadId }) => ({ bucket, key, uploadId })),
        [upload, other],
      );
      assert.deepEqual(await all(multipart.list(bucket, { key: "ab" })), []);
    });

    bench.test("are not found by a wrong id or key", async ({ storage, bucket }) => {
      const { multipart } = storage;
      const upload = await multipart.start(bucket, "key");
      const gone = await multipart.start(bucket, "gone");
      await multipart.abort(gone);
      for (const wrong of [gone, { ...upload, key: "other" }, { ...upload, uploadId: gone.uploadId }]) {
        const code = "ERR_HEXKIT_UPLOAD_NOT_FOUND";
        if (links) await refuses(code, multipart.partUrl(wrong, 1), "partUrl");
        await refuses(code, multipart.listParts(wrong), "listParts");
        await refuses(code, multipart.complete(wrong), "complete");
        await refuses(code, multipart.abort(wrong), "abort");
      }
    });

    bench.test("take no part after they were aborted, and can be started anew", async ({ storage, driver, bucket, send }) => {
      const { multipart } = storage;
      const upload = await multipart.start(bucket, "key");
      const link = links ? await multipart.partUrl(upload, 1) : undefined;
      await send(upload, { 1: "part" });
      await multipart.abort(upload);
      if (link === undefined) await assert.rejects(driver.putPart(upload, 1, Buffer.from("part"), {}), "a late part");
      else assert.equal((await fetch(link.url, { method: "PUT", body: "part" })).status, 404, "a late part");
      const again = await multipart.start(bucket, "key");
      await send(again, { 1: "part" });
      await multipart.complete(again, { partCount: 1 });
      await multipart.start(bucket, "key");
    });

    bench.test("list their parts, in exact windows", async ({ storage, bucket, send }) => {
      const { multipart } = storage;
      const upload = await multipart.start(bucket, "key");
      assert.deepEqual(await multipart.listParts(upload), []);
      await send(upload, { 1: "1", 2: "22", 4: "4444", 5: "55555" });
      const window = async (options?: Parameters<MultipartUploads["listParts"]>[1]): Promise<number[]> =>
        (await multipart.listParts(upload, options)).map(({ partNumber }) => partNumber);
      const [first] = await multipart.listParts(upload);
      assert.deepEqual([first?.partNumber, first?.sizeBytes, first?.modifiedAt instanceof Date], [1, 1, true]);
      assert.match(first?.etag ?? "", /^[^"]+$/);
      assert.deepEqual(await window(), [1, 2, 4, 5]);
      assert.deepEqual(await window({ maxParts: 2 }), [1, 2]);
      assert.deepEqual(await window({ firstPartNumber: 3 }), [4, 5]);
      assert.deepEqual(await window({ firstPartNumber: 2, maxParts: 2 }), [2, 4]);
      assert.deepEqual(await window({ firstPartNumber: 6 }), []);
      for (const options of [{ maxParts: 0 }, { firstPartNumber: 0 }, { maxParts: -1 }, { firstPartNumber: 1.5 }]) {
        await refuses("ERR_HEXKIT_INVALID_ARGUMENT", multipart.listParts(upload, options), JSON.stringify(options));
      }
    });

    bench.test("are not completed with parts that are not as they should be, and stay open", async ({ storage, driver, bucket, send }) => {
      const { multipart } = storage;
      const incomplete = async (
        upload: UploadRef,
        what: string,
        options: Parameters<MultipartUploads["complete"]>[1] = {},
      ): Promise<void> => {
        await refuses("ERR_HEXKIT_UPLOAD_INCOMPLETE", multipart.complete(upload, options), what);
        assert.equal(await storage.exists(bucket, upload.key), false, what);
      };
      const none = await multipart.start(bucket, "none");
      await incomplete(none, "no parts");
      const large = await multipart.start(bucket, "large");
      const part = bytesOf(partBytes);
      await send(large, { 1: part, 2: part });
      await incomplete(large, "wrong count", { partCount: 3 });
      await incomplete(large, "wrong size", { partSizeBytes: partBytes + 1 });
      await send(large, { 3: bytesOf(partBytes + 1) });
      await incomplete(large, "larger last part");
      await send(large, { 2: bytesOf(partBytes + 2), 3: "3" });
      await incomplete(large, "uneven middle part");
      if (driver.limits.minPartBytes > 1) {
        await send(large, { 1: "1", 2: "2" });
        await incomplete(large, "parts below the smallest size");
      }
      await send(large, { 3: "3" });
      await send(large, { 1: part, 2: part });
      await multipart.complete(large, { partCount: 3, partSizeBytes: partBytes });
      const single = await multipart.start(bucket, "single");
      await send(single, { 1: "123" });
      await incomplete(single, "a single part above the size", { partSizeBytes: 2 });
      await multipart.complete(single, { partSizeBytes: 10 });
    });

    bench.test("may have gaps in the numbers of their parts", async ({ storage, bucket, send }) => {
      const upload = await storage.multipart.start(bucket, "key");
      await send(upload, { 3: bytesOf(partBytes), 7: "end" });
      await storage.multipart.complete(upload, { partCount: 2 });
      assert.equal((await storage.stat(bucket, "key")).sizeBytes, partBytes + 3);
    });

    bench.test("exclude one another if several are open, until one is left", async ({ storage, driver, bucket, send }) => {
      const { multipart } = storage;
      const upload = await multipart.start(bucket, "key");
      const uploadId = await driver.startUpload({ bucket, key: "key" }, {});
      const second = { bucket, key: "key", uploadId };
      assert.equal((await all(multipart.list(bucket, { key: "key" }))).length, 2);
      for (const each of [upload, second, { ...upload, uploadId: "unknown" }]) {
        if (links) await refuses("ERR_HEXKIT_UPLOAD_NOT_EXCLUSIVE", multipart.partUrl(each, 1), "partUrl");
        await refuses("ERR_HEXKIT_UPLOAD_NOT_EXCLUSIVE", multipart.complete(each), "complete");
      }
      assert.deepEqual(await multipart.listParts(second), []);
      await multipart.abort(second);
      await send(upload, { 1: "part" });
      await multipart.complete(upload);
    });

    bench.test("that nobody completes are swept by age", async ({ storage, bucket, send }) => {
      const { multipart } = storage;
      const [one, two] = [await multipart.start(bucket, "one"), await multipart.start(bucket, "two")];
      await send(one, { 1: "part" });
      assert.deepEqual(await multipart.abortOlderThan(bucket, 3_600_000), []);
      assert.equal((await all(multipart.list(bucket))).length, 2);
      await bench.elapse(1500);
      const swept = await multipart.abortOlderThan(bucket, 0);
      assert.deepEqual(
        swept.map(({ startedAt, ...rest }) => rest),
        [one, two],
      );
      assert.deepEqual(await all(multipart.list(bucket)), []);
    });
  });
}
