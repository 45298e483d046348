import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";

const root = join(import.meta.dirname, "..", "..");
const liars = join(import.meta.dirname, "fixtures", "liars.ts");
const reporter = join(root, "test", "mutants", "failures.mjs");
const ofStorage = ["conditionalPut", "conditionalComplete", "links", "postForm", "partCopy", "tenants"];
const ofDao = ["transactions", "watch", "leases"];

/** Runs those tests of the liars' suites whose title matches; resolves to what failed, by suite: titles and reasons. */
async function run(suites: string, pattern: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const args = ["--conditions=@hexkit/source", "--import", "tsx", `--test-name-pattern=${pattern}`, `--test-reporter=${reporter}`];
  const output = await new Promise<string>((resolve) => {
    execFile(process.execPath, [...args, liars, suites], { cwd: root, env, timeout: 90_000 }, (_error, stdout, stderr) =>
      resolve(stdout === "" ? stderr : stdout),
    );
  });
  const lines = output.trim().split("\n");
  assert.match(lines.at(-1) ?? "", /^\{"passed":\d+\}$/, output);
  const failures = new Map<string, string[]>();
  for (const line of lines) {
    const { failed, why } = JSON.parse(line) as { failed?: readonly [string, ...string[]]; why?: string };
    if (failed === undefined) continue;
    const [suite, ...titles] = failed;
    failures.set(suite, [...(failures.get(suite) ?? []), `${titles.join(" > ")}: ${why}`]);
  }
  return failures;
}

/** Asserts that something of the suite failed whose title or reason has the words. */
function assertNamed(failures: ReadonlyMap<string, readonly string[]>, suite: string, words: string): void {
  const texts = [...failures].filter(([name]) => name.includes(suite)).flatMap(([, some]) => some);
  assert.ok(
    texts.some((text) => text.includes(words)),
    `of the suite "${suite}" nothing failed that says "${words}":\n${texts.join("\n")}`,
  );
}

const timeout = 110_000;

describe("a plugin that lies about a capability is caught, and the failure names the capability", { concurrency: 2 }, () => {
  it("a storage that claims what it lacks, as its author believes", { timeout }, async () => {
    const failures = await run("storage that claims what it lacks", "\\(capability ");
    for (const name of ofStorage) assertNamed(failures, name, `(capability ${name})`);
  });

  it("a storage that claims what it lacks or hides what it has, as its author knows", { timeout }, async () => {
    const failures = await run("storage that is not what its author says", "declares the capabilities|smallest size");
    for (const lie of ["claims", "hides"]) for (const name of ofStorage) assertNamed(failures, `${lie} ${name}`, `capability ${name}:`);
    assertNamed(failures, "limits", "smallest size");
    assert.equal(failures.has("objectStorage: honest"), false, "the honest one is accused");
  });

  it("a dao that claims what it lacks, as its author believes", { timeout }, async () => {
    const failures = await run("dao that claims what it lacks", "sees its own writes|\\(capability (watch|leases)\\)");
    for (const name of ofDao) assertNamed(failures, name, `(capability ${name})`);
  });

  it("a dao that claims what it lacks or hides what it has, as its author knows", { timeout }, async () => {
    const failures = await run("dao that is not what its author says", "has the capabilities");
    for (const lie of ["claims", "hides"]) for (const name of ofDao) assertNamed(failures, `${lie} ${name}`, `capability ${name}:`);
    assert.equal(failures.has("dao: honest"), false, "the honest one is accused");
  });

  it("a publisher that claims to send more or less than its broker takes", { timeout }, async () => {
    const failures = await run("publisher", "the size limit");
    for (const lie of ["claims a size", "hides a size"]) assertNamed(failures, lie, "the size limit");
    assert.equal(failures.has("eventPublisher: honest"), false, "the honest one is accused");
  });
});
