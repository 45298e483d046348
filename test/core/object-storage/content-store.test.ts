import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ContentStore, isHexkitError, type ObjectStorage, objectStorageOver, openRegistry, type Registry, systemClock } from "hexkit";
import { testObjectStorage } from "hexkit/testkit/conformance";
import { type MapStore, mapPlugin, mapStore } from "./map-store.ts";

for (const conditional of [true, false]) {
  testObjectStorage({
    name: `over contents and records${conditional ? "" : ", without conditions"}`,
    plugin: mapPlugin(mapStore(conditional)),
    expects: {
      conditionalPut: conditional,
      conditionalComplete: conditional,
      links: false,
      postForm: false,
      partCopy: true,
      tenants: false,
    },
    open: async () => ({ options: {}, close: async () => {} }),
  });
}

interface Stage extends AsyncDisposable {
  readonly store: MapStore;
  readonly storage: ObjectStorage;
  readonly registry: Registry;
}

/** A storage over maps, some of whose calls are replaced, with a bucket named `bucket`. */
async function open(instead: (real: MapStore) => Partial<ContentStore> = () => ({})): Promise<Stage> {
  const store = mapStore();
  const registry = await openRegistry({
    config: { protocols: { objectStorage: { provider: "maps", maxRetries: 0 } } },
    env: {},
    plugins: [mapPlugin({ ...store, ...instead(store) })],
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  });
  const storage = registry.get("objectStorage");
  await storage.createBucket("bucket");
  return { store, storage, registry, [Symbol.asyncDispose]: () => registry.close() };
}

const textOf = async (storage: ObjectStorage, key: string): Promise<string> => (await storage.get("bucket", key)).text();

describe("objectStorageOver", () => {
  it("keeps one content for an object, however many replace it at once while others read it", async () => {
    await using stage = await open();
    const { storage, store } = stage;
    await storage.put("bucket", "key", "text 0");
    const puts = Array.from({ length: 40 }, (_, n) => storage.put("bucket", "key", `text ${n}`));
    const reads = Array.from({ length: 40 }, () => textOf(storage, "key"));
    await Promise.all(puts);
    for (const text of await Promise.all(reads)) assert.match(text, /^text \d+$/);
    assert.deepEqual([store.contents.size, store.records.size], [1, 1]);
    await storage.delete("bucket", "key");
    assert.deepEqual([store.contents.size, store.records.size], [0, 0]);
  });

  it("leaves no content of what is refused, replaced by a copy, or completed", async () => {
    await using stage = await open();
    const { storage, store } = stage;
    await storage.put("bucket", "from", "from");
    await storage.put("bucket", "to", "to");
    await assert.rejects(storage.put("bucket", "to", "late", { ifAbsent: true }), (error) =>
      isHexkitError(error, "ERR_HEXKIT_OBJECT_EXISTS"),
    );
    await storage.copy({ bucket: "bucket", key: "from" }, { bucket: "bucket", key: "to" }, { overwrite: true });
    assert.equal(await textOf(storage, "to"), "from");
    await storage.put("bucket", "large", new Uint8Array(20 * 2 ** 20));
    assert.deepEqual([store.contents.size, store.records.size], [3, 3]);
  });

  it("removes a content whose record cannot be stored, and one that breaks off", async () => {
    for (const broken of ["setRecord", "writeContent"] as const) {
      await using stage = await open((real) => ({
        [broken]: async (...args: never[]) => {
          if (broken === "writeContent") await (real.writeContent as (...args: never[]) => Promise<void>)(...args);
          throw new Error("no room");
        },
      }));
      await assert.rejects(
        stage.storage.put("bucket", "key", "text"),
        (error) => isHexkitError(error, "ERR_HEXKIT_PROVIDER_FAILED"),
        broken,
      );
      assert.equal(stage.store.contents.size, 0, broken);
    }
  });

  it("keeps the content of a record that was stored although the store reported a failure", async () => {
    await using stage = await open((real) => ({
      setRecord: async (...args) => {
        await real.setRecord(...args);
        throw new Error("the answer was lost");
      },
    }));
    await assert.rejects(stage.storage.put("bucket", "key", "text"), /the answer was lost/);
    assert.equal(await textOf(stage.storage, "key"), "text");
  });

  it("keeps the content where it cannot find out whether its record was stored", async () => {
    let away = false;
    await using stage = await open((real) => ({
      setRecord: async (...args) => {
        await real.setRecord(...args);
        away = true;
        throw new Error("the line is cut");
      },
      getRecord: (...args) => (away ? Promise.reject(new Error("the line is cut")) : real.getRecord(...args)),
    }));
    await assert.rejects(stage.storage.put("bucket", "key", "text"), /the line is cut/);
    away = false;
    assert.equal(await textOf(stage.storage, "key"), "text");
  });

  it("does not fail because an old content cannot be removed", async () => {
    await using stage = await open(() => ({ deleteContent: () => Promise.reject(new Error("busy")) }));
    await stage.storage.put("bucket", "key", "old");
    await stage.storage.put("bucket", "key", "new");
    assert.equal(await textOf(stage.storage, "key"), "new");
    await stage.storage.delete("bucket", "key");
    assert.equal(await stage.storage.exists("bucket", "key"), false);
  });

  it("reads the new object when the old one is replaced between record and content, and says so when a content is gone", async () => {
    let once: (() => Promise<unknown>) | undefined;
    await using stage = await open((real) => ({
      readContent: async (...args) => {
        const before = once;
        once = undefined;
        await before?.();
        return real.readContent(...args);
      },
    }));
    const { storage, store } = stage;
    await storage.put("bucket", "key", "old");
    once = () => storage.put("bucket", "key", "new");
    assert.equal(await textOf(storage, "key"), "new");
    store.contents.clear();
    await assert.rejects(storage.get("bucket", "key"), /the content of "key" is gone/);
  });

  it("takes a part back that arrives while its upload is aborted", async () => {
    let during: (() => Promise<void>) | undefined;
    const store = mapStore();
    const writing: ContentStore = {
      ...store,
      writeContent: async (...args) => {
        await store.writeContent(...args);
        await during?.();
      },
    };
    const driver = objectStorageOver(writing, systemClock);
    await driver.createBucket("bucket", {});
    const uploadId = await driver.startUpload({ bucket: "bucket", key: "key" }, {});
    const upload = { bucket: "bucket", key: "key", uploadId };
    during = () => driver.abortUpload(upload, {});
    await assert.rejects(driver.putPart(upload, 1, Buffer.from("part"), {}), (error) =>
      isHexkitError(error, "ERR_HEXKIT_UPLOAD_NOT_FOUND"),
    );
    assert.deepEqual([store.contents.size, store.records.size], [0, 0]);
  });

  it("does not take a key for a part of an upload's id", async () => {
    await using stage = await open();
    const { storage } = stage;
    const upload = await storage.multipart.start("bucket", "a/b");
    const twisted = { bucket: "bucket", key: "b", uploadId: `${upload.uploadId}/a` };
    for (const wrong of [twisted, { ...upload, uploadId: upload.uploadId.toUpperCase() }]) {
      await assert.rejects(storage.multipart.abort(wrong), (error) => isHexkitError(error, "ERR_HEXKIT_UPLOAD_NOT_FOUND"));
    }
    await storage.multipart.abort(upload);
  });

  it("keeps the parts of one upload and the order of their numbers apart from others", async () => {
    const driver = objectStorageOver(mapStore(), systemClock);
    await driver.createBucket("bucket", {});
    const [one, two] = await Promise.all(
      ["one", "two"].map(async (key) => ({ bucket: "bucket", key, uploadId: await driver.startUpload({ bucket: "bucket", key }, {}) })),
    );
    assert.ok(one && two, "two uploads");
    for (const number of [10, 9, 100, 1]) await driver.putPart(one, number, Buffer.from(`${number}`), {});
    await driver.putPart(two, 5, Buffer.from("5"), {});
    const first = await driver.listPartsPage(one, { after: 0, limit: 3 });
    assert.deepEqual([first.items.map(({ partNumber }) => partNumber), first.next], [[1, 9, 10], 10]);
    const second = await driver.listPartsPage(one, { after: 10, limit: 3 });
    assert.deepEqual([second.items.map(({ partNumber }) => partNumber), second.next], [[100], undefined]);
    const page = await driver.listUploadsPage("bucket", { limit: 1 });
    assert.deepEqual([page.items.map(({ key }) => key), page.next === undefined], [["one"], false]);
    const next = await driver.listUploadsPage("bucket", { limit: 1, next: page.next });
    assert.deepEqual([next.items.map(({ key }) => key), next.next], [["two"], undefined]);
  });

  it("frees the source of a copy whose target cannot be written", async () => {
    const bodies: { readonly destroyed: boolean }[] = [];
    await using stage = await open((real) => ({
      readContent: async (...args) => {
        const body = await real.readContent(...args);
        if (body !== undefined) bodies.push(body);
        return body;
      },
      writeContent: (bucket, id, content, options) =>
        content instanceof Uint8Array ? real.writeContent(bucket, id, content, options) : Promise.reject(new Error("no room")),
    }));
    await stage.storage.put("bucket", "from", "text");
    await assert.rejects(stage.storage.copy({ bucket: "bucket", key: "from" }, { bucket: "bucket", key: "to" }), /no room/);
    assert.deepEqual(
      bodies.map(({ destroyed }) => destroyed),
      [true],
    );
  });

  it("leaves a failure what it is where the bucket is there, and where that cannot be found out", async () => {
    let away = false;
    await using stage = await open((real) => ({
      writeContent: () => Promise.reject(new Error("no room")),
      bucketExists: (...args) => (away ? Promise.reject(new Error("away")) : real.bucketExists(...args)),
    }));
    await assert.rejects(stage.storage.put("bucket", "key", "x"), (error) => isHexkitError(error, "ERR_HEXKIT_PROVIDER_FAILED"));
    away = true;
    await assert.rejects(stage.storage.put("bucket", "key", "x"), /put "bucket\/key" failed: no room/);
    away = false;
    await assert.rejects(stage.storage.put("missing", "key", "x"), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_BUCKET_NOT_FOUND"), String(error));
      assert.match(error.message, /put "missing\/key" failed: there is no bucket "missing"$/);
      return true;
    });
  });

  it("tells which keys of many could not be deleted", async () => {
    await using stage = await open((real) => ({
      deleteRecord: (record, options) => (record.name === "b" ? Promise.reject(new Error("kept")) : real.deleteRecord(record, options)),
    }));
    for (const key of ["a", "b", "c"]) await stage.storage.put("bucket", key, key);
    await assert.rejects(stage.storage.deleteMany("bucket", ["a", "b", "c"]), (error) => {
      assert.ok(isHexkitError(error), String(error));
      assert.equal(error.failures.length, 1);
      return true;
    });
    assert.equal(await stage.storage.exists("bucket", "c"), false);
    assert.equal(await textOf(stage.storage, "b"), "b");
  });
});
