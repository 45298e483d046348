import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { startContainer } from "./container.mjs";
import { startKafka } from "./kafka.mjs";
import { containerEngineAnswers, startServer } from "./server.mjs";

/** By the variable that names the server; the prefix of its variables is in it. */
const servers = {
  KAFKA_BROKERS: () => startKafka({ settings: { KAFKA_SECURE: "1" } }),
  MINIO_ENDPOINT: () => start("minio"),
  VERSITYGW_ENDPOINT: () => start("versitygw"),
  MONGODB_DSN: () => start("mongodb"),
  NATS_URL: () => start("nats"),
};

/**
 * Starts every server that the test files need, at the same time, and resolves with the variables that tell the tests where they are.
 * A server whose variable is set already is used as it is. A server that cannot be started is an error, never a skip.
 */
export async function startServices(files) {
  const wanted = neededServers(files);
  const missing = Object.keys(servers).filter((variable) => wanted.has(variable) && !process.env[`HEXKIT_TEST_${variable}`]);
  const outcomes = await Promise.allSettled(missing.map((variable) => servers[variable]()));
  const started = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  const stop = async () => {
    await Promise.all(started.map((server) => server.stop()));
  };
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  const addresses = started.flatMap((server) => Object.entries(server.addresses));
  return { env: Object.fromEntries(addresses.map(([name, value]) => [`HEXKIT_TEST_${name}`, value])), stop };
}

function start(name) {
  return containerEngineAnswers() ? startContainer(name) : startServer(name);
}

/** The variables of the servers that the files, or what they import by a relative path, mention by their prefix. */
export function neededServers(files) {
  const seen = new Set(files);
  const wanted = new Set();
  for (const file of seen) {
    const text = readFileSync(file, "utf8");
    for (const variable of Object.keys(servers)) {
      if (text.includes(`"${variable.slice(0, variable.indexOf("_") + 1)}`)) wanted.add(variable);
    }
    for (const [, path] of text.matchAll(/from "(\.[^"]+)"/g)) {
      const imported = resolve(dirname(file), path);
      // Tests reach servers only by what lies beside them.
      if (/\/test\/(services|faults)\//.test(imported) && existsSync(imported)) seen.add(imported);
    }
  }
  return wanted;
}
