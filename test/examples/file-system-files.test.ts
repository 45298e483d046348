import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openRegistry } from "hexkit";
import plugin from "../../examples/file-system-storage/index.ts";

describe("file-system-storage", () => {
  it("keeps one file for an object, however many replace it at once while others read it", async () => {
    await using folder = await temporaryFolder();
    await using registry = await openRegistry({
      config: { providers: { files: { plugin: "fileSystem", options: { folder: folder.path } } }, protocols: { objectStorage: "files" } },
      env: {},
      plugins: [plugin],
    });
    const storage = registry.get("objectStorage");
    await storage.createBucket("race");
    await storage.put("race", "key", "text 0");
    const puts = Array.from({ length: 30 }, (_, n) => storage.put("race", "key", `text ${n}`));
    const reads = Array.from({ length: 30 }, async () => (await storage.get("race", "key")).text());
    await Promise.all(puts);
    for (const text of await Promise.all(reads)) assert.match(text, /^text \d+$/);
    assert.equal((await readdir(join(folder.path, "race", "contents"))).length, 1, "one content");
    await storage.put("race", "key", "late", { ifAbsent: true }).catch(() => undefined);
    assert.equal((await readdir(join(folder.path, "race", "contents"))).length, 1, "nothing of what was refused");
    const upload = await storage.multipart.start("race", "other");
    await storage.multipart.abort(upload);
    await storage.delete("race", "key");
    for (const room of ["contents", "objects", "uploads", "parts"])
      assert.deepEqual(await readdir(join(folder.path, "race", room)), [], room);
  });

  it("names the provider and the folder when it cannot be used", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "file");
    await writeFile(file, "");
    const opening = openRegistry({
      config: { providers: { files: { plugin: "fileSystem", options: { folder: file } } }, protocols: { objectStorage: "files" } },
      env: {},
      plugins: [plugin],
    });
    await assert.rejects(opening, (error: Error) => error.message.includes('provider "files"') && error.message.includes(file));
  });
});

async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "hexkit-files-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
