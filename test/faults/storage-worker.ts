// Uploads one large object of unknown size and prints how far the process grew: node storage-worker.ts ORDER
import { openRegistry } from "hexkit";
import type { UploadOrder, UploadResult } from "./storage.ts";

const { plugin, options, mebibytes } = JSON.parse(process.argv[2] ?? "") as UploadOrder;
const chunk = new Uint8Array(64 * 1024).fill(7);

async function* content(): AsyncGenerator<Uint8Array> {
  for (let sent = 0; sent < mebibytes * 1024 ** 2; sent += chunk.byteLength) yield chunk;
}

await using registry = await openRegistry({
  config: { log: { level: "silent" }, providers: { files: { plugin, options } }, protocols: { objectStorage: "files" } },
  env: {},
});
const storage = registry.get("objectStorage");
const bucket = `memory-${plugin}-${process.pid}-${Date.now()}`;
await storage.createBucket(bucket);
// Code, connections and the young generation of a service at work (V8 lets it grow by some 20 MB) are no part of what an upload needs.
for (let round = 0; round < 50; round += 1) {
  await Promise.all(Array.from({ length: 8 }, (_, index) => storage.put(bucket, `warm-${index}`, chunk)));
}
const before = process.memoryUsage.rss();
let highest = before;
const watch = setInterval(() => {
  highest = Math.max(highest, process.memoryUsage.rss());
}, 5);
const begun = performance.now();
const { sizeBytes } = await storage.put(bucket, "large", content());
const seconds = (performance.now() - begun) / 1000;
clearInterval(watch);
await storage.deleteBucket(bucket, { deleteContent: true });
const result: UploadResult = { sizeBytes, growthBytes: highest - before, seconds };
console.log(JSON.stringify(result));
