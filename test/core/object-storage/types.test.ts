import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import type { Link, ObjectInfo, ObjectStorage, ObjectSummary, Registry, StoredRef } from "../../../core/index.ts";

/** Never runs: what the compiler accepts here is the test, and `@ts-expect-error` fails where there is no error. */
async function compiles(registry: Registry): Promise<void> {
  const storage: ObjectStorage = registry.get("objectStorage");
  const archive: ObjectStorage = registry.get("objectStorage:archive");
  const bytes = new Uint8Array(1);
  const bodies = [
    bytes,
    Buffer.from(bytes),
    "text",
    new Blob(["x"]),
    new Blob(["x"]).stream(),
    Readable.from([bytes]),
    (async function* () {})(),
  ];
  for (const body of bodies) {
    const stored: StoredRef = await storage.put("bucket", "key", body, { signal: AbortSignal.timeout(1) });
    void stored;
  }
  // @ts-expect-error a number is no body
  await storage.put("bucket", "key", 7);
  // @ts-expect-error metadata is text
  await storage.put("bucket", "key", "x", { metadata: { n: 1 } });
  // @ts-expect-error the unit is in the name
  await storage.presignDownload("bucket", "key", { expiresIn: 60 });
  // @ts-expect-error a form has no content type
  await storage.presignUpload("bucket", "key", { contentType: "text/plain" });
  const link: Link = await archive.presignPut("bucket", "key", { contentType: "text/plain", overwrite: true });
  for await (const summary of storage.list("bucket")) {
    const listed: ObjectSummary = summary;
    // @ts-expect-error a listing tells no content type
    void listed.contentType;
  }
  const info: ObjectInfo = await storage.stat("bucket", "key");
  await using object = await storage.get("bucket", "key", { range: { start: 0 } });
  for await (const chunk of object.body) void chunk;
  const upload = await storage.multipart.start("bucket", "key");
  await storage.multipart.complete(upload, { partCount: 1, partSizeBytes: info.sizeBytes });
  void link;
}

describe("the types of objectStorage", () => {
  it("are checked by the compiler", () => {
    assert.equal(typeof compiles, "function");
  });
});
