import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { withKafka } from "./broker.ts";
import { show, spread } from "./stats.ts";

const runs = 3;

/** What share of a core a process takes that has a publisher and a subscriber connected to Kafka and nothing to do. */
export async function benchIdle(seconds: number, node = process.execPath): Promise<void> {
  await withKafka(async (brokers) => measure(brokers, seconds, node));
}

function measure(brokers: readonly string[], seconds: number, node: string): void {
  const code = `
    import { openRegistry } from "hexkit";
    const registry = await openRegistry({
      config: {
        service: { name: "idle" }, log: { level: "silent" },
        providers: { kafka: { plugin: "kafka", options: { brokers: ${JSON.stringify(brokers)} } } },
        protocols: { eventPublisher: "kafka", eventSubscriber: "kafka" },
      },
      env: {},
    });
    const handled = new Promise((resolve) => registry.get("eventSubscriber").subscribe({ topics: ["idle"], types: ["idle"], consume: resolve }, { group: "idle-" + process.pid, from: "latest" }));
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    await registry.get("eventPublisher").publish({ topic: "idle", type: "idle", key: "k", payload: {} });
    await handled;
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, ${seconds * 1_000}));
    const { user, system } = process.cpuUsage(before);
    console.log(JSON.stringify({ version: process.versions.node, percent: (user + system) / ${seconds * 10_000} }));
    await registry.close();`;
  const answers = Array.from({ length: runs }, () => {
    const { stdout, stderr, status } = spawnSync(node, ["--input-type=module", "-e", code], {
      encoding: "utf8",
      cwd: fileURLToPath(new URL(".", import.meta.resolve("hexkit/package.json"))),
    });
    if (status !== 0 || stderr !== "") throw new Error(`the idle process failed: ${stderr}`);
    return JSON.parse(stdout) as { version: string; percent: number };
  });
  const figures = show(spread(answers.map(({ percent }) => percent)), "% of a core", 2);
  console.log(`kafka: idle for ${seconds} s, Node ${answers[0]?.version}  ${figures}`);
}
