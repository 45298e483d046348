import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { root, run, start } from "../core/run-program.ts";
import { servers } from "./kafka.ts";

const folder = join(root, "examples", "billing");
const page = readFileSync(join(root, "docs", "getting-started.md"), "utf8");

/** The variables of a command of the page, with the broker of the tests. */
function variables(command: RegExp): Record<string, string> {
  const [line] = command.exec(page) ?? assert.fail(`the page has no ${command}`);
  const entries = [...line.matchAll(/(HEXKIT_\w+)=(\S+)/g)].map(([, name = "", value = ""]) => [
    name,
    value.replace("localhost:9092", servers.plain.join(",")),
  ]);
  return Object.fromEntries(entries) as Record<string, string>;
}

it("the service of docs/getting-started.md answers orders on Kafka, by its environment alone and by its second configuration", async () => {
  const byEnvironment = variables(/^HEXKIT_EVENT_PUBLISHER=kafka .* main\.ts$/m);
  const byFile = { ...variables(/^HEXKIT_CONFIG=.* place-order\.ts$/m), HEXKIT_EVENTS_BROKERS: servers.plain.join(",") };
  const [, answer] = /^(bill: .*)$/m.exec(page) ?? [];
  for (const env of [byEnvironment, byFile]) {
    const service = start([join(folder, "main.ts")], { cwd: folder, env });
    const { code, stdout, stderr } = await run([join(folder, "place-order.ts")], { cwd: folder, env: byFile });
    assert.deepEqual([code, stdout], [0, `${answer}\n`], stderr);
    service.signal("SIGTERM");
    const ended = await service.ended;
    assert.equal(ended.code, 0, ended.stderr);
  }
});

it("the tests of docs/getting-started.md pass on Kafka as well, by their environment alone", async () => {
  const env = variables(/^The tests move as the service does: .*npm test/m);
  const { code, stdout, stderr } = await run(["--test-reporter=tap", "billing.test.ts"], { cwd: folder, env });
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^ok \d - an order becomes a bill$/m);
});
