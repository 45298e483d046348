import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isHexkitError } from "hexkit";
import { gate, mailers, memoryEvents, open, postPlugin, recordingLogger } from "./mailer.ts";
import { start } from "./run-program.ts";

/** A service that says what happens to it. `…rest` runs between opening and serving. */
const service = (rest = "", behaviour = ""): string[] => {
  const url = JSON.stringify(new URL("./mailer.ts", import.meta.url).href);
  const program = `
    import { openRegistry } from "hexkit";
    import { mailers, memoryEvents, postPlugin } from ${url};
    const office = mailers(["a"]);
    const config = { ...memoryEvents, ...office, protocols: { ...memoryEvents.protocols, ...office.protocols } };
    const plugin = postPlugin([], { close: async () => { console.log("closing"); ${behaviour} console.log("closed"); } });
    const registry = await openRegistry({ config, plugins: [plugin] });
    ${rest}
    const serving = registry.serve();
    console.log("serving");
    await serving;
    console.log("served");`;
  return ["--input-type=module", "-e", program];
};

describe("serve in a process of its own", { concurrency: 2 }, () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`keeps a service in memory alive until ${signal}, closes, and lets the process end with 0`, async () => {
      const program = start(service());
      await program.line(/^serving$/);
      program.signal(signal);
      const { code, stdout, stderr, signal: killed } = await program.ended;
      assert.deepEqual([code, killed], [0, null], stderr);
      assert.equal(stdout, "serving\nclosing\nclosed\nserved\n");
      assert.match(stderr, new RegExp(`"details":{"reason":"${signal}"},"message":"closing"`));
    });
  }

  it("ends at once on a second signal while it closes", async () => {
    const program = start(service("", "await new Promise((resolve) => setTimeout(resolve, 60_000));"));
    await program.line(/^serving$/);
    program.signal("SIGTERM");
    await program.line(/^closing$/);
    program.signal("SIGTERM");
    const { code, stdout, signal } = await program.ended;
    assert.deepEqual([code, signal], [null, "SIGTERM"]);
    assert.equal(stdout, "serving\nclosing\n");
  });

  it("ends at once when the second signal is another one", async () => {
    const program = start(service("", "await new Promise((resolve) => setTimeout(resolve, 60_000));"));
    await program.line(/^serving$/);
    program.signal("SIGTERM");
    await program.line(/^closing$/);
    program.signal("SIGINT");
    assert.equal((await program.ended).signal, "SIGINT");
  });

  it("rejects with the cause when a subscription fails, after closing: exit code 1", async () => {
    const failing = `
      registry.get("eventSubscriber").subscribe({ topics: ["t"], types: ["t"], consume: () => { throw new Error("indigestible"); } });
      await registry.get("eventPublisher").publish({ topic: "t", type: "t", key: "k", payload: {} });`;
    const { code, stdout, stderr } = await start(service(failing)).ended;
    assert.equal(code, 1);
    assert.equal(stdout, "serving\nclosing\nclosed\n");
    assert.match(stderr, /ERR_HEXKIT_EVENT_FAILED/);
    assert.match(stderr, /indigestible/);
  });

  it("rejects when closing fails: exit code 1", async () => {
    const program = start(service("", `throw new Error("jammed");`));
    await program.line(/^serving$/);
    program.signal("SIGTERM");
    const { code, stderr } = await program.ended;
    assert.equal(code, 1);
    assert.match(stderr, /closing was not clean:\n- provider "a" \(plugin post\): did not close cleanly: jammed/);
  });
});

describe("serve", () => {
  it("ends on its abort signal, also when that has aborted already", async () => {
    for (const early of [true, false]) {
      const journal: string[] = [];
      const controller = new AbortController();
      const registry = await open({ config: mailers(["a"]), plugins: [postPlugin(journal)] });
      if (early) controller.abort();
      const serving = registry.serve({ signal: controller.signal, signals: [] });
      controller.abort();
      await serving;
      assert.equal(journal.at(-1), "a: close");
    }
  });

  it("ends when someone else closes the registry", async () => {
    const journal: string[] = [];
    const registry = await open({ config: mailers(["a"]), plugins: [postPlugin(journal)] });
    const serving = registry.serve({ signals: [] });
    await registry.close();
    await serving;
    assert.equal(journal.filter((entry) => entry === "a: close").length, 1);
  });

  it("rejects with the cause of a failure that came before it, and logs what closing found", async () => {
    const logger = recordingLogger();
    const plugin = postPlugin([], { close: () => Promise.reject(new Error("jammed")) });
    const office = mailers(["a"]) as { protocols: object };
    const config = { ...memoryEvents, ...office, protocols: { ...memoryEvents.protocols, ...office.protocols } };
    const registry = await open({ config, plugins: [plugin], logger });
    const subscription = registry.get("eventSubscriber").subscribe({
      topics: ["t"],
      types: ["t"],
      consume: () => Promise.reject(new Error("indigestible")),
    });
    await registry.get("eventPublisher").publish({ topic: "t", type: "t", key: "k", payload: {} });
    await assert.rejects(subscription.done);
    await assert.rejects(registry.serve({ signals: [] }), (error) => isHexkitError(error, "ERR_HEXKIT_EVENT_FAILED"));
    assert.equal(
      logger.lines.some(({ level, message }) => level === "error" && /closing after a failure was not clean/.test(message)),
      true,
    );
  });

  it("leaves no listener and no timer behind", async () => {
    const count = (): number[] => [
      process.listenerCount("SIGTERM"),
      process.listenerCount("SIGINT"),
      process.listenerCount("SIGHUP"),
      process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length,
    ];
    const before = count();
    const controller = new AbortController();
    const registry = await open({ config: mailers(["a"]), plugins: [postPlugin([])] });
    const serving = registry.serve({ signal: controller.signal, signals: ["SIGHUP"] });
    assert.deepEqual(count(), [before[0], before[1], (before[2] ?? 0) + 1, (before[3] ?? 0) + 1]);
    controller.abort();
    await serving;
    assert.deepEqual(count(), before);
  });

  it("listens to the signals that it is given only", async () => {
    const registry = await open({ config: mailers(["a"]), plugins: [postPlugin([])] });
    const serving = registry.serve({ signals: ["SIGHUP"] });
    process.kill(process.pid, "SIGHUP");
    await serving;
    assert.equal((await registry.health()).closed, true);
  });

  it("drains what handlers have begun before it ends", async () => {
    const begun = gate();
    const goOn = gate();
    let finished = false;
    const controller = new AbortController();
    const registry = await open({ config: memoryEvents });
    registry.get("eventSubscriber").subscribe({
      topics: ["t"],
      types: ["t"],
      consume: async () => {
        begun.open();
        await goOn.passed;
        finished = true;
      },
    });
    await registry.get("eventPublisher").publish({ topic: "t", type: "t", key: "k", payload: {} });
    const serving = registry.serve({ signal: controller.signal, signals: [] });
    await begun.passed;
    controller.abort();
    goOn.open();
    await serving;
    assert.equal(finished, true);
  });
});
