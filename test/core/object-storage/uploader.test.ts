import assert from "node:assert/strict";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { deferred } from "../../../core/promise.ts";
import { root, run } from "../run-program.ts";
import { failure, open } from "./service.ts";

const MiB = 2 ** 20;
const partBytes = 8 * MiB;

/** So many chunks of 1 MiB, counted as they are taken. */
function counted(chunks: number): { readonly source: AsyncIterable<Uint8Array>; taken(): number } {
  let taken = 0;
  const source = (async function* () {
    for (let n = 0; n < chunks; n += 1) {
      taken += 1;
      yield new Uint8Array(MiB).fill(n);
    }
  })();
  return { source, taken: () => taken };
}

async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await turn();
}

describe("the uploader", () => {
  it("has as many parts under way as it may, and reads no further while they are", async () => {
    const sent = deferred<void>();
    const numbers: number[] = [];
    await using service = await open(
      (real) => ({
        putPart: async (upload, number, body, options) => {
          numbers.push(number);
          await sent.promise;
          return real.putPart(upload, number, body, options);
        },
      }),
      { uploadConcurrency: 3 },
    );
    const { source, taken } = counted(64);
    const put = service.storage.put("bucket", "key", source);
    await turns(500);
    assert.deepEqual(numbers, [1, 2, 3]);
    assert.equal(taken(), 24, "three parts, and nothing ahead of them");
    sent.resolve();
    assert.equal((await put).sizeBytes, 64 * MiB);
    assert.deepEqual(
      numbers.sort((a, b) => a - b),
      [1, 2, 3, 4, 5, 6, 7, 8],
    );
  });

  it("aborts again what an abort has left", async () => {
    let aborts = 0;
    await using service = await open((real) => ({
      putPart: async () => {
        throw new Error("planned");
      },
      abortUpload: async (upload, options) => {
        aborts += 1;
        // As on a server where a part that comes late brings its upload back.
        if (aborts > 1) await real.abortUpload(upload, options);
      },
    }));
    await assert.rejects(service.storage.put("bucket", "key", counted(10).source));
    assert.equal(aborts, 2);
    for await (const { key } of service.storage.multipart.list("bucket")) assert.fail(`left behind: ${key}`);
  });

  it("looks again for an upload that parts which were cut off may bring back", async () => {
    let gone = 0;
    const aborted: number[] = [];
    await using service = await open((real) => ({
      putPart: (_upload, number, _body, { signal }) => {
        if (number === 2) return Promise.reject(new Error("planned"));
        // Under way until it is cut off.
        return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
      },
      abortUpload: async (upload, options) => {
        aborted.push(gone);
        // The upload is gone, and comes back once.
        if (gone > 0) await real.abortUpload(upload, options);
      },
      listPartsPage: async (upload, options) => {
        gone += 1;
        if (gone === 1) throw failure("MEMORY_NO_SUCH_UPLOAD");
        return real.listPartsPage(upload, options);
      },
    }));
    await assert.rejects(service.storage.put("bucket", "key", counted(20).source));
    assert.deepEqual(aborted, [0, 1]);
    for await (const { key } of service.storage.multipart.list("bucket")) assert.fail(`left behind: ${key}`);
  });

  it("keeps the order of parts that end in another one", async () => {
    await using service = await open((real) => ({
      putPart: async (upload, number, body, options) => {
        await turns(number % 2 === 1 ? 60 : 1);
        return real.putPart(upload, number, body, options);
      },
    }));
    await service.storage.put("bucket", "key", counted(40).source);
    await using object = await service.storage.get("bucket", "key");
    const bytes = await object.bytes();
    for (let n = 0; n < 40; n += 1) assert.deepEqual([bytes[n * MiB], bytes[(n + 1) * MiB - 1]], [n, n], `MiB ${n}`);
  });

  it("stores what fits into one part in one request, from every source", async () => {
    const calls: string[] = [];
    await using service = await open((real) => ({
      put: (...args) => {
        calls.push("put");
        return real.put(...args);
      },
      startUpload: (...args) => {
        calls.push("startUpload");
        return real.startUpload(...args);
      },
    }));
    const bytes = new Uint8Array(partBytes);
    await service.storage.put("bucket", "bytes", bytes);
    await service.storage.put("bucket", "sized", Readable.from([bytes.subarray(1), bytes.subarray(0, 1)]), { sizeBytes: partBytes });
    await service.storage.put("bucket", "unsized", Readable.from([bytes.subarray(1)]));
    assert.deepEqual(calls, ["put", "put", "put"]);
    await service.storage.put("bucket", "more", new Uint8Array(partBytes + 1));
    assert.deepEqual(calls.slice(3), ["startUpload"]);
  });

  it("repeats a part as often as it may, then gives up", async () => {
    let attempts = 0;
    await using service = await open(
      () => ({
        putPart: async () => {
          attempts += 1;
          throw failure("MEMORY_BROKER_AWAY");
        },
      }),
      { maxRetries: 3, uploadConcurrency: 1 },
    );
    await assert.rejects(service.storage.put("bucket", "key", counted(20).source), { code: "ERR_HEXKIT_UNAVAILABLE" });
    assert.equal(attempts, 4);
  });

  it("repeats nothing whose repetition would contradict it", async () => {
    const calls: string[] = [];
    const fails = (name: string) => async (): Promise<never> => {
      calls.push(name);
      throw failure("MEMORY_BROKER_AWAY");
    };
    await using service = await open(() => ({
      put: fails("put"),
      completeUpload: fails("completeUpload"),
      startUpload: fails("startUpload"),
    }));
    const code = "ERR_HEXKIT_UNAVAILABLE";
    await assert.rejects(service.storage.put("bucket", "key", "x", { ifAbsent: true }), { code });
    await assert.rejects(service.storage.put("bucket", "key", counted(20).source), { code });
    assert.deepEqual(calls, ["put", "startUpload"]);
    await using other = await open(() => ({ completeUpload: fails("completeUpload") }));
    await assert.rejects(other.storage.put("bucket", "key", counted(20).source), { code });
    assert.deepEqual(calls.slice(2), ["completeUpload"]);
  });

  it("ends the parts that are under way when one fails, and aborts the upload after them", async () => {
    const events: string[] = [];
    await using service = await open((real) => ({
      putPart: async (_, number, __, { signal }) => {
        if (number === 2) throw failure("MEMORY_NO_SUCH_BUCKET");
        await new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true }));
        events.push(`part ${number} ended`);
        throw signal?.reason;
      },
      abortUpload: (...args) => {
        events.push("abort");
        return real.abortUpload(...args);
      },
    }));
    await assert.rejects(service.storage.put("bucket", "key", counted(64).source), { code: "ERR_HEXKIT_BUCKET_NOT_FOUND" });
    assert.equal(events.at(-1), "abort", String(events));
    assert.ok(events.includes("part 1 ended"), String(events));
  });

  it("aborts an upload whose id comes after nobody waits for it", async () => {
    const starting = deferred<void>();
    const begun = deferred<void>();
    const aborted = deferred<void>();
    await using service = await open((real) => ({
      startUpload: async (...args) => {
        begun.resolve();
        await starting.promise;
        return real.startUpload(args[0], {});
      },
      abortUpload: async (...args) => {
        await real.abortUpload(...args);
        aborted.resolve();
      },
    }));
    const abort = new AbortController();
    const put = service.storage.put("bucket", "key", counted(20).source, { signal: abort.signal });
    await begun.promise;
    abort.abort();
    await assert.rejects(put, { code: "ERR_HEXKIT_ABORTED" });
    starting.resolve();
    await aborted.promise;
    for await (const upload of service.storage.multipart.list("bucket")) assert.fail(`left: ${upload.key}`);
  });

  it("tries again to abort an upload, and calls one that is gone aborted", async () => {
    const outcomes = ["MEMORY_BROKER_AWAY", "MEMORY_BROKER_AWAY", "MEMORY_NO_SUCH_UPLOAD"];
    await using service = await open(() => ({
      putPart: async () => {
        throw failure("MEMORY_NO_SUCH_BUCKET");
      },
      abortUpload: async () => {
        throw failure(outcomes.shift() ?? "tried too often");
      },
    }));
    await assert.rejects(service.storage.put("bucket", "key", counted(20).source), { code: "ERR_HEXKIT_BUCKET_NOT_FOUND" });
    assert.deepEqual(outcomes, []);
  });

  it("does not wait for a driver that ignores the signal", async () => {
    const sending = deferred<void>();
    const stuck = deferred<never>();
    const { storage, registry } = await open(() => ({
      putPart: () => {
        sending.resolve();
        return stuck.promise;
      },
    }));
    const abort = new AbortController();
    const put = storage.put("bucket", "key", counted(20).source, { signal: abort.signal });
    await sending.promise;
    abort.abort();
    await assert.rejects(put, { code: "ERR_HEXKIT_ABORTED" });
    await registry.close();
  });

  it("is ended, and undone, by a registry that cannot wait any longer", async () => {
    const { storage, driver, registry } = await open();
    const source = new PassThrough();
    const put = storage.put("bucket", "key", source);
    put.catch(() => undefined);
    source.write(new Uint8Array(9 * MiB));
    while ((await driver.listUploadsPage("bucket", { limit: 1 })).items.length === 0 && source.readableLength > 0) await turn();
    await registry.close({ timeoutMs: 300 }).catch(() => undefined);
    await assert.rejects(put, { code: "ERR_HEXKIT_CLOSED" });
    assert.equal(source.destroyed, true);
  });

  it("keeps the failure of a source that it refuses from ending the process", async () => {
    await using service = await open();
    const source = new PassThrough();
    source.destroy(new Error("it failed before it was given away"));
    await assert.rejects(service.storage.put("bucket", "/bad", source), { code: "ERR_HEXKIT_OBJECT_KEY_INVALID" });
    await turns(2);
    assert.equal(source.errored?.message, "it failed before it was given away");
  });

  it("refuses a condition for a large object of unknown size before the first request, where it is not possible", async () => {
    await using service = await open((real) => ({ capabilities: { ...real.capabilities, conditionalComplete: false } }));
    await assert.rejects(service.storage.put("bucket", "key", counted(20).source, { ifAbsent: true }), { code: "ERR_HEXKIT_UNSUPPORTED" });
    await service.storage.put("bucket", "small", counted(1).source, { ifAbsent: true });
  });

  it("stores 1 GiB of unknown size within (concurrency + 2) parts of memory", async () => {
    const { code, stdout, stderr } = await run([join(root, "test", "core", "object-storage", "fixtures", "gibibyte.ts")]);
    assert.equal(code, 0, stderr);
    const { sizeBytes, parts, growthMiB } = JSON.parse(stdout) as Record<string, number>;
    assert.deepEqual({ sizeBytes, parts }, { sizeBytes: 1024 * MiB, parts: 128 });
    assert.ok((growthMiB ?? Number.NaN) <= 8 * (4 + 2), `RSS grew by ${growthMiB} MiB`);
  });
});
