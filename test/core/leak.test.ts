import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { run } from "./run-program.ts";

const cycles = 1_000;

const program = `
  import { openRegistry } from "hexkit";
  const config = { service: { name: "leak", instance: "1" }, log: { level: "silent" },
    protocols: { eventPublisher: "memory", "eventPublisher:audit": "memory", eventSubscriber: "memory" } };
  const cycle = async (index) => {
    const registry = await openRegistry({ config, env: {} });
    // Now and then with work done, so that engines, queues and topics come and go too.
    if (index % 20 === 0) {
      let handled;
      const done = new Promise((resolve) => { handled = resolve; });
      registry.get("eventSubscriber").subscribe({ topics: ["t"], types: ["t"], consume: handled });
      await registry.get("eventPublisher").publish({ topic: "t", type: "t", key: "k", payload: { index } });
      await done;
      await registry.health();
      registry.get("eventPublisher:audit");
      registry.container.resolve("eventPublisher");
    }
    await registry.close();
  };
  const measure = () => { for (let turn = 0; turn < 4; turn += 1) gc(); return process.memoryUsage().heapUsed; };
  const handles = () => process.getActiveResourcesInfo().sort().join();
  // A turn that a queue of the last cycle has asked for is over by then.
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  for (let index = 0; index < 1_000; index += 1) await cycle(index);
  await turn();
  const before = { heap: measure(), handles: handles() };
  for (let index = 0; index < ${cycles}; index += 1) await cycle(index);
  await turn();
  const after = { heap: measure(), handles: handles() };
  // What the engine compiles and forgets again comes and goes; a leak stays.
  for (let index = 0; index < 60; index += 1) {
    await cycle(index);
    if (index % 20 === 19) after.heap = Math.min(after.heap, measure());
  }
  console.log(JSON.stringify({ before, after, listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]) }));`;

describe("opening and closing a registry on memory", () => {
  it(`${cycles} times leaves no handle and no growth of the heap`, async () => {
    const { code, stdout, stderr } = await run(["--input-type=module", "-e", program], { nodeOptions: ["--expose-gc"] });
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /MaxListenersExceeded/);
    const { before, after, listeners } = JSON.parse(stdout) as {
      before: { heap: number; handles: string };
      after: { heap: number; handles: string };
      listeners: [string, number][];
    };
    assert.equal(after.handles, before.handles);
    const growth = after.heap / before.heap - 1;
    assert.ok(growth <= 0.05, `the heap grew by ${(growth * 100).toFixed(1)} %, from ${before.heap} to ${after.heap} bytes`);
    for (const [name, count] of listeners) assert.ok(count < 5, `${count} listeners for ${name}`);
  });
});
