import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { defineProtocol, type ProtocolDefinition } from "hexkit";
import { gate, type Mailer, mailerProtocol, mailers, memoryEvents, open, postPlugin } from "./mailer.ts";

type Report = () => { readonly ok: boolean } & Record<string, unknown>;

function reporting(...reports: readonly Report[]): ProtocolDefinition {
  return defineProtocol({
    ...mailerProtocol,
    methods: { send: true },
    name: "mailer",
    create: (driver, context): Mailer => {
      for (const report of reports) context.onHealth(report);
      return mailerProtocol.create(driver as never, context as never) as Mailer;
    },
  });
}

describe("health", () => {
  it("is ok while every provider answers, with latencies", async () => {
    await using registry = await open({ config: mailers(["a", "b"]), plugins: [postPlugin([])] });
    const health = await registry.health();
    assert.equal(health.ok, true);
    assert.equal(health.closed, false);
    assert.deepEqual(Object.keys(health.providers), ["a", "b"]);
    for (const { plugin, status, latencyMs, error } of Object.values(health.providers)) {
      assert.deepEqual([plugin, status, error], ["post", "up", undefined]);
      assert.equal(latencyMs >= 0, true);
    }
  });

  it("shows which provider is down, with the reason and no secret", async () => {
    let strike = false;
    const plugin = postPlugin([], {
      check: ({ provider, options }) => {
        if (strike && provider === "b") throw new Error(`gate shut for ${options.password}`);
      },
    });
    await using registry = await open({ config: mailers(["a", "b"]), plugins: [plugin], env: { HEXKIT_B_PASSWORD: "canary-gate" } });
    strike = true;
    const health = await registry.health();
    assert.equal(health.ok, false);
    assert.equal(health.providers.a?.status, "up");
    assert.equal(health.providers.b?.status, "down");
    assert.equal(health.providers.b?.error, "gate shut for [secret]");
    strike = false;
    assert.equal((await registry.health()).ok, true);
  });

  it("asks all providers at the same time", async () => {
    const all = gate();
    let asked = -2;
    const plugin = postPlugin([], {
      check: () => {
        asked += 1;
        if (asked === 2) all.open();
        return asked > 0 ? all.passed : undefined;
      },
    });
    await using registry = await open({ config: mailers(["a", "b"]), plugins: [plugin] });
    assert.equal((await registry.health()).ok, true);
  });

  it("counts a provider that does not answer in time as down, and tells it so by the signal", async () => {
    let stuck = false;
    let aborted = false;
    const plugin = postPlugin([], {
      check: (_office, signal) => {
        if (!stuck) return;
        signal.addEventListener("abort", () => (aborted = true));
        return new Promise(() => undefined);
      },
    });
    await using registry = await open({ config: mailers(["a"]), plugins: [plugin] });
    stuck = true;
    const health = await registry.health({ timeoutMs: 20 });
    assert.equal(health.providers.a?.status, "down");
    assert.equal(health.providers.a?.error, "no answer within 20 ms");
    assert.equal((health.providers.a?.latencyMs ?? 0) >= 15, true);
    assert.equal(aborted, true);
  });

  it("collects what bindings say of themselves, and is not ok when one says so", async () => {
    let ok = true;
    const plugin = postPlugin([], { protocols: [reporting(() => ({ ok, backlog: 3 }))] });
    await using registry = await open({ config: mailers(["a", "b"]), plugins: [plugin] });
    assert.deepEqual((await registry.health()).bindings, { mailer: { ok: true, backlog: 3 }, "mailer:b": { ok: true, backlog: 3 } });
    ok = false;
    assert.equal((await registry.health()).ok, false);
  });

  it("joins several reports of one binding", async () => {
    const plugin = postPlugin([], {
      protocols: [
        reporting(
          () => ({ ok: false, one: 1 }),
          () => ({ ok: true, two: 2 }),
        ),
      ],
    });
    await using registry = await open({ config: mailers(["a"]), plugins: [plugin] });
    const { ok, bindings } = await registry.health();
    assert.equal(ok, false);
    assert.deepEqual(bindings.mailer, { ok: false, one: 1, two: 2 });
  });

  it("never rejects: a report that throws makes its binding not ok", async () => {
    const broken = (): never => {
      throw new Error("cannot count canary-count");
    };
    const plugin = postPlugin([], { protocols: [reporting(broken)] });
    await using registry = await open({ config: mailers(["a"]), plugins: [plugin], env: { HEXKIT_A_PASSWORD: "canary-count" } });
    const { ok, bindings } = await registry.health();
    assert.equal(ok, false);
    assert.deepEqual(bindings.mailer, { ok: false, error: "cannot count [secret]" });
  });

  it("removes secrets from what bindings say of themselves", async () => {
    const report: Report = () => ({ ok: true, trouble: "post://office:canary-report@host", list: [{ why: new Error("canary-report") }] });
    const plugin = postPlugin([], { protocols: [reporting(report)] });
    await using registry = await open({ config: mailers(["a"]), plugins: [plugin], env: { HEXKIT_A_PASSWORD: "canary-report" } });
    const { bindings } = await registry.health();
    assert.equal(bindings.mailer?.trouble, "post://office:[secret]@host");
    assert.doesNotMatch(JSON.stringify(bindings), /canary/);
  });

  it("asks nothing once the registry has closed", async () => {
    const journal: string[] = [];
    const registry = await open({ config: mailers(["a"]), plugins: [postPlugin(journal)] });
    await registry.close();
    const length = journal.length;
    const health = await registry.health();
    assert.deepEqual([health.ok, health.closed, health.providers], [false, true, {}]);
    assert.equal(journal.length, length);
  });

  it("shows the state of subscriptions", async () => {
    await using registry = await open({ config: memoryEvents });
    const handled = gate();
    const subscription = registry.get("eventSubscriber").subscribe({ topics: ["t"], types: ["t"], consume: () => handled.open() });
    await registry.get("eventPublisher").publish({ topic: "t", type: "t", key: "k", payload: {} });
    await handled.passed;
    const { ok, bindings } = await registry.health();
    assert.equal(ok, true);
    const [{ group, topics, state, received } = {}] = (bindings.eventSubscriber?.subscriptions ?? []) as Record<string, unknown>[];
    assert.deepEqual([group, topics, state, received], ["office", ["t"], "running", 1]);
    await subscription.stop();
  });

  it("is not ok once a subscription has failed", async () => {
    await using registry = await open({ config: memoryEvents });
    const subscription = registry.get("eventSubscriber").subscribe({
      topics: ["t"],
      types: ["t"],
      consume: () => Promise.reject(new Error("no")),
    });
    await registry.get("eventPublisher").publish({ topic: "t", type: "t", key: "k", payload: {} });
    await assert.rejects(subscription.done);
    assert.equal((await registry.health()).ok, false);
  });
});
