import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openRegistry } from "hexkit";
import plugin from "../../examples/file-system-storage/index.ts";
import { root } from "../core/run-program.ts";

describe("file-system-storage", () => {
  it("is a whole plugin in under 200 lines", async () => {
    const folder = join(root, "examples", "file-system-storage");
    const sources = (await readdir(folder)).filter((file) => file.endsWith(".ts"));
    const lines = await Promise.all(sources.map(async (file) => (await readFile(join(folder, file), "utf8")).split("\n").length));
    const total = lines.reduce((sum, count) => sum + count, 0);
    assert.ok(total < 200, `${sources.join(", ")}: ${total} lines`);
  });

  it("takes a stray file in the folder for no bucket", async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "stray"), "");
    await using registry = await openRegistry({
      config: { providers: { files: { plugin: "fileSystem", options: { folder: folder.path } } }, protocols: { objectStorage: "files" } },
      env: {},
      plugins: [plugin],
    });
    assert.deepEqual(await registry.get("objectStorage").listBuckets(), []);
  });

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
