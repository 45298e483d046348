import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { until } from "./kafka.ts";

/** Starts a broker in a process of its own and gives the broker's port once it has answered. */
async function starter(): Promise<{ child: ReturnType<typeof spawn>; port: number }> {
  const program = `
    import { startKafka } from ${JSON.stringify(new URL("./kafka.mjs", import.meta.url).href)};
    const kafka = await startKafka({ container: false });
    console.log(kafka.addresses.KAFKA_BROKERS);
    setInterval(() => {}, 60_000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data");
  return { child, port: Number(String(line).trim().split(":")[1]) };
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });

for (const signal of ["SIGKILL", "SIGTERM", "SIGINT"] as const) {
  test(`a broker ends with the process that started it, though that ends by ${signal}`, async () => {
    const { child, port } = await starter();
    assert.ok(await answers(port));
    child.kill(signal);
    await once(child, "exit");
    await until("the broker to be gone", async () => !(await answers(port)));
  });
}
