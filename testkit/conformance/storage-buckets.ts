import assert from "node:assert/strict";
import { all, refuses, type StorageBench, suite } from "./storage-bench.ts";

export function testBuckets(bench: StorageBench): void {
  const { links } = bench.subject.expects;

  suite("buckets", () => {
    bench.test("are there once they are created, and gone once they are deleted", async ({ storage, newName }) => {
      const name = newName();
      assert.equal(await storage.bucketExists(name), false);
      await storage.createBucket(name);
      assert.equal(await storage.bucketExists(name), true);
      await storage.deleteBucket(name);
      assert.equal(await storage.bucketExists(name), false);
    });

    bench.test("are listed in the order of their names", async ({ storage, bucket, newName }) => {
      const other = newName();
      await storage.createBucket(other);
      const names = (await storage.listBuckets()).map((each) => each.bucket);
      assert.deepEqual(
        [bucket, other].filter((name) => !names.includes(name)),
        [],
      );
      assert.deepEqual(names, [...names].sort());
    });

    bench.test("are created once only, also by their owner", async ({ storage, bucket }) => {
      await refuses("ERR_HEXKIT_BUCKET_EXISTS", storage.createBucket(bucket));
    });

    bench.test("that are missing cannot be deleted, listed or written to", async ({ storage, newName }) => {
      const name = newName();
      const code = "ERR_HEXKIT_BUCKET_NOT_FOUND";
      await refuses(code, storage.deleteBucket(name), "deleteBucket");
      await refuses(code, storage.deleteBucket(name, { deleteContent: true }), "deleteBucket with content");
      await refuses(code, all(storage.list(name)), "list");
      await refuses(code, storage.put(name, "key", "x"), "put");
      await refuses(code, storage.put(name, "key", new Uint8Array(9_000_000)), "put in parts");
      await refuses(code, storage.get(name, "key"), "get");
      await refuses(code, storage.stat(name, "key"), "stat");
      await refuses(code, storage.exists(name, "key"), "exists");
      await refuses(code, storage.delete(name, "key"), "delete");
      await refuses(code, storage.deleteMany(name, ["key"]), "deleteMany");
      if (links) {
        await refuses(code, storage.presignDownload(name, "key"), "presignDownload");
        await refuses(code, storage.presignPut(name, "key"), "presignPut");
        await refuses(code, storage.presignPut(name, "key", { overwrite: true }), "presignPut over");
      }
      await refuses(code, storage.multipart.start(name, "key"), "start");
      await refuses(code, all(storage.multipart.list(name)), "multipart.list");
      const upload = { bucket: name, key: "key", uploadId: "none" };
      if (links) await refuses(code, storage.multipart.partUrl(upload, 1), "partUrl");
      await refuses(code, storage.multipart.complete(upload), "complete");
    });

    bench.test("that hold objects are deleted only on demand, with open uploads too", async ({ storage, bucket }) => {
      await storage.put(bucket, "one", "1");
      await storage.multipart.start(bucket, "open");
      await refuses("ERR_HEXKIT_BUCKET_NOT_EMPTY", storage.deleteBucket(bucket));
      assert.equal(await storage.exists(bucket, "one"), true);
      await storage.deleteBucket(bucket, { deleteContent: true });
      assert.equal(await storage.bucketExists(bucket), false);
    });

    bench.test("are emptied however many objects they hold", async ({ storage, bucket }) => {
      const keys = Array.from({ length: 1005 }, (_, n) => `n${n}`);
      for (let at = 0; at < keys.length; at += 50) await Promise.all(keys.slice(at, at + 50).map((key) => storage.put(bucket, key, key)));
      const listed = (await all(storage.list(bucket))).map(({ key }) => key);
      assert.deepEqual(listed, [...keys].sort());
      await storage.deleteMany(bucket, keys.slice(0, 1002));
      assert.equal((await all(storage.list(bucket))).length, 3);
      await storage.deleteBucket(bucket, { deleteContent: true });
      assert.equal(await storage.bucketExists(bucket), false);
    });

    bench.test(
      "of tenants are kept apart",
      async ({ storage, newName }) => {
        const name = newName();
        for (const tenant of ["one", "Two_2"]) {
          await storage.createBucket(`${tenant}:${name}`);
          await storage.put(`${tenant}:${name}`, "key", tenant);
        }
        await using object = await storage.get(`one:${name}`, "key");
        assert.equal(await object.text(), "one");
        if (links) {
          const link = await storage.presignDownload(`Two_2:${name}`, "key");
          assert.equal(await (await fetch(link.url)).text(), "Two_2");
        }
        for (const tenant of ["one", "Two_2"]) await storage.deleteBucket(`${tenant}:${name}`, { deleteContent: true });
      },
      { needs: "tenants" },
    );

    bench.test(
      "with a tenant are refused where there are none",
      ({ storage }) => refuses("ERR_HEXKIT_BUCKET_NAME_INVALID", storage.createBucket("tenant:bucket")),
      { lacks: "tenants" },
    );
  });
}
