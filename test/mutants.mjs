// Breaks the code on purpose, one fault at a time, and looks whether the conformance suites notice:
// node test/mutants.mjs [words…] [--list] [--jobs=N]
//
//   words     only mutants of which every word is in the room, the protocol, the file or the title
//   --list    names them and runs nothing
//   --jobs=N  suites at once (default: 1)
//
// The faults stand in test/mutants/*.json. They are made in copies of the sources, never in the checkout. Fails if a mutant survives, if the
// text that it changes is not there exactly once, or if a suite fails without any. What became of each is kept in test/mutants/outcome.json,
// from which the tables in testkit/README.md are made (`npm run generate`).
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { faultOf, keyOf, outcomeFile, readMutants, readOutcome } from "./mutants/list.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const copied = ["core", "config", "plugins", "testkit", "test", "examples", "package.json", "tsconfig.json"];
/** How long one suite may take, on a crowded machine too. */
const limitMs = 300_000;

const args = process.argv.slice(2);
const words = args.filter((arg) => !arg.startsWith("--")).map((word) => word.toLowerCase());
const jobs = Number(args.find((arg) => arg.startsWith("--jobs="))?.slice("--jobs=".length) ?? 1);
const unknown = args.filter((arg) => arg.startsWith("--") && arg !== "--list" && !arg.startsWith("--jobs="));

const running = new Set();
const places = [];
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    for (const child of running) end(child);
    removePlaces();
    process.exit(1);
  });
}

process.exitCode = await main();

async function main() {
  if (unknown.length > 0) return fail(`${unknown.join(", ")}: unknown`);
  if (!Number.isInteger(jobs) || jobs < 1) return fail("--jobs takes a number from 1");
  const chosen = readMutants().filter(({ room, protocol, file, title }) => {
    const text = `${room} ${protocol} ${file} ${title}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  if (chosen.length === 0) return fail(`no mutant is called ${words.join(" ")}`);
  if (args.includes("--list")) {
    for (const mutant of chosen) console.log(keyOf(mutant));
    return 0;
  }
  try {
    while (places.length < Math.min(jobs, chosen.length)) copySources();
    const suites = [...new Map(chosen.map((mutant) => [suiteOf(mutant), mutant])).values()];
    const broken = (await each(suites, runSuite)).filter(({ result }) => !isPassed(result));
    for (const { item, result } of broken) fail(`${suiteOf(item)} fails without any mutant: ${describe(result)}`);
    if (broken.length > 0) return 1;
    const judged = await each(chosen, judge);
    record(judged.map(({ item, result }) => ({ ...item, ...result })));
    const bad = judged.filter(({ result }) => result.state !== "killed");
    console.log(`\nmutants ${judged.length}  killed ${judged.length - bad.length}`);
    for (const { item, result } of bad) console.log(`  ${result.state}: ${keyOf(item)}${result.fact ?? ""}`);
    return bad.length === 0 ? 0 : 1;
  } finally {
    removePlaces();
  }
}

function copySources() {
  const place = mkdtempSync(join(tmpdir(), "hexkit-mutants-"));
  places.push(place);
  for (const name of copied) cpSync(join(root, name), join(place, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(place, "node_modules"), "dir");
}

function removePlaces() {
  for (const place of places) rmSync(place, { recursive: true, force: true });
}

/** Does the work for each item, in as many places at once as there are. */
async function each(items, work) {
  const results = [];
  const left = [...items.entries()];
  await Promise.all(
    places.map(async (place) => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const [index, item] = next;
        results[index] = { item, result: await work(item, place) };
      }
    }),
  );
  return results;
}

async function judge(mutant, place) {
  const file = join(place, mutant.file);
  const source = existsSync(file) ? readFileSync(file, "utf8") : "";
  const count = source.split(mutant.find).length - 1;
  const begin = Date.now();
  let outcome;
  if (count !== 1) outcome = { state: "stale", fact: `: its text is in ${mutant.file} ${count} times` };
  else {
    writeFileSync(
      file,
      source.replace(mutant.find, () => mutant.replace),
    );
    const result = await runSuite(mutant, place);
    writeFileSync(file, source);
    if (isPassed(result)) outcome = { state: "survived" };
    else if (result.failed === undefined && !result.isLate) outcome = { state: "broken", fact: `: ${describe(result)}` };
    else outcome = { state: "killed", by: result.failed?.slice(1) ?? ["the time limit"] };
  }
  const seconds = ((Date.now() - begin) / 1000).toFixed(1);
  console.log(
    `${outcome.state.padEnd(8)} ${seconds.padStart(5)} s  ${mutant.protocol}: ${mutant.title}${outcome.by ? ` (${outcome.by.join(" > ")})` : ""}`,
  );
  return outcome;
}

/** Runs a suite in a place until it ends or its first test fails. */
function runSuite({ suite, pattern }, place) {
  const env = { ...process.env };
  for (const name of Object.keys(env)) if (name.startsWith("HEXKIT_") || name === "NODE_TEST_CONTEXT") delete env[name];
  const reporter = join(place, "test", "mutants", "failures.mjs");
  const nodeArgs = ["--conditions=@hexkit/source", "--import", "tsx", `--test-reporter=${reporter}`, "--test-reporter-destination=stdout"];
  if (pattern !== undefined) nodeArgs.push(`--test-name-pattern=${pattern}`);
  const child = spawn(process.execPath, [...nodeArgs, suite], { cwd: place, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  running.add(child);
  const result = { failed: undefined, passed: undefined, isLate: false, code: undefined, errors: "" };
  const timer = setTimeout(() => {
    result.isLate = true;
    end(child);
  }, limitMs);
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
    for (const line of text.split("\n").slice(0, -1)) {
      const { failed, passed } = parse(line);
      if (passed !== undefined) result.passed = passed;
      if (failed === undefined || result.failed !== undefined) continue;
      result.failed = failed;
      end(child);
    }
    text = text.slice(text.lastIndexOf("\n") + 1);
  });
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    result.errors = (result.errors + chunk).slice(-2_000);
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ ...result, code });
    });
  });
}

/** Tests may write to the same stream. */
function parse(line) {
  try {
    return JSON.parse(line) ?? {};
  } catch {
    return {};
  }
}

/** With what it has started. */
function end(child) {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}

function isPassed({ failed, passed, code, isLate }) {
  return failed === undefined && !isLate && code === 0 && passed > 0;
}

function suiteOf({ suite, pattern }) {
  return pattern === undefined ? suite : `${suite} (${pattern})`;
}

function describe({ failed, passed, isLate, code, errors }) {
  if (failed !== undefined) return failed.join(" > ");
  if (isLate) return `not done within ${limitMs} ms`;
  return `it ended with ${code} after ${passed ?? 0} tests. ${errors}`;
}

/** Keeps what became of these, and of others what is known. */
function record(judged) {
  const known = readOutcome();
  const now = new Map(judged.map((mutant) => [keyOf(mutant), mutant]));
  const entries = readMutants().flatMap((mutant) => {
    const key = keyOf(mutant);
    const { state, by } = now.get(key) ?? {};
    const entry =
      state === undefined || state === "stale"
        ? known[key]
        : { fault: faultOf(mutant), ...(state === "killed" ? { by: by.join(" > ") } : { state }) };
    return entry === undefined ? [] : [[key, entry]];
  });
  writeFileSync(outcomeFile, `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`);
}

function fail(message) {
  console.error(`test/mutants.mjs: ${message}`);
  return 1;
}
