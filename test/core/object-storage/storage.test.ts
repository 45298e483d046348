import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { isHexkitError, type StoredFacts } from "../../../core/index.ts";
import { failure, open } from "./service.ts";

const facts: StoredFacts = { sizeBytes: 10, etag: "e", contentType: "text/plain", metadata: {}, modifiedAt: new Date(0) };

describe("the portable object storage", () => {
  it("finds out whether bucket or object is missing, where the driver cannot tell", async () => {
    await using service = await open(() => ({
      get: async () => {
        throw failure("MEMORY_NO_SUCH_KEY");
      },
    }));
    await assert.rejects(service.storage.get("bucket", "key"), { code: "ERR_HEXKIT_OBJECT_NOT_FOUND" });
    await assert.rejects(service.storage.get("other", "key"), { code: "ERR_HEXKIT_BUCKET_NOT_FOUND" });
  });

  it("maps the failure of a body, also of one that nobody reads", async () => {
    const bodies: Readable[] = [];
    await using service = await open(() => ({
      get: async () => {
        const body = new Readable({ read: () => {} });
        bodies.push(body);
        return { ...facts, body };
      },
    }));
    const object = await service.storage.get("bucket", "key");
    const reading = object.text().catch((error: unknown) => error);
    await turn();
    bodies[0]?.destroy(failure("MEMORY_BROKER_AWAY"));
    const error = await reading;
    assert.ok(isHexkitError(error, "ERR_HEXKIT_UNAVAILABLE"), String(error));
    assert.match(error.message, /^objectStorage .*: reading "bucket\/key" failed/);
    await service.storage.get("bucket", "key");
    bodies[1]?.destroy(failure("MEMORY_BROKER_AWAY"));
    await turn();
    assert.equal(bodies[1]?.destroyed, true, "and the process goes on");
  });

  it("destroys a body that comes after nobody waits for it", async () => {
    const body = Readable.from(["x"]);
    const abort = new AbortController();
    await using service = await open(() => ({
      get: async () => {
        abort.abort();
        return { ...facts, body };
      },
    }));
    await assert.rejects(service.storage.get("bucket", "key", { signal: abort.signal }), { code: "ERR_HEXKIT_ABORTED" });
    await turn();
    assert.equal(body.destroyed, true);
  });

  it("leaves no listener at a signal that outlives its transfers", async () => {
    await using service = await open();
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1;
      remove(...args);
    };
    await service.storage.put("bucket", "key", "x", { signal });
    await service.storage.put("bucket", "large", new Uint8Array(20_000_000), { signal });
    const object = await service.storage.get("bucket", "key", { signal });
    await object.text();
    await object.close();
    await turn();
    assert.equal(listeners, 0);
  });

  it("reports every key that could not be deleted", async () => {
    await using service = await open(() => ({
      deleteMany: async (_, keys) =>
        keys.filter((key) => key.startsWith("locked")).map((key) => ({ key, error: failure("MEMORY_BUCKET_NOT_EMPTY") })),
    }));
    const keys = Array.from({ length: 1500 }, (_, n) => (n % 700 === 0 ? `locked-${n}` : `free-${n}`));
    const error = await service.storage.deleteMany("bucket", keys).catch((reason: unknown) => reason);
    assert.ok(isHexkitError(error, "ERR_HEXKIT_BUCKET_NOT_EMPTY"), String(error));
    assert.equal(error.failures.length, 3);
    assert.match(error.message, /bucket\/locked-0.*so did 2 more/);
  });

  it("says that parts of an aborted upload are still there", async () => {
    await using service = await open(() => ({ abortUpload: async () => {} }));
    const upload = await service.storage.multipart.start("bucket", "key");
    await service.driver.putPart(upload, 1, new Uint8Array(1), {});
    await assert.rejects(service.storage.multipart.abort(upload), { code: "ERR_HEXKIT_UPLOAD_ABORT_FAILED" });
  });

  it("finds an upload of exactly that key among those that a server gives for its prefix", async () => {
    await using service = await open((real) => ({
      listUploadsPage: (bucket, { key: _, ...options }) => real.listUploadsPage(bucket, options),
    }));
    await service.storage.multipart.start("bucket", "abcd");
    const upload = await service.storage.multipart.start("bucket", "abc");
    await service.storage.multipart.partUrl(upload, 1);
  });

  it("refuses what the driver cannot do, before any I/O", async () => {
    const none = { conditionalPut: false, conditionalComplete: false, links: true, postForm: false, partCopy: false, tenants: false };
    await using service = await open((real) => ({ capabilities: none, limits: { ...real.limits, maxCopyBytes: 5 } }));
    const { storage } = service;
    const code = "ERR_HEXKIT_UNSUPPORTED";
    await assert.rejects(storage.put("bucket", "key", "x", { ifAbsent: true }), { code });
    await assert.rejects(storage.put("bucket", "key", new Uint8Array(9_000_000), { ifAbsent: true }), { code });
    await assert.rejects(storage.presignUpload("bucket", "key"), { code });
    await assert.rejects(storage.multipart.complete({ bucket: "bucket", key: "key", uploadId: "1" }, { ifAbsent: true }), { code });
    await assert.rejects(storage.bucketExists("tenant:bucket"), { code: "ERR_HEXKIT_BUCKET_NAME_INVALID" });
    await storage.put("bucket", "small", "12345");
    await storage.copy({ bucket: "bucket", key: "small" }, { bucket: "bucket", key: "copy" });
    await storage.put("bucket", "large", "123456");
    await assert.rejects(storage.copy({ bucket: "bucket", key: "large" }, { bucket: "bucket", key: "copy2" }), { code });
  });

  it("refuses links where the driver signs none, before any I/O and after its arguments", async () => {
    const capabilities = { conditionalPut: true, conditionalComplete: true, links: false, postForm: true, partCopy: true, tenants: false };
    const signed = async (): Promise<never> => assert.fail("signed what was not claimed");
    const asked: string[] = [];
    for (const without of [
      { capabilities, presign: signed, presignPost: signed },
      { presign: undefined, presignPost: undefined },
    ] as object[]) {
      await using service = await open((real) => ({
        ...without,
        stat: (...args) => {
          asked.push("stat");
          return real.stat(...args);
        },
        bucketExists: (...args) => {
          asked.push("bucketExists");
          return real.bucketExists(...args);
        },
        listUploadsPage: (...args) => {
          asked.push("listUploadsPage");
          return real.listUploadsPage(...args);
        },
      }));
      asked.length = 0;
      const { storage } = service;
      const code = "ERR_HEXKIT_UNSUPPORTED";
      const upload = { bucket: "bucket", key: "key", uploadId: "1" };
      await assert.rejects(storage.presignDownload("bucket", "key"), { code, message: /signs no links; move the content by/ });
      await assert.rejects(storage.presignPut("bucket", "key", { overwrite: true }), { code });
      await assert.rejects(storage.presignUpload("bucket", "key"), { code });
      await assert.rejects(storage.multipart.partUrl(upload, 1), { code });
      await assert.rejects(storage.presignDownload("bucket", "/"), { code: "ERR_HEXKIT_OBJECT_KEY_INVALID" });
      await assert.rejects(storage.multipart.partUrl(upload, 0), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
      assert.deepEqual(asked, [], "nothing is sent");
    }
  });

  it("refuses forms where the driver has links only", async () => {
    await using service = await open(() => ({ presignPost: undefined }) as object);
    await assert.rejects(service.storage.presignUpload("bucket", "new"), { code: "ERR_HEXKIT_UNSUPPORTED", message: /use presignPut/ });
    await service.storage.presignPut("bucket", "new");
  });

  it("notices that the source of a copy in parts was replaced", async () => {
    let replaced = false;
    await using service = await open(
      (real) => ({
        copyPart: async (...args) => {
          if (!replaced) await real.put({ bucket: "bucket", key: "from" }, new Uint8Array(1), {});
          replaced = true;
          return real.copyPart(...args);
        },
      }),
      { maxSingleCopyBytes: 8_388_608, maxRetries: 0 },
    );
    await service.storage.put("bucket", "from", new Uint8Array(20_000_000));
    const copy = service.storage.copy({ bucket: "bucket", key: "from" }, { bucket: "bucket", key: "to" });
    await assert.rejects(copy, { code: "ERR_HEXKIT_OBJECT_CHANGED" });
    for await (const upload of service.storage.multipart.list("bucket")) assert.fail(`left: ${upload.key}`);
  });
});
