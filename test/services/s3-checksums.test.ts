import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { test } from "node:test";
import { openRegistry } from "hexkit";
import { optionsFor } from "./object-storage.ts";

for (const server of ["MINIO", "VERSITYGW"] as const) {
  test(`everything works with checksums wherever they are optional, on ${server}`, async () => {
    await using registry = await openRegistry({
      config: {
        log: { level: "silent" },
        providers: { files: { plugin: "s3", options: { ...optionsFor(server), checksums: "WHEN_SUPPORTED" } } },
        protocols: { objectStorage: "files" },
      },
      env: {},
    });
    const storage = registry.get("objectStorage");
    const bucket = `checksums-${randomUUID()}`;
    const large = randomBytes(9 * 1024 ** 2);
    await storage.createBucket(bucket);
    for (const [key, body] of [
      ["small", randomBytes(1000)],
      ["large", large],
    ] as const) {
      await storage.put(bucket, key, body);
      await using object = await storage.get(bucket, key);
      assert.ok(Buffer.from(await object.bytes()).equals(body), `${key} comes back`);
    }
    const upload = await storage.multipart.start(bucket, "linked");
    const link = await storage.multipart.partUrl(upload, 1);
    assert.equal((await fetch(link.url, { method: "PUT", body: large, headers: link.headers })).status, 200, "a part by a link");
    await storage.multipart.complete(upload);
    await storage.copy({ bucket, key: "linked" }, { bucket, key: "copied" });
    await using cut = await storage.get(bucket, "copied");
    await cut.close();
    await storage.deleteMany(bucket, ["small", "large", "linked", "copied"]);
    await storage.deleteBucket(bucket);
  });
}
