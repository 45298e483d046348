import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/**
 * Starts a server of its own by one of the scripts beside this file, on free ports, and resolves once it has answered.
 * It ends with `stop()`, or with this process however that ends. `settings`: the script's own variables.
 */
export async function startServer(name, settings = {}) {
  const script = join(here, `${name}.sh`);
  const instance = instanceName();
  const env = { ...process.env, ...settings, HEXKIT_TEST_INSTANCE: instance };
  const release = watch("bash", ["-c", `HEXKIT_TEST_INSTANCE=${instance} "$0" kill; HEXKIT_TEST_INSTANCE=${instance} "$0" clean`, script]);
  const stop = async () => {
    await run(script, ["kill"], env);
    await run(script, ["clean"], env);
    release();
  };
  try {
    const addresses = parse(await run(script, ["start", "0"], env));
    return {
      addresses,
      stop,
      kill: () => run(script, ["kill"], env),
      /** On the same ports, with the data kept. */
      restart: () => run(script, ["restart"], env),
      tool: (...args) => run(script, ["tool", ...args], env),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A name that no other run has. */
export function instanceName() {
  return `run-${process.pid}-${randomBytes(4).toString("hex")}`;
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

export function containerEngineAnswers() {
  return spawnSync("docker", ["info"], { stdio: "ignore", timeout: 10_000 }).status === 0;
}

/** Resolves with stdout. The script says on stderr what it does; that is shown, since the first install takes a while. */
function run(script, args, env) {
  const child = spawn(script, args, { env, stdio: ["ignore", "pipe", "inherit"], detached: true });
  let out = "";
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve(out) : reject(new Error(`${script} ${args.join(" ")} ended with ${code}`))));
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
