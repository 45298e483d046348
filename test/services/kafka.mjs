import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startKafkaContainer } from "./kafka-container.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const script = join(here, "kafka.sh");

/**
 * Starts a broker of its own on free ports and resolves once it has answered: in a container if an engine answers, else from the
 * script. It ends with `stop()`, or with this process however that ends.
 * `settings`: the script's `KAFKA_…` variables. `container: false` asks for the script, whose broker can be killed and restarted.
 */
export async function startKafka({ settings = {}, container = true } = {}) {
  const name = `run-${process.pid}-${randomBytes(4).toString("hex")}`;
  if (container && containerEngineAnswers()) return startKafkaContainer(name, settings);
  const env = { ...process.env, ...settings, HEXKIT_TEST_INSTANCE: name };
  const release = watch("bash", ["-c", `HEXKIT_TEST_INSTANCE=${name} "$0" kill; HEXKIT_TEST_INSTANCE=${name} "$0" clean`, script]);
  const stop = async () => {
    await run(["kill"], env);
    await run(["clean"], env);
    release();
  };
  try {
    const addresses = parse(await run(["start", "0"], env));
    return {
      addresses,
      stop,
      kill: () => run(["kill"], env),
      /** On the same ports, with the data kept. */
      restart: () => run(["restart"], env),
      tool: (...args) => run(["tool", ...args], env),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts a process that runs a command if this one ends without having called what is returned. */
export function watch(command, args) {
  const watchdog = spawn(process.execPath, [join(here, "watchdog.mjs"), command, ...args], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  watchdog.unref();
  watchdog.stdin.unref?.();
  return () => watchdog.stdin.end("done");
}

function containerEngineAnswers() {
  return spawnSync("docker", ["info"], { stdio: "ignore", timeout: 10_000 }).status === 0;
}

/** Resolves with stdout. The script says on stderr what it does; that is shown, since the first install takes a while. */
function run(args, env) {
  const child = spawn(script, args, { env, stdio: ["ignore", "pipe", "inherit"], detached: true });
  let out = "";
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve(out) : reject(new Error(`kafka.sh ${args.join(" ")} ended with ${code}`))));
  });
}

function parse(text) {
  return Object.fromEntries(
    text
      .split("\n")
      .filter((line) => line.includes("="))
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}
