import { parseArgs } from "node:util";
import { benchDao } from "./dao.ts";
import { benchIdle } from "./idle.ts";
import { benchKafka } from "./kafka.ts";
import { benchMemory } from "./memory.ts";
import { benchObjectStorage } from "./object-storage.ts";
import { benchGet, benchImport, benchOpen } from "./startup.ts";

// Compiled like the package, because a loader that compiles on the fly wraps every function, ours and not the bare clients'.
// npm run bench [-- startup memory kafka objects dao idle] [-- --seconds 60] [--node PATH]: which ones (default: all), how long idle, on which Node.
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "10" }, node: { type: "string" } },
});
const wanted = (name: string): boolean => positionals.length === 0 || positionals.includes(name);

console.log(`Node ${process.versions.node}; median (lowest–highest)`);
if (wanted("startup")) {
  benchImport();
  await benchOpen();
  await benchGet();
}
if (wanted("memory")) await benchMemory();
if (wanted("kafka")) await benchKafka();
if (wanted("objects")) await benchObjectStorage();
if (wanted("dao")) await benchDao();
if (wanted("idle")) await benchIdle(Number(values.seconds), values.node);
