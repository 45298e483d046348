import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Runs `work` with the brokers that `HEXKIT_TEST_KAFKA_BROKERS` names, or with one that is started for it. */
export async function withKafka(work: (brokers: readonly string[]) => Promise<void>): Promise<void> {
  const given = process.env.HEXKIT_TEST_KAFKA_BROKERS;
  if (given) return work(given.split(","));
  const script = fileURLToPath(new URL("test/services/kafka.sh", import.meta.resolve("hexkit/package.json")));
  const env = { ...process.env, HEXKIT_TEST_INSTANCE: `bench-${process.pid}` };
  const run = (...args: string[]): string => execFileSync(script, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  try {
    const brokers = /^KAFKA_BROKERS=(.+)$/m.exec(run("start", "0"))?.[1] ?? "";
    await work(brokers.split(","));
  } finally {
    run("kill");
    run("clean");
  }
}
