import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openRegistry, type Registry } from "../../../core/index.ts";
import { plugin } from "../../../plugins/memory/index.ts";
import { clearMemorySpace, memoryFaults } from "../../../testkit/index.ts";
import { open as openDriver } from "../../core/object-storage/service.ts";
import { root, run } from "../../core/run-program.ts";

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function open(space?: string, settings: object = {}): Promise<Registry> {
  const config = {
    providers: { m: { plugin: "memory", options: space === undefined ? {} : { space } } },
    protocols: { objectStorage: { provider: "m", maxRetries: 0, ...settings } },
  };
  return openRegistry({ config, env: {}, plugins: [plugin], logger: quiet });
}

describe("memory: object storage and its space", () => {
  it("is shared by registries that name a space, and forgotten with it", async () => {
    const space = randomUUID();
    await using one = await open(space);
    await one.get("objectStorage").createBucket("bucket");
    await one.get("objectStorage").put("bucket", "key", "x");
    await using two = await open(space);
    assert.equal((await two.get("objectStorage").stat("bucket", "key")).sizeBytes, 1);
    await using other = await open();
    assert.deepEqual(await other.get("objectStorage").listBuckets(), []);
    clearMemorySpace(space);
    assert.deepEqual(await two.get("objectStorage").listBuckets(), []);
  });

  it("answers links until its last user has closed", async () => {
    const space = randomUUID();
    const one = await open(space);
    const two = await open(space);
    await one.get("objectStorage").createBucket("bucket");
    await one.get("objectStorage").put("bucket", "key", "x");
    const { url } = await one.get("objectStorage").presignDownload("bucket", "key");
    await one.close();
    assert.equal(await (await fetch(url)).text(), "x");
    await two.close();
    await assert.rejects(fetch(url), TypeError, "nobody listens any more");
    await using three = await open(space);
    const again = await three.get("objectStorage").presignDownload("bucket", "key");
    assert.equal(await (await fetch(again.url)).text(), "x", "the space lives on, at another address");
    clearMemorySpace(space);
  });

  it("is away during an outage, its links too", async () => {
    const space = randomUUID();
    await using registry = await open(space);
    const storage = registry.get("objectStorage");
    await storage.createBucket("bucket");
    await storage.put("bucket", "key", "x");
    const { url } = await storage.presignDownload("bucket", "key");
    const faults = memoryFaults(space);
    faults.outage();
    await assert.rejects(storage.stat("bucket", "key"), { code: "ERR_HEXKIT_UNAVAILABLE" });
    await assert.rejects(storage.put("bucket", "key", new Uint8Array(9_000_000)), { code: "ERR_HEXKIT_UNAVAILABLE" });
    const away = await fetch(url);
    assert.equal(away.status, 503, await away.text());
    faults.restore();
    assert.equal((await storage.stat("bucket", "key")).sizeBytes, 1);
    clearMemorySpace(space);
  });

  it("gives etags as the original does: MD5, and MD5 of the parts' MD5s", async () => {
    await using registry = await open();
    const storage = registry.get("objectStorage");
    await storage.createBucket("bucket");
    assert.equal((await storage.put("bucket", "key", "hello")).etag, "5d41402abc4b2a76b9719d911017c592");
    assert.match((await storage.put("bucket", "large", new Uint8Array(20_000_000))).etag, /^[0-9a-f]{32}-3$/);
  });

  it("refuses to complete with small, unknown, exchanged or no parts, also where nobody has looked before", async () => {
    await using service = await openDriver();
    const { driver } = service;
    const object = { bucket: "bucket", key: "key" };
    const upload = { ...object, uploadId: await driver.startUpload(object, {}) };
    const part = async (partNumber: number, bytes: number) => ({
      partNumber,
      ...(await driver.putPart(upload, partNumber, new Uint8Array(bytes), {})),
    });
    const [small, large, last] = [await part(1, 100), await part(2, 5 * 2 ** 20), await part(3, 1)];
    const later = await part(4, 5 * 2 ** 20);
    await assert.rejects(driver.completeUpload(upload, [small, last], {}), { code: "MEMORY_PART_TOO_SMALL" });
    for (const parts of [[], [large, { ...last, etag: small.etag }], [later, large], [large, { partNumber: 9, etag: last.etag }]]) {
      await assert.rejects(driver.completeUpload(upload, parts, {}), { code: "MEMORY_INVALID_PART" }, JSON.stringify(parts));
    }
    await driver.completeUpload(upload, [large, last], {});
    assert.equal((await driver.stat(object, {}))?.sizeBytes, 5 * 2 ** 20 + 1);
  });

  it("does not keep the process alive by its endpoint", async () => {
    const { code, stdout, stderr } = await run([join(root, "test", "plugins", "memory", "fixtures", "open-links.ts")]);
    assert.deepEqual([code, stdout], [0, "linked\n"], stderr);
  });
});
