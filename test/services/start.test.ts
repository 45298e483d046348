import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { until } from "./kafka.ts";
import { neededServers } from "./start.mjs";

/** Starts a server in a process of its own and gives the server's port once it has answered. */
async function starter(name: string): Promise<{ child: ReturnType<typeof spawn>; port: number }> {
  const program = `
    import { startServer } from ${JSON.stringify(new URL("./server.mjs", import.meta.url).href)};
    const { addresses } = await startServer(${JSON.stringify(name)});
    console.log(Object.values(addresses)[0]);
    setInterval(() => {}, 60_000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data");
  return { child, port: Number(/:(\d+)/.exec(String(line))?.[1]) };
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });

for (const [name, signal] of [
  ["kafka", "SIGKILL"],
  ["kafka", "SIGTERM"],
  ["kafka", "SIGINT"],
  ["minio", "SIGKILL"],
  ["versitygw", "SIGKILL"],
  ["mongodb", "SIGKILL"],
  ["nats", "SIGKILL"],
] as const) {
  test(`a ${name} server ends with the process that started it, though that ends by ${signal}`, async () => {
    const { child, port } = await starter(name);
    assert.ok(await answers(port), "the server does not answer");
    child.kill(signal);
    await once(child, "exit");
    await until("the server to be gone", async () => !(await answers(port)));
  });
}

test("only the servers that the test files need are started", () => {
  const needed = (file: string): string[] => [...neededServers([fileURLToPath(new URL(file, import.meta.url))])];
  assert.deepEqual(needed("kafka-publisher.test.ts"), ["KAFKA_BROKERS"]);
  assert.deepEqual(needed("nats-conformance.test.ts"), ["NATS_URL"]);
  assert.deepEqual(needed("../core/errors.test.ts"), []);
});
