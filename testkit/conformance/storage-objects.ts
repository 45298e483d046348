import assert from "node:assert/strict";
import { chaos } from "../chaos/chaos.ts";
import { all, bytesOf, chunksOf, digest, mebibyte, refuses, type StorageBench, suite } from "./storage-bench.ts";

/** Keys that servers, clients and URLs like to mangle. */
const oddKeys = [
  "plain.txt",
  "a/b/c/deep",
  "with space",
  " outer ",
  "plus+plus",
  "per%20cent%",
  "quo\"te'<&>;",
  "marks~!*()$,=:@",
  "question?and#hash",
  "back\\slash",
  "ümläut/ключ/鍵/😀",
  "[brackets]{}|^`",
  // In this order as bytes of UTF-8, the other way round as JavaScript strings.
  "～wide",
  "😀face",
  `${"long/".repeat(200)}end`,
];

export function testObjects(bench: StorageBench): void {
  const { expects, quirks = {} } = bench.subject;

  suite("objects", () => {
    bench.test("come back as they were stored, with type and metadata", async ({ storage, bucket }) => {
      const content = bytesOf(100_000);
      const metadata = { "content-of": "a test", n1: "~!@#$%^&*()=" };
      const earliest = Date.now() - 60_000;
      const stored = await storage.put(bucket, "key", content, { contentType: "text/csv; charset=utf-8", metadata });
      assert.match(stored.etag, /^[^"]+$/, "without quotes");
      const info = await storage.stat(bucket, "key");
      const { modifiedAt, ...rest } = info;
      assert.deepEqual(rest, {
        bucket,
        key: "key",
        sizeBytes: 100_000,
        etag: stored.etag,
        contentType: "text/csv; charset=utf-8",
        metadata,
      });
      assert.deepEqual(stored, { bucket, key: "key", sizeBytes: 100_000, etag: stored.etag });
      assert.ok(modifiedAt.getTime() > earliest && modifiedAt.getTime() < Date.now() + 60_000, String(modifiedAt));
      await using object = await storage.get(bucket, "key");
      assert.deepEqual({ ...object.info, modifiedAt: 0 }, { ...rest, modifiedAt: 0 });
      assert.equal(digest(await object.bytes()), digest(content));
    });

    bench.test("are octets unless a type is given", async ({ storage, bucket }) => {
      await storage.put(bucket, "key", "x");
      const { contentType, metadata } = await storage.stat(bucket, "key");
      assert.deepEqual({ contentType, metadata }, { contentType: "application/octet-stream", metadata: {} });
    });

    bench.test("may be empty", async ({ storage, bucket }) => {
      for (const [key, body] of [
        ["bytes", new Uint8Array(0)],
        ["text", ""],
        ["stream", chunksOf(new Uint8Array(0))],
      ] as const) {
        assert.equal((await storage.put(bucket, key, body)).sizeBytes, 0, key);
        await using object = await storage.get(bucket, key);
        assert.equal((await object.bytes()).byteLength, 0, key);
      }
    });

    bench.test("are replaced whole", async ({ storage, bucket }) => {
      await storage.put(bucket, "key", "a long first text", { contentType: "text/plain", metadata: { a: "1" } });
      const first = await storage.stat(bucket, "key");
      await storage.put(bucket, "key", "second");
      const second = await storage.stat(bucket, "key");
      assert.deepEqual([second.sizeBytes, second.contentType], [6, "application/octet-stream"]);
      assert.deepEqual(second.metadata, quirks.keepsOldMetadata ? { a: "1" } : {});
      assert.notEqual(second.etag, first.etag);
    });

    bench.test("do not change with the caller's buffer once they are stored, nor with a reader's", async ({ storage, bucket }) => {
      const buffer = bytesOf(1000);
      await storage.put(bucket, "key", buffer);
      buffer.fill(0);
      for (const _ of [1, 2]) {
        await using object = await storage.get(bucket, "key");
        const read = await object.bytes();
        assert.equal(digest(read), digest(bytesOf(1000)));
        read.fill(0);
        await using streamed = await storage.get(bucket, "key");
        for await (const chunk of streamed.body) chunk.fill(0);
      }
    });

    bench.test("may have odd keys", async ({ storage, bucket }) => {
      const keys = oddKeys.filter((key) => !quirks.unstorableKeys?.test(key));
      assert.ok(keys.length > 3, "the pattern of unstorable keys leaves some");
      for (const key of keys) await storage.put(bucket, key, key);
      for (const key of keys) {
        await using object = await storage.get(bucket, key);
        assert.equal(await object.text(), key);
        assert.equal((await storage.stat(bucket, key)).key, key);
        if (!expects.links) continue;
        const link = await storage.presignDownload(bucket, key);
        const answer = await fetch(link.url);
        assert.equal(`${answer.status} ${await answer.text()}`, `200 ${key}`);
      }
      const listed = (await all(storage.list(bucket))).map(({ key }) => key);
      assert.deepEqual(
        listed,
        keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
      );
      for (const key of keys) {
        assert.deepEqual(
          (await all(storage.list(bucket, { prefix: key }))).map((each) => each.key),
          [key],
        );
        await storage.copy({ bucket, key }, { bucket, key: `copy of ${key}`.trim() });
      }
      await storage.deleteMany(bucket, keys);
      assert.deepEqual((await all(storage.list(bucket, { prefix: "copy of" }))).length, keys.length);
      assert.deepEqual((await all(storage.list(bucket))).length, keys.length);
    });

    bench.test(
      "may have a key and others below it",
      async ({ storage, bucket }) => {
        for (const key of ["p", "p/q", "p/q/r"]) await storage.put(bucket, key, key);
        assert.deepEqual(
          (await all(storage.list(bucket, { prefix: "p/" }))).map(({ key }) => key),
          ["p/q", "p/q/r"],
        );
        await storage.delete(bucket, "p");
        assert.deepEqual(
          (await all(storage.list(bucket))).map(({ key }) => key),
          ["p/q", "p/q/r"],
        );
      },
      { when: !quirks.keysArePaths },
    );

    bench.test("are told apart by the case of their keys", async ({ storage, bucket }) => {
      for (const key of ["key", "Key", "KEY"]) await storage.put(bucket, key, key);
      assert.deepEqual(
        (await all(storage.list(bucket))).map(({ key }) => key),
        ["KEY", "Key", "key"],
      );
      await storage.delete(bucket, "Key");
      await using object = await storage.get(bucket, "key");
      assert.equal(await object.text(), "key");
    });

    bench.test("that are missing are told apart from those that are there", async ({ storage, bucket }) => {
      const code = "ERR_HEXKIT_OBJECT_NOT_FOUND";
      assert.equal(await storage.exists(bucket, "key"), false);
      await refuses(code, storage.get(bucket, "key"), "get");
      await refuses(code, storage.get(bucket, "key", { range: { start: 0 } }), "get a range");
      await refuses(code, storage.stat(bucket, "key"), "stat");
      if (expects.links) await refuses(code, storage.presignDownload(bucket, "key"), "presignDownload");
      await storage.put(bucket, "key", "x");
      assert.equal(await storage.exists(bucket, "key"), true);
    });

    bench.test("are deleted, missing ones in silence", async ({ storage, bucket }) => {
      await storage.put(bucket, "key", "x");
      await storage.delete(bucket, "key");
      assert.equal(await storage.exists(bucket, "key"), false);
      await storage.delete(bucket, "key");
      await storage.deleteMany(bucket, ["key", "other", "key"]);
      await storage.deleteMany(bucket, []);
    });

    bench.test("are read in part", async ({ storage, bucket }) => {
      await storage.put(bucket, "key", "0123456789");
      for (const [range, expected] of [
        [{ start: 0, end: 0 }, "0"],
        [{ start: 3, end: 5 }, "345"],
        [{ start: 7 }, "789"],
        [{ start: 8, end: 100 }, "89"],
      ] as const) {
        await using object = await storage.get(bucket, "key", { range });
        assert.equal(await object.text(), expected, JSON.stringify(range));
        assert.equal(object.info.sizeBytes, 10, "the size of the whole");
      }
      await refuses("ERR_HEXKIT_RANGE_NOT_SATISFIABLE", storage.get(bucket, "key", { range: { start: 10 } }));
      await storage.put(bucket, "empty", "");
      await refuses("ERR_HEXKIT_RANGE_NOT_SATISFIABLE", storage.get(bucket, "empty", { range: { start: 0 } }));
    });

    bench.test("are read once, and may be closed unread", async ({ storage, bucket }) => {
      await storage.put(bucket, "key", bytesOf(mebibyte));
      const object = await storage.get(bucket, "key");
      assert.equal(digest(await object.bytes()), digest(bytesOf(mebibyte)));
      await refuses("ERR_HEXKIT_INVALID_ARGUMENT", object.bytes(), "read again");
      await object.close();
      await object.close();
      const unread = await storage.get(bucket, "key");
      await unread.close();
      assert.equal(unread.body.destroyed, true);
      await refuses("ERR_HEXKIT_INVALID_ARGUMENT", unread.text(), "read after close");
    });

    bench.test("are listed as they are at that time, however often", async ({ storage, bucket }) => {
      const keys = async (): Promise<string[]> => (await all(storage.list(bucket))).map(({ key }) => key);
      await storage.put(bucket, "b", "x");
      assert.deepEqual(await keys(), ["b"]);
      await storage.put(bucket, "a", "x");
      assert.deepEqual(await keys(), ["a", "b"]);
      await storage.copy({ bucket, key: "a" }, { bucket, key: "c" });
      await storage.delete(bucket, "b");
      assert.deepEqual(await keys(), ["a", "c"]);
      await storage.deleteMany(bucket, ["a", "c"]);
      assert.deepEqual(await keys(), []);
    });

    bench.test("are listed lazily, by prefix, with size and etag", async ({ storage, bucket }) => {
      const stored = await Promise.all(["a/1", "a/2", "ab", "b"].map((key) => storage.put(bucket, key, key)));
      const listed = await all(storage.list(bucket, { prefix: "a/" }));
      assert.deepEqual(
        listed.map(({ modifiedAt, ...rest }) => rest),
        stored.slice(0, 2),
      );
      assert.ok(
        listed.every(({ modifiedAt }) => modifiedAt instanceof Date),
        "each has a date",
      );
      assert.deepEqual(await all(storage.list(bucket, { prefix: "none" })), []);
      for await (const { key } of storage.list(bucket)) {
        assert.equal(key, "a/1");
        break;
      }
    });

    bench.test(
      "are stored only if absent, where that is asked for",
      async ({ storage, bucket }) => {
        await storage.put(bucket, "key", "first", { ifAbsent: true });
        await refuses("ERR_HEXKIT_OBJECT_EXISTS", storage.put(bucket, "key", "second", { ifAbsent: true }));
        const race = Array.from({ length: 10 }, (_, n) => storage.put(bucket, "race", `${n}`, { ifAbsent: true }));
        const outcomes = await Promise.allSettled(race);
        assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
        for (const outcome of outcomes) if (outcome.status === "rejected") assert.equal(outcome.reason.code, "ERR_HEXKIT_OBJECT_EXISTS");
        await using object = await storage.get(bucket, "key");
        assert.equal(await object.text(), "first");
      },
      { needs: "conditionalPut" },
    );

    bench.test(
      "cannot be stored on a condition that the provider does not know",
      async ({ storage, bucket }) => {
        await refuses("ERR_HEXKIT_UNSUPPORTED", storage.put(bucket, "key", "x", { ifAbsent: true }));
        assert.equal(await storage.exists(bucket, "key"), false);
      },
      { lacks: "conditionalPut" },
    );
  });

  suite("copies", () => {
    bench.test("have content, type and metadata, within a bucket and beyond", async ({ storage, bucket, newName }) => {
      const other = newName();
      await storage.createBucket(other);
      await storage.put(bucket, "from", "text", { contentType: "text/plain", metadata: { a: "b" } });
      for (const to of [
        { bucket, key: "to" },
        { bucket: other, key: "from" },
      ]) {
        const copied = await storage.copy({ bucket, key: "from" }, to);
        const { etag, sizeBytes, contentType, metadata } = await storage.stat(to.bucket, to.key);
        assert.deepEqual(copied, { ...to, etag, sizeBytes });
        assert.deepEqual({ sizeBytes, contentType, metadata }, { sizeBytes: 4, contentType: "text/plain", metadata: { a: "b" } });
      }
    });

    bench.test("replace nothing unless they are told to", async ({ storage, bucket }) => {
      const [from, to] = [
        { bucket, key: "from" },
        { bucket, key: "to" },
      ];
      await storage.put(bucket, "to", "old");
      await refuses("ERR_HEXKIT_OBJECT_EXISTS", storage.copy(from, to), "the destination is looked at before the source");
      await refuses("ERR_HEXKIT_OBJECT_EXISTS", storage.copy(to, to), "onto itself");
      await refuses("ERR_HEXKIT_INVALID_ARGUMENT", storage.copy(to, to, { overwrite: true }), "onto itself, replacing");
      await refuses("ERR_HEXKIT_OBJECT_NOT_FOUND", storage.copy(from, to, { overwrite: true }), "a missing source");
      await storage.put(bucket, "from", "new");
      await storage.copy(from, to, { overwrite: true });
      await using object = await storage.get(bucket, "to");
      assert.equal(await object.text(), "new");
    });

    bench.test("say which bucket or object is missing", async ({ storage, bucket, newName }) => {
      const missing = newName();
      await storage.put(bucket, "from", "text");
      const from = { bucket, key: "from" };
      await refuses("ERR_HEXKIT_BUCKET_NOT_FOUND", storage.copy(from, { bucket: missing, key: "to" }), "destination's bucket");
      await refuses("ERR_HEXKIT_BUCKET_NOT_FOUND", storage.copy({ bucket: missing, key: "x" }, { bucket, key: "to" }), "source's bucket");
      await refuses("ERR_HEXKIT_OBJECT_NOT_FOUND", storage.copy({ bucket, key: "x" }, { bucket, key: "to" }), "source");
    });

    const counted = chaos(bench.subject.plugin);
    const counting = { plugin: counted.plugin, settings: { maxSingleCopyBytes: 8 * mebibyte } };
    bench.test(
      "of large objects are made in parts, and leave no upload",
      async ({ storage, bucket }) => {
        const content = bytesOf(20 * mebibyte + 7);
        await storage.put(bucket, "from", content, { contentType: "text/plain", metadata: { a: "b" } });
        const copied = await storage.copy({ bucket, key: "from" }, { bucket, key: "to" });
        assert.equal(counted.plan.calls("objectStorage.copyPart"), 3, "three parts");
        const { etag, contentType, metadata } = await storage.stat(bucket, "to");
        assert.deepEqual({ etag, contentType, metadata }, { etag: copied.etag, contentType: "text/plain", metadata: { a: "b" } });
        await using object = await storage.get(bucket, "to");
        assert.equal(digest(await object.bytes()), digest(content));
        assert.deepEqual(await all(storage.multipart.list(bucket)), []);
      },
      { ...counting, needs: "partCopy" },
    );

    bench.test(
      "of parts are refused once the source was replaced",
      async ({ storage, driver, bucket }) => {
        const { etag: sourceEtag } = await storage.put(bucket, "from", "old");
        await storage.put(bucket, "from", "new");
        const upload = await storage.multipart.start(bucket, "to");
        const source = { bucket, key: "from", range: { start: 0, end: 2 }, sourceEtag };
        await assert.rejects(driver.copyPart(upload, 1, source, {}), "it copied what is not what was asked for");
        assert.deepEqual(await storage.multipart.listParts(upload), []);
      },
      { needs: "partCopy" },
    );

    bench.test(
      "of large objects are made whole where parts cannot be copied",
      async ({ storage, bucket }) => {
        const content = bytesOf(9 * mebibyte);
        await storage.put(bucket, "from", content);
        await storage.copy({ bucket, key: "from" }, { bucket, key: "to" });
        assert.equal(counted.plan.calls("objectStorage.copyPart"), 0, "no part is copied");
        await using object = await storage.get(bucket, "to");
        assert.equal(digest(await object.bytes()), digest(content));
      },
      { ...counting, lacks: "partCopy" },
    );

    bench.test("are not blocked by an open upload of the destination", async ({ storage, bucket }) => {
      await storage.put(bucket, "from", "text");
      await storage.multipart.start(bucket, "to");
      await storage.copy({ bucket, key: "from" }, { bucket, key: "to" });
      assert.equal(await storage.exists(bucket, "to"), true);
    });
  });
}
