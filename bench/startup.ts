import { spawnSync } from "node:child_process";
import { openRegistry } from "hexkit";
import { show, spread } from "./stats.ts";

const runs = 15;

/** What a process takes from start to end, in milliseconds. */
function processMs(code: string): number {
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
  if (status !== 0) throw new Error(`the measured process failed: ${stderr}`);
  return performance.now() - started;
}

/** `import "hexkit"` as built, over bare Node: pairs in turn, so that a drift of the machine hits both. */
export function benchImport(): void {
  const bare: number[] = [];
  const added: number[] = [];
  processMs('await import("hexkit")');
  for (let run = 0; run < runs; run += 1) {
    const base = processMs("");
    bare.push(base);
    added.push(processMs('await import("hexkit")') - base);
  }
  console.log(`import "hexkit"          ${show(spread(added), "ms over bare Node")}, bare ${show(spread(bare), "ms")}`);
}

const config = { service: { name: "bench" }, log: { level: "silent" }, protocols: { eventPublisher: "memory", eventSubscriber: "memory" } };

/** The first opening of a process (with its imports), and later ones. */
export async function benchOpen(): Promise<void> {
  const code = `
    const { openRegistry } = await import("hexkit");
    const started = performance.now();
    const registry = await openRegistry({ config: ${JSON.stringify(config)}, env: {} });
    console.log(performance.now() - started);
    await registry.close();`;
  const first = Array.from({ length: runs }, () =>
    Number(spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" }).stdout),
  );
  const later: number[] = [];
  for (let run = 0; run < 200; run += 1) {
    const started = performance.now();
    const registry = await openRegistry({ config, env: {} });
    later.push(performance.now() - started);
    await registry.close();
  }
  console.log(`open on memory, first    ${show(spread(first), "ms")}`);
  console.log(`open on memory, later    ${show(spread(later), "ms", 2)}`);
}

export async function benchGet(): Promise<void> {
  await using registry = await openRegistry({ config, env: {} });
  const times: number[] = [];
  const calls = 1_000_000;
  for (let run = 0; run < 7; run += 1) {
    const started = performance.now();
    for (let call = 0; call < calls; call += 1) registry.get("eventPublisher");
    times.push(((performance.now() - started) * 1e6) / calls);
  }
  console.log(`registry.get             ${show(spread(times), "ns")}`);
}
