import assert from "node:assert/strict";
import { checkCapabilities } from "./capabilities.ts";
import { bytesOf, type StorageBench, suite } from "./storage-bench.ts";

export function testDriver(bench: StorageBench): void {
  suite("the driver", () => {
    bench.test("declares the capabilities that are expected, and has the methods that go with them", async ({ driver }) => {
      checkCapabilities(driver.capabilities, bench.subject.expects);
      const { links, postForm } = driver.capabilities;
      if (links) assert.equal(typeof driver.presign, "function", "capability links is declared: there is no `presign`");
      if (postForm) assert.equal(typeof driver.presignPost, "function", "capability postForm is declared: there is no `presignPost`");
      assert.ok(links || !postForm, "capability postForm needs links");
    });

    bench.test("takes parts of the smallest size that it declares", async ({ storage, driver, bucket, send }) => {
      const { minPartBytes } = driver.limits;
      const upload = await storage.multipart.start(bucket, "key");
      await send(upload, { 1: bytesOf(minPartBytes), 2: "e" });
      await storage.multipart.complete(upload, { partCount: 2 });
      assert.equal((await storage.stat(bucket, "key")).sizeBytes, minPartBytes + 1);
    });

    bench.test("knows its limits, in whole bytes", async ({ driver }) => {
      for (const [name, bytes] of Object.entries(driver.limits)) {
        assert.ok(Number.isSafeInteger(bytes) && bytes > 0, `${name}: ${bytes}`);
      }
    });
  });
}
