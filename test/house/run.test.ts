import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

const runner = join(import.meta.dirname, "..", "run.mjs");

describe("test/run.mjs", () => {
  const folders: string[] = [];
  after(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  /** A folder with these test files, each with `node:test` imported. */
  function folderWith(files: Record<string, string>): string {
    const folder = mkdtempSync(join(tmpdir(), "hexkit-runner-"));
    folders.push(folder);
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(folder, name), `import { describe, it, test } from "node:test";\n${text}`);
    }
    return folder;
  }

  function run(args: string[], env: Record<string, string> = {}) {
    const result = spawnSync(process.execPath, [runner, ...args], { encoding: "utf8", env: { ...process.env, ...env } });
    return { code: result.status, text: result.stdout + result.stderr };
  }

  it("passes and counts what ran", async () => {
    const { code, text } = run([
      folderWith({
        "a.test.ts": `test("one", () => {}); describe("s", () => { it("two", () => {}); it("three", { skip: "why" }, () => {}); });`,
      }),
    ]);
    assert.match(text, /tests 3 {2}pass 2 {2}fail 0 {2}skipped 1/);
    assert.match(text, /skipped: .*three \(why\)/);
    assert.equal(code, 0);
  });

  it("fails with a failing test and names it", () => {
    const { code, text } = run([folderWith({ "a.test.ts": `test("one", () => {}); test("broken", () => { throw new Error("no"); });` })]);
    assert.match(text, /failed: .*a\.test\.ts: broken/);
    assert.notEqual(code, 0);
  });

  it("fails when a file cannot be loaded", () => {
    const { code } = run([folderWith({ "a.test.ts": `test("one", () => {});`, "b.test.ts": `await import("./missing.ts");` })]);
    assert.notEqual(code, 0);
  });

  it("fails without a test file", () => {
    const { code, text } = run([folderWith({})]);
    assert.match(text, /no test file/);
    assert.equal(code, 1);
  });

  it("fails when a path does not exist", () => {
    const { code, text } = run([folderWith({ "a.test.ts": `test("one", () => {});` }), "/no/such/path"]);
    assert.match(text, /no such file/);
    assert.equal(code, 1);
  });

  it("fails when a file holds no test, and when everything is skipped", () => {
    const holdsNone = run([folderWith({ "a.test.ts": `test("one", () => {});`, "b.test.ts": `describe("empty", () => {});` })]);
    assert.match(holdsNone.text, /no test in .*b\.test\.ts/);
    assert.equal(holdsNone.code, 1);
    const skipsAll = run([folderWith({ "a.test.ts": `describe("all", { skip: "away" }, () => { it("one", () => {}); });` })]);
    assert.match(skipsAll.text, /no test ran/);
    assert.equal(skipsAll.code, 1);
  });

  it("keeps HEXKIT_ variables from the tests, except HEXKIT_TEST_ ones", () => {
    const folder = folderWith({
      "a.test.ts": `test("environment", () => { if (process.env.HEXKIT_LOG_LEVEL || process.env.HEXKIT_TEST_X !== "1") throw new Error("leaks"); });`,
    });
    const { code, text } = run([folder], { HEXKIT_LOG_LEVEL: "debug", HEXKIT_TEST_X: "1" });
    assert.equal(code, 0, text);
  });

  it("says which node binary cannot be started", () => {
    const { code, text } = run([folderWith({ "a.test.ts": `test("one", () => {});` })], { HEXKIT_TEST_NODE: "/no/such/node" });
    assert.match(text, /cannot start \/no\/such\/node/);
    assert.equal(code, 1);
  });

  it("ends with everything it started on SIGTERM", async () => {
    const folder = folderWith({
      "a.test.ts": `
        import { writeFileSync } from "node:fs";
        test("endless", async () => {
          writeFileSync(new URL("./pid", import.meta.url), String(process.pid));
          await new Promise((done) => setTimeout(done, 60_000));
        });`,
    });
    const child = spawn(process.execPath, [runner, folder], { stdio: "ignore" });
    const ended = once(child, "exit");
    const pidFile = join(folder, "pid");
    while (!existsSync(pidFile) && child.exitCode === null) await delay(20);
    await delay(50);
    const pid = Number(readFileSync(pidFile, "utf8"));
    child.kill("SIGTERM");
    const [code] = (await ended) as [number];
    assert.equal(code, 1);
    assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
  });
});
