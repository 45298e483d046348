// Runs the project's tests: node test/run.mjs [files or folders…] [--services | --faults] [--repeat=N] [options of node --test…]
//
//   --services               starts the real servers that the files need, runs test/services too, and fails if anything was skipped
//   --faults                 starts real servers and runs test/faults alone, the fault scenarios at full scale, one at a time
//   --repeat=N               runs each fault scenario N times
//   HEXKIT_TEST_NODE         the node binary to test on (default: this one)
//   HEXKIT_TEST_CONCURRENCY  test files at once (default: 2)
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const serviceTests = join(root, "test", "services");
const faultTests = join(root, "test", "faults");
const graceMs = 15_000;

const args = process.argv.slice(2);
const withFaults = args.includes("--faults");
const withServices = args.includes("--services") || withFaults;
const repeat = Number(args.find((arg) => arg.startsWith("--repeat="))?.slice("--repeat=".length) ?? 1);
const runnerOptions = args.filter((arg) => arg.startsWith("--") && !/^--(services|faults|repeat=.*)$/.test(arg));
const targets = args.filter((arg) => !arg.startsWith("--"));
if (withFaults && targets.length === 0) targets.push(faultTests);

let stopped; // the signal that ended us early
let child;
const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
for (const signal of signals) process.on(signal, () => stop(signal));

process.exitCode = await main();

async function main() {
  const missing = targets.filter((target) => !existsSync(target));
  if (missing.length > 0) return fail(`${missing.join(", ")}: no such file or folder`);
  if (!Number.isInteger(repeat) || repeat < 1) return fail("--repeat takes a number from 1");
  const files =
    targets.length > 0 ? targets.flatMap((target) => collect(resolve(target))) : [join(root, "test"), ...exampleTests()].flatMap(collect);
  if (files.length === 0) return fail(`no test file in ${targets.join(", ") || "test"}`);
  const unique = [...new Set(files)].sort();
  const services = withServices ? await startServices(unique) : undefined;
  const folder = mkdtempSync(join(tmpdir(), "hexkit-run-"));
  try {
    if (stopped !== undefined) return 1;
    const report = join(folder, "report.jsonl");
    const code = await run(unique, report, services?.env ?? {});
    return judge(code, report);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await services?.stop();
  }
}

/** The examples' own tests, those that run from here. */
function exampleTests() {
  const examples = readdirSync(join(root, "examples")).map((name) => join(root, "examples", name, "test"));
  return examples.filter((folder) => existsSync(folder));
}

/** The test files under a path, leaving out what needs servers unless they are wanted or named, and faults at full scale unless named. */
function collect(path) {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const child = join(path, entry.name);
    const left = entry.name === "node_modules" || child === faultTests || (child === serviceTests && !withServices);
    if (entry.isDirectory()) return left ? [] : collect(child);
    return entry.name.endsWith(".test.ts") ? [child] : [];
  });
}

async function startServices(files) {
  const module = await import("./services/start.mjs");
  return module.startServices(files);
}

/** Resolves with the runner's exit code, once the runner and everything it started has ended. */
function run(files, report, serviceEnv) {
  const env = { ...process.env, ...serviceEnv, HEXKIT_TEST_REPEAT: String(repeat) };
  for (const name of Object.keys(env)) if (name.startsWith("HEXKIT_") && !name.startsWith("HEXKIT_TEST_")) delete env[name];
  delete env.NODE_TEST_CONTEXT;
  const nodeArgs = [
    "--conditions=@hexkit/source",
    "--import",
    "tsx",
    "--test",
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    `--test-reporter=${join(root, "test", "house", "reporter.mjs")}`,
    `--test-reporter-destination=${report}`,
    `--test-concurrency=${withFaults ? 1 : (env.HEXKIT_TEST_CONCURRENCY ?? 2)}`,
    // Of a file as well as of a test.
    `--test-timeout=${repeat * (withFaults ? 1_800_000 : withServices ? 300_000 : 120_000)}`,
    ...runnerOptions,
    ...files.map((file) => relative(root, file).split(sep).join("/")),
  ];
  // A process group of its own, so that a signal reaches the runner's children as well.
  child = spawn(env.HEXKIT_TEST_NODE ?? process.execPath, nodeArgs, {
    cwd: root,
    env,
    stdio: ["ignore", "inherit", "inherit"],
    detached: true,
  });
  return new Promise((done) => {
    child.once("error", (error) => done(fail(`cannot start ${env.HEXKIT_TEST_NODE ?? process.execPath}: ${error.message}`)));
    child.once("exit", async (code) => {
      if (stopped !== undefined) await groupEnded();
      done(code ?? 1);
    });
  });
}

/** Resolves once no process of the runner's group is left, or the grace is over. */
async function groupEnded() {
  for (const start = Date.now(); Date.now() - start < graceMs + 1_000; ) {
    try {
      process.kill(-child.pid, 0);
    } catch {
      return;
    }
    await new Promise((done) => setTimeout(done, 20));
  }
}

function stop(signal) {
  if (stopped !== undefined) return;
  stopped = signal;
  if (child?.pid === undefined) return;
  const send = (what) => {
    try {
      process.kill(-child.pid, what);
    } catch {
      // The group has ended already.
    }
  };
  send(signal);
  setTimeout(send, graceMs, "SIGKILL").unref();
}

/** Prints what ran, and why it is a failure if it is one. */
function judge(code, report) {
  const tests = existsSync(report)
    ? readFileSync(report, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line))
    : [];
  const of = (outcome) => tests.filter((test) => test.outcome === outcome);
  const [pass, failed, skipped, todo, empty] = ["pass", "fail", "skip", "todo", "empty"].map(of);
  const total = pass.length + failed.length + skipped.length + todo.length;
  console.log(`\ntests ${total}  pass ${pass.length}  fail ${failed.length}  skipped ${skipped.length}  todo ${todo.length}`);
  for (const test of failed) console.log(`  failed: ${place(test)}`);
  for (const test of [...skipped, ...todo])
    console.log(`  skipped: ${place(test)}${typeof test.reason === "string" ? ` (${test.reason})` : ""}`);
  if (stopped !== undefined) return fail(`ended by ${stopped}`);
  if (code !== 0) return code;
  if (failed.length > 0) return fail("a test failed");
  if (pass.length === 0) return fail("no test ran");
  const filtered = runnerOptions.some((option) => /^--test-(name-pattern|skip-pattern|only)/.test(option));
  if (empty.length > 0 && !filtered) return fail(`no test in ${empty.map(place).join(", ")}`);
  const onServers = pass.some((test) => test.file.startsWith(serviceTests + sep));
  if (withServices && targets.length === 0 && !onServers) return fail("no test in test/services ran");
  if (withServices && skipped.length + todo.length > 0) return fail("with servers nothing may be skipped");
  return 0;
}

function place(test) {
  return `${relative(root, test.file).split(sep).join("/")}: ${test.name}`;
}

function fail(message) {
  console.error(`test/run.mjs: ${message}`);
  return 1;
}
