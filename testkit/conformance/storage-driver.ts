import assert from "node:assert/strict";
import { type StorageBench, suite } from "./storage-bench.ts";

export function testDriver(bench: StorageBench): void {
  suite("the driver", () => {
    bench.test("declares the capabilities that are expected, and has the methods that go with them", async ({ driver }) => {
      assert.deepEqual({ ...driver.capabilities }, { ...bench.subject.expects });
      const { links, postForm } = driver.capabilities;
      if (links) assert.equal(typeof driver.presign, "function", "`links` is declared: there is no `presign`");
      if (postForm) assert.equal(typeof driver.presignPost, "function", "`postForm` is declared: there is no `presignPost`");
      assert.ok(links || !postForm, "`postForm` needs `links`");
    });

    bench.test("knows its limits, in whole bytes", async ({ driver }) => {
      for (const [name, bytes] of Object.entries(driver.limits)) {
        assert.ok(Number.isSafeInteger(bytes) && bytes > 0, `${name}: ${bytes}`);
      }
    });
  });
}
