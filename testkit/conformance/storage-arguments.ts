import assert from "node:assert/strict";
import { isHexkitError, type ObjectStorage } from "../../core/index.ts";
import { chaos } from "../chaos/chaos.ts";
import type { Operation } from "../chaos/operations.ts";
import { refuses, type StorageBench, suite } from "./storage-bench.ts";

const badBuckets = [
  "",
  "ab",
  "a".repeat(64),
  "-abc",
  "abc-",
  "Abc",
  "a_c",
  "a.c",
  "abc\n",
  "one:two:abc",
  "te-nant:abc",
  ":abc",
  "tenant:-abc",
  "tenant:ab",
  undefined,
  7,
];
const badKeys = [
  "",
  "/lead",
  "a//b",
  ".",
  "a/../b",
  "./a",
  "a/.",
  "new\nline",
  "nul\u0000",
  "\ud800",
  "x".repeat(1025),
  "ü".repeat(513),
  undefined,
  null,
];
const narrowOnly = ["ab", "a/b", "-abc", "abc.", "ümläut", "a b c", "x".repeat(256)];
const fiveTebibytes = 5 * 2 ** 40;

type Call = (storage: ObjectStorage, bucket: string, key: string) => unknown;

/** Every method that takes a bucket and a key. */
const onObjects: Readonly<Record<string, Call>> = {
  put: (storage, bucket, key) => storage.put(bucket, key, "x"),
  get: (storage, bucket, key) => storage.get(bucket, key),
  stat: (storage, bucket, key) => storage.stat(bucket, key),
  exists: (storage, bucket, key) => storage.exists(bucket, key),
  delete: (storage, bucket, key) => storage.delete(bucket, key),
  deleteMany: (storage, bucket, key) => storage.deleteMany(bucket, [key]),
  "copy from": (storage, bucket, key) => storage.copy({ bucket, key }, { bucket: "good-name", key: "key" }),
  "copy to": (storage, bucket, key) => storage.copy({ bucket: "good-name", key: "key" }, { bucket, key }),
  presignDownload: (storage, bucket, key) => storage.presignDownload(bucket, key),
  presignUpload: (storage, bucket, key) => storage.presignUpload(bucket, key),
  presignPut: (storage, bucket, key) => storage.presignPut(bucket, key),
  "multipart.start": (storage, bucket, key) => storage.multipart.start(bucket, key),
  "multipart.partUrl": (storage, bucket, key) => storage.multipart.partUrl({ bucket, key, uploadId: "1" }, 1),
  "multipart.listParts": (storage, bucket, key) => storage.multipart.listParts({ bucket, key, uploadId: "1" }),
  "multipart.complete": (storage, bucket, key) => storage.multipart.complete({ bucket, key, uploadId: "1" }),
  "multipart.abort": (storage, bucket, key) => storage.multipart.abort({ bucket, key, uploadId: "1" }),
};
/** And those that take a bucket only. */
const onBuckets: Readonly<Record<string, Call>> = {
  createBucket: (storage, bucket) => storage.createBucket(bucket),
  bucketExists: (storage, bucket) => storage.bucketExists(bucket),
  deleteBucket: (storage, bucket) => storage.deleteBucket(bucket),
  list: (storage, bucket) => storage.list(bucket),
  "multipart.list": (storage, bucket) => storage.multipart.list(bucket),
  "multipart.abortOlderThan": (storage, bucket) => storage.multipart.abortOlderThan(bucket, 1),
};

export function testArguments(bench: StorageBench): void {
  suite("bad input, before anything is sent:", () => {
    const watched = chaos(bench.subject.plugin);
    const { plan } = watched;
    const driverCalls = (): number =>
      [
        "bucketExists",
        "createBucket",
        "stat",
        "put",
        "get",
        "delete",
        "deleteMany",
        "listPage",
        "copy",
        "startUpload",
        "listUploadsPage",
        "listPartsPage",
        "presign",
        "presignPost",
        "abortUpload",
        "completeUpload",
        "deleteBucket",
      ].reduce((sum, name) => sum + plan.calls(`objectStorage.${name}` as Operation), 0);
    const test = (
      name: string,
      code: Parameters<typeof refuses>[0],
      calls: (storage: ObjectStorage, bucket: string) => Readonly<Record<string, () => unknown>>,
      settings?: object,
    ): void =>
      bench.test(
        name,
        async ({ storage, bucket }) => {
          for (const [what, call] of Object.entries(calls(storage, bucket))) {
            const before = driverCalls();
            await refuses(code, (async () => call())(), what);
            assert.equal(driverCalls(), before, `${what}: nothing is sent`);
          }
        },
        { plugin: watched.plugin, ...(settings && { settings }) },
      );
    const named = (
      methods: Readonly<Record<string, Call>>,
      values: readonly unknown[],
      call: (method: Call, value: string) => unknown,
    ): Record<string, () => unknown> =>
      Object.fromEntries(
        Object.entries(methods).flatMap(([name, method]) =>
          values.map((value) => [`${name} ${JSON.stringify(value)?.slice(0, 40)}`, () => call(method, value as string)]),
        ),
      );

    test("names of buckets", "ERR_HEXKIT_BUCKET_NAME_INVALID", (storage) =>
      named({ ...onObjects, ...onBuckets }, badBuckets, (method, value) => method(storage, value, "key")),
    );
    test("keys", "ERR_HEXKIT_OBJECT_KEY_INVALID", (storage, bucket) =>
      named(onObjects, badKeys, (method, value) => method(storage, bucket, value)),
    );
    test(
      "keys that Python hexkit would refuse, where that is asked for",
      "ERR_HEXKIT_OBJECT_KEY_INVALID",
      (storage, bucket) => named(onObjects, [...badKeys, ...narrowOnly], (method, value) => method(storage, bucket, value)),
      { narrowKeys: true },
    );
    test("the bucket before the key", "ERR_HEXKIT_BUCKET_NAME_INVALID", (storage) =>
      named(onObjects, ["/"], (method, value) => method(storage, "X", value)),
    );
    test("sizes that no object has", "ERR_HEXKIT_OBJECT_TOO_LARGE", (storage, bucket) => ({
      put: () => storage.put(bucket, "key", (async function* () {})(), { sizeBytes: fiveTebibytes + 1 }),
      presignUpload: () => storage.presignUpload(bucket, "key", { maxBytes: fiveTebibytes + 1 }),
    }));
    test("everything else", "ERR_HEXKIT_INVALID_ARGUMENT", (storage, bucket) => {
      const upload = { bucket, key: "key", uploadId: "1" };
      const expiries = [0, 999, 8 * 86_400_000, -1, Number.NaN, "1" as never];
      const lists: Record<string, () => unknown> = {};
      for (const expiresInMs of expiries) {
        lists[`download ${expiresInMs}`] = () => storage.presignDownload(bucket, "key", { expiresInMs });
        lists[`form ${expiresInMs}`] = () => storage.presignUpload(bucket, "key", { expiresInMs });
        lists[`put ${expiresInMs}`] = () => storage.presignPut(bucket, "key", { expiresInMs });
        lists[`part ${expiresInMs}`] = () => storage.multipart.partUrl(upload, 1, { expiresInMs });
      }
      const bodies = { number: 7, null: null, list: [new Uint8Array(1)], object: {}, buffer: new ArrayBuffer(1) };
      for (const [name, body] of Object.entries(bodies)) lists[`body ${name}`] = () => storage.put(bucket, "key", body as never);
      const metadata = [
        { Upper: "x" },
        { "sp ace": "x" },
        { a: "ü" },
        { a: "" },
        { a: " x" },
        { a: 1 as never },
        { a: "new\nline" },
        { a: "x".repeat(2048) },
        "text" as never,
      ];
      for (const each of metadata) {
        lists[`metadata ${JSON.stringify(each).slice(0, 30)}`] = () => storage.put(bucket, "key", "x", { metadata: each });
        lists[`metadata of an upload ${JSON.stringify(each).slice(0, 30)}`] = () =>
          storage.multipart.start(bucket, "key", { metadata: each });
      }
      for (const range of [{ start: -1 }, { start: 2, end: 1 }, { start: 0.5 }, { start: "0" as never }, {} as never]) {
        lists[`range ${JSON.stringify(range)}`] = () => storage.get(bucket, "key", { range });
      }
      return {
        ...lists,
        "content type": () => storage.put(bucket, "key", "x", { contentType: "text/plain\r\nx: y" }),
        "content type of a link": () => storage.presignDownload(bucket, "key", { contentType: "ü" }),
        "file name": () => storage.presignDownload(bucket, "key", { fileName: "a\r\nb" }),
        "empty file name": () => storage.presignDownload(bucket, "key", { fileName: "" }),
        sizeBytes: () => storage.put(bucket, "key", "x", { sizeBytes: 1.5 }),
        "part size": () => storage.multipart.complete(upload, { partSizeBytes: 0 }),
        "part count": () => storage.multipart.complete(upload, { partCount: 0 }),
        "part 0": () => storage.multipart.partUrl(upload, 0),
        "part 10,001": () => storage.multipart.partUrl(upload, 10_001),
        md5: () => storage.multipart.partUrl(upload, 1, { md5: "d41d8cd98f00b204e9800998ecf8427e" }),
        age: () => storage.multipart.abortOlderThan(bucket, -1),
        uploadId: () => storage.multipart.abort({ bucket, key: "key", uploadId: "" }),
        keys: () => storage.deleteMany(bucket, "key" as never),
        prefix: () => storage.list(bucket, { prefix: "\u0000" }),
      };
    });

    bench.test("errors name binding, provider, plugin and what was attempted", async ({ storage, bucket }) => {
      const error = await storage.stat(bucket, "none").catch((reason: unknown) => reason);
      assert.ok(isHexkitError(error, "ERR_HEXKIT_OBJECT_NOT_FOUND"), String(error));
      assert.equal(error.origin.binding, "objectStorage");
      assert.equal(error.origin.provider, "subject");
      assert.equal(error.origin.plugin, bench.subject.plugin.name);
      assert.ok(error.message.includes(`stat: object "${bucket}/none" does not exist`), error.message);
    });
  });
}
