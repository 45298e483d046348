import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough, Readable } from "node:stream";
import { type ErrorCode, isHexkitError, type ObjectBody } from "../../core/index.ts";
import { chaos } from "../chaos/chaos.ts";
import type { Operation } from "../chaos/operations.ts";
import { until, within } from "./event-broker.ts";
import { all, bytesOf, chunksOf, digest, mebibyte, refuses, type StorageBench, suite } from "./storage-bench.ts";

const large = bytesOf(20 * mebibyte + 11);

/** A stream that gives so many bytes and then neither goes on nor ends. */
function stuck(sizeBytes: number): PassThrough {
  const stream = new PassThrough({ highWaterMark: sizeBytes });
  stream.write(bytesOf(sizeBytes));
  return stream;
}

export function testTransfers(bench: StorageBench): void {
  const { expects, quirks = {} } = bench.subject;
  const torn = quirks.storesTornRequests ?? false;

  suite("large bodies", () => {
    bench.test("are stored whole from every kind of source, of known size or not", async ({ storage, bucket }) => {
      const bodies: Readonly<Record<string, () => ObjectBody>> = {
        bytes: () => large,
        blob: () => new Blob([large]),
        "web stream": () => new Blob([large]).stream() as never,
        readable: () => Readable.from(chunksOf(large)),
        "async iterable": () => chunksOf(large, 9 * mebibyte),
        text: () => "x".repeat(9 * mebibyte),
      };
      for (const [kind, body] of Object.entries(bodies)) {
        const stored = await storage.put(bucket, kind, body(), { contentType: "text/plain", metadata: { kind: "k" } });
        const expected = kind === "text" ? Buffer.alloc(9 * mebibyte, "x") : large;
        await using object = await storage.get(bucket, kind);
        assert.equal(digest(await object.bytes()), digest(expected), kind);
        const { etag, sizeBytes, contentType, metadata } = object.info;
        assert.deepEqual(
          { etag, sizeBytes, contentType, metadata },
          { etag: stored.etag, sizeBytes: stored.sizeBytes, contentType: "text/plain", metadata: { kind: "k" } },
          kind,
        );
      }
      await storage.put(bucket, "sized", chunksOf(large), { sizeBytes: large.byteLength });
      assert.equal((await storage.stat(bucket, "sized")).sizeBytes, large.byteLength);
      assert.deepEqual(await all(storage.multipart.list(bucket)), []);
    });

    bench.test("are refused if they are not of the declared size, and leave nothing", async ({ storage, bucket }) => {
      for (const [what, sizeBytes] of [
        ["too small", 30 * mebibyte],
        ["too large", 10 * mebibyte],
        ["too large by one", large.byteLength - 1],
      ] as const) {
        const source = Readable.from(chunksOf(large));
        await refuses("ERR_HEXKIT_INVALID_ARGUMENT", storage.put(bucket, "key", source, { sizeBytes }), what);
        assert.equal(source.destroyed, true, `${what}: the source is destroyed`);
      }
      await refuses(
        "ERR_HEXKIT_INVALID_ARGUMENT",
        storage.put(bucket, "key", Readable.from(chunksOf(bytesOf(5))), { sizeBytes: 4 }),
        "small",
      );
      await refuses("ERR_HEXKIT_INVALID_ARGUMENT", storage.put(bucket, "key", "12345", { sizeBytes: 4 }), "text");
      assert.equal(await storage.exists(bucket, "key"), false);
      assert.deepEqual(await all(storage.multipart.list(bucket)), []);
    });

    bench.test("whose source fails or is not bytes leave nothing, and keep what was there", async ({ storage, bucket }) => {
      await storage.put(bucket, "key", "old");
      const failing = async function* (sizeBytes: number): AsyncGenerator<Uint8Array> {
        yield bytesOf(sizeBytes);
        throw new Error("the source fails");
      };
      for (const sizeBytes of [10, 9 * mebibyte]) {
        const readable = Readable.from(failing(sizeBytes));
        for (const source of [failing(sizeBytes), readable]) {
          await refuses("ERR_HEXKIT_SOURCE_FAILED", storage.put(bucket, "key", source), `${sizeBytes}`);
        }
        assert.equal(readable.destroyed, true);
      }
      const early = new PassThrough();
      early.destroy(new Error("it failed before anyone read it"));
      await refuses("ERR_HEXKIT_SOURCE_FAILED", storage.put(bucket, "key", early), "early");
      await refuses("ERR_HEXKIT_INVALID_ARGUMENT", storage.put(bucket, "key", Readable.from(["text", "text"])), "text in a stream");
      assert.equal((await storage.stat(bucket, "key")).sizeBytes, 3);
      assert.deepEqual(await all(storage.multipart.list(bucket)), []);
    });

    bench.test(
      "are stored only if absent, where that is asked for",
      async ({ storage, bucket }) => {
        await storage.put(bucket, "key", large, { ifAbsent: true });
        await refuses("ERR_HEXKIT_OBJECT_EXISTS", storage.put(bucket, "key", chunksOf(large), { ifAbsent: true }));
        assert.deepEqual(await all(storage.multipart.list(bucket)), []);
      },
      { needs: "conditionalComplete" },
    );

    const abort = new AbortController();
    bench.test("end within 100 ms when their signal aborts, also while the source is stuck", async ({ storage, bucket }) => {
      for (const sizeBytes of [1000, 9 * mebibyte]) {
        const source = stuck(sizeBytes);
        const ending = new AbortController();
        const put = storage.put(bucket, "key", source, { signal: ending.signal });
        put.catch(() => undefined);
        await until("the source to be read", () => source.readableLength === 0);
        const begun = performance.now();
        ending.abort();
        await refuses("ERR_HEXKIT_ABORTED", put, `${sizeBytes}`);
        assert.ok(performance.now() - begun < 100, `it took ${performance.now() - begun} ms`);
        assert.equal(source.destroyed, true);
      }
      abort.abort();
      await refuses("ERR_HEXKIT_ABORTED", storage.put(bucket, "key", "x", { signal: abort.signal }), "aborted before");
      assert.equal(await storage.exists(bucket, "key"), false);
      await gone(async () => (await all(storage.multipart.list(bucket))).length === 0);
    });

    const faulty = chaos(bench.subject.plugin);
    bench.test(
      "leave nothing behind whichever call fails, and can be stored again",
      async ({ storage, bucket }) => {
        const { plan } = faulty;
        const calls: readonly [Operation, number][] = [
          ["objectStorage.startUpload", 0],
          ["objectStorage.putPart", 0],
          ["objectStorage.putPart", 1],
          ["objectStorage.putPart", 2],
          ["objectStorage.completeUpload", 0],
        ];
        for (const [operation, skip] of calls) {
          for (const error of ["ERR_HEXKIT_PERMISSION_DENIED", "ERR_HEXKIT_UNAVAILABLE"] as const satisfies readonly ErrorCode[]) {
            for (const how of ["fail", "loseAnswer"] as const) {
              if (torn && how === "loseAnswer") continue;
              // An answer that is lost at completion is not a failure: the object may be there.
              const what = `${how} ${operation} after ${skip} with ${error}`;
              const key = what.replaceAll(/[^a-z0-9]/gi, "-");
              const fault = plan[how](operation as "objectStorage.putPart", { skip, error });
              const failure = await storage.put(bucket, key, chunksOf(large)).catch((reason: unknown) => reason);
              fault.lift();
              assert.ok(fault.hits > 0, what);
              assert.ok(isHexkitError(failure, error), `${what}: ${failure}`);
              assert.deepEqual(await all(storage.multipart.list(bucket)), [], what);
              if (how === "fail" || operation !== "objectStorage.completeUpload")
                assert.equal(await storage.exists(bucket, key), false, what);
              await storage.put(bucket, key, chunksOf(large));
              assert.equal((await storage.stat(bucket, key)).sizeBytes, large.byteLength, what);
            }
          }
        }
      },
      { plugin: faulty.plugin, settings: { retryDelayMs: 1 } },
    );

    const passing = chaos(bench.subject.plugin);
    bench.test(
      "are not lost by failures that pass",
      async ({ storage, bucket }) => {
        const { plan } = passing;
        const hits = (
          ["objectStorage.putPart", "objectStorage.put", "objectStorage.get", "objectStorage.listPage", "objectStorage.stat"] as const
        ).map((operation) => plan.fail(operation, { next: 2 }));
        await storage.put(bucket, "large", chunksOf(large));
        await storage.put(bucket, "small", "x");
        await using object = await storage.get(bucket, "large");
        assert.equal(digest(await object.bytes()), digest(large));
        assert.equal((await all(storage.list(bucket))).length, 2);
        assert.equal(await storage.exists(bucket, "large"), true);
        assert.deepEqual(
          hits.map((fault) => fault.hits),
          [2, 2, 2, 2, 2],
        );
      },
      { plugin: passing.plugin, settings: { retryDelayMs: 1 } },
    );

    const sweeping = chaos(bench.subject.plugin);
    bench.test(
      "whose upload cannot be aborted are reported, for the sweeper to find",
      async ({ storage, bucket, lines }) => {
        const { plan } = sweeping;
        plan.fail("objectStorage.completeUpload", { error: "ERR_HEXKIT_PERMISSION_DENIED" });
        const kept = plan.fail("objectStorage.abortUpload", { error: "ERR_HEXKIT_PERMISSION_DENIED" });
        await refuses("ERR_HEXKIT_PERMISSION_DENIED", storage.put(bucket, "key", chunksOf(large)));
        const [left] = await all(storage.multipart.list(bucket));
        assert.equal(left?.key, "key");
        const warning = lines.find(({ level, message }) => level === "warn" && message.includes("abortOlderThan"));
        assert.ok(JSON.stringify(warning?.fields).includes(left?.uploadId ?? "?"), "the warning names the upload");
        kept.lift();
        await bench.elapse(1500);
        assert.equal((await storage.multipart.abortOlderThan(bucket, 0)).length, 1);
      },
      { plugin: sweeping.plugin, settings: { retryDelayMs: 1 } },
    );
  });

  suite("bodies that are being read", () => {
    bench.test("end within 100 ms when their signal aborts", async ({ storage, bucket }) => {
      await storage.put(bucket, "key", large);
      const ending = new AbortController();
      const object = await storage.get(bucket, "key", { signal: ending.signal });
      await once(object.body, "readable");
      const reading = object.bytes().catch((reason: unknown) => reason);
      const begun = performance.now();
      ending.abort();
      const failure = await reading;
      assert.ok(isHexkitError(failure, "ERR_HEXKIT_ABORTED"), String(failure));
      assert.ok(performance.now() - begun < 100, `it took ${performance.now() - begun} ms`);
      assert.equal(object.body.destroyed, true);
      await refuses("ERR_HEXKIT_ABORTED", storage.get(bucket, "key", { signal: ending.signal }), "aborted before");
    });

    bench.test("and are abandoned do not keep others from being read", async ({ storage, bucket }) => {
      const content = bytesOf(2 * mebibyte);
      await storage.put(bucket, "key", content);
      const abandon = async (n: number): Promise<void> => {
        const object = await storage.get(bucket, "key");
        if (n % 3 === 0) await object.close();
        else if (n % 3 === 1) object.body.destroy();
        else for await (const _ of object.body) break;
      };
      await within("200 downloads", Promise.all(Array.from({ length: 200 }, (_, n) => abandon(n))));
      await using object = await within("one more", storage.get(bucket, "key"));
      assert.equal(digest(await object.bytes()), digest(content));
    });

    bench.test("fail when the registry closes, as does every later call", async ({ storage, bucket, registry }) => {
      await storage.put(bucket, "key", large);
      const object = await storage.get(bucket, "key");
      await once(object.body, "readable");
      const upload = await storage.multipart.start(bucket, "upload");
      const finished = storage.put(bucket, "finished", chunksOf(large));
      await registry.close();
      assert.equal((await finished).sizeBytes, large.byteLength, "what was under way is finished");
      await refuses("ERR_HEXKIT_CLOSED", object.bytes(), "reading");
      const code = "ERR_HEXKIT_CLOSED";
      const later: Readonly<Record<string, () => Promise<unknown>>> = {
        put: () => storage.put(bucket, "key", "x"),
        get: () => storage.get(bucket, "key"),
        stat: () => storage.stat(bucket, "key"),
        list: () => all(storage.list(bucket)),
        delete: () => storage.delete(bucket, "key"),
        copy: () => storage.copy({ bucket, key: "key" }, { bucket, key: "to" }),
        createBucket: () => storage.createBucket(bucket),
        listBuckets: () => storage.listBuckets(),
        ...(expects.links && {
          presignDownload: () => storage.presignDownload(bucket, "key"),
          presignUpload: () => (expects.postForm ? storage.presignUpload(bucket, "new") : storage.presignPut(bucket, "new")),
        }),
        start: () => storage.multipart.start(bucket, "key"),
        complete: () => storage.multipart.complete(upload),
        listUploads: () => all(storage.multipart.list(bucket)),
      };
      for (const [name, call] of Object.entries(later)) await refuses(code, call(), name);
    });
  });
}

async function gone(condition: () => Promise<boolean>): Promise<void> {
  let met = false;
  const watch = async (): Promise<void> => {
    while (!met) met = await condition();
  };
  await within("the upload to be gone", watch());
}
