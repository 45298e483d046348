import assert from "node:assert/strict";
import { getActiveResourcesInfo } from "node:process";
import { describe, it } from "node:test";
import { isHexkitError } from "hexkit";
import { gate, mailers, memoryEvents, open, postPlugin, recordingLogger } from "./mailer.ts";

const quick = { connectTimeoutMs: 30 };
const never = new Promise<never>(() => undefined);

describe("opening a registry", () => {
  it("connects all providers at the same time", async () => {
    const all = gate();
    let waiting = 0;
    const plugin = postPlugin([], {
      open: () => {
        waiting += 1;
        if (waiting === 3) all.open();
        return all.passed;
      },
    });
    await using registry = await open({ config: mailers(["a", "b", "c"]), plugins: [plugin] });
    assert.equal(registry.has("mailer:c"), true);
  });

  it("checks each provider once it is open, and makes drivers after that", async () => {
    const journal: string[] = [];
    const plugin = postPlugin(journal, { createDriver: ({ provider }) => void journal.push(`${provider}: driver`) });
    await using _registry = await open({ config: mailers(["a"]), plugins: [plugin] });
    assert.deepEqual(journal, ["a: open", "a: check", "a: driver"]);
  });

  it("takes a plugin that has neither check nor close", async () => {
    const whole = postPlugin([]);
    const { check: _check, close: _close, ...rest } = whole;
    const bare = Object.defineProperty({ ...rest }, Symbol.for("hexkit.Plugin"), { value: true }) as typeof whole;
    const registry = await open({ config: mailers(["a"]), plugins: [bare] });
    assert.equal((await registry.health()).providers.a?.status, "up");
    await registry.close();
  });

  for (const stage of ["open", "check", "createDriver"] as const) {
    it(`closes what is open when one provider fails in ${stage}, and names that one`, async () => {
      const journal: string[] = [];
      const raw = new Error("strike");
      const plugin = postPlugin(journal, {
        [stage]: ({ provider }: { provider: string }) => {
          if (provider === "b") throw raw;
        },
      });
      await assert.rejects(open({ config: mailers(["a", "b", "c"]), plugins: [plugin] }), (error) => {
        assert.ok(isHexkitError(error, "ERR_HEXKIT_PROVIDER_FAILED"), String(error));
        assert.equal(error.message, 'provider "b", plugin post: connect failed: strike');
        assert.deepEqual(error.origin, { provider: "b", plugin: "post", operation: "connect" });
        assert.equal(error.cause, raw);
        return true;
      });
      const closed = journal.filter((entry) => entry.endsWith("close")).sort();
      // What failed in open never gave a client to close.
      assert.deepEqual(closed, stage === "open" ? ["a: close", "c: close"] : ["a: close", "b: close", "c: close"]);
    });
  }

  it("gives the code by which the plugin classifies the failure", async () => {
    const plugin = postPlugin([], {
      open: () => Promise.reject(new Error("refused")),
      classify: () => "ERR_HEXKIT_AUTHENTICATION_FAILED",
    });
    await assert.rejects(open({ config: mailers(["a"]), plugins: [plugin] }), (error) =>
      isHexkitError(error, "ERR_HEXKIT_AUTHENTICATION_FAILED"),
    );
  });

  it("names every failure when several providers fail", async () => {
    const plugin = postPlugin([], {
      open: ({ provider }) => (provider === "b" ? undefined : Promise.reject(new Error(`strike at ${provider}`))),
      classify: (error) => ((error as Error).message.endsWith("a") ? "ERR_HEXKIT_UNAVAILABLE" : undefined),
    });
    await assert.rejects(open({ config: mailers(["a", "b", "c"]), plugins: [plugin] }), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_OPEN_FAILED"), String(error));
      assert.deepEqual(
        error.failures.map(({ code }) => code),
        ["ERR_HEXKIT_UNAVAILABLE", "ERR_HEXKIT_PROVIDER_FAILED"],
      );
      assert.match(error.message, /^2 providers could not be opened:\n- provider "a", .*strike at a\n- provider "c", .*strike at c$/);
      return true;
    });
  });

  for (const stage of ["open", "check", "createDriver"] as const) {
    it(`gives up when ${stage} takes longer than connectTimeoutMs`, async () => {
      const journal: string[] = [];
      const plugin = postPlugin(journal, { [stage]: () => never });
      await assert.rejects(open({ config: mailers(["a"], "post", quick), plugins: [plugin] }), (error) => {
        assert.ok(isHexkitError(error, "ERR_HEXKIT_TIMEOUT"), String(error));
        const waited = stage === "createDriver" ? "provides.mailer" : stage;
        const fact = `not connected within 30 ms: the plugin's ${waited} has not settled; is its server there?`;
        assert.equal(error.message, `provider "a", plugin post: ${fact} lifecycle.connectTimeoutMs allows more`);
        return true;
      });
      assert.equal(journal.includes("a: close"), stage !== "open");
    });
  }

  it("tells a plugin by its signal that the time is over", async () => {
    const journal: string[] = [];
    const plugin = postPlugin(journal, {
      open: (_office, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true })),
    });
    await assert.rejects(open({ config: mailers(["a"], "post", quick), plugins: [plugin] }), (error) =>
      isHexkitError(error, "ERR_HEXKIT_TIMEOUT"),
    );
  });

  it("tells check by its signal that the time is over", async () => {
    let aborted = false;
    const plugin = postPlugin([], {
      check: (_office, signal) => {
        signal.addEventListener("abort", () => (aborted = true));
        return never;
      },
    });
    await assert.rejects(open({ config: mailers(["a"], "post", quick), plugins: [plugin] }));
    assert.equal(aborted, true);
  });

  it("closes a client that comes only after the time is over, and does not check it", async () => {
    const journal: string[] = [];
    const late = gate();
    const closed = gate();
    const plugin = postPlugin(journal, { open: () => late.passed, close: () => closed.open() });
    await assert.rejects(open({ config: mailers(["a"], "post", quick), plugins: [plugin] }), (error) =>
      isHexkitError(error, "ERR_HEXKIT_TIMEOUT"),
    );
    assert.deepEqual(journal, ["a: open"]);
    late.open();
    await closed.passed;
    assert.deepEqual(journal, ["a: open", "a: close"]);
  });

  it("is cancelled by its signal, and closes what is open", async () => {
    const journal: string[] = [];
    const controller = new AbortController();
    const reason = new Error("changed my mind");
    const plugin = postPlugin(journal, {
      check: ({ provider }) => {
        if (provider === "a") return;
        controller.abort(reason);
        return never;
      },
    });
    await assert.rejects(open({ config: mailers(["a", "b"]), plugins: [plugin], signal: controller.signal }), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_ABORTED"), String(error));
      assert.equal(error.cause, reason);
      return true;
    });
    assert.deepEqual(journal.filter((entry) => entry.endsWith("close")).sort(), ["a: close", "b: close"]);
  });

  it("does not begin when its signal has aborted already", async () => {
    const journal: string[] = [];
    const options = { config: mailers(["a"]), plugins: [postPlugin(journal)], signal: AbortSignal.abort("no") };
    await assert.rejects(open(options), (error) => isHexkitError(error, "ERR_HEXKIT_ABORTED") && error.cause === "no");
    assert.deepEqual(journal, []);
  });

  it("opens nothing when its signal aborts while the configuration is read", async () => {
    const journal: string[] = [];
    const controller = new AbortController();
    const opening = open({ config: mailers(["a"]), plugins: [postPlugin(journal)], signal: controller.signal });
    controller.abort();
    await assert.rejects(opening, (error) => isHexkitError(error, "ERR_HEXKIT_ABORTED"));
    assert.deepEqual(journal, []);
  });

  it("leaves no listener on a signal that outlives it", async () => {
    const controller = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = controller.signal;
    controller.signal.addEventListener = function (this: AbortSignal, ...args: never[]) {
      listeners += 1;
      return (addEventListener as (...args: never[]) => void).apply(this, args);
    } as typeof addEventListener;
    controller.signal.removeEventListener = function (this: AbortSignal, ...args: never[]) {
      listeners -= 1;
      return (removeEventListener as (...args: never[]) => void).apply(this, args);
    } as typeof removeEventListener;
    await using _registry = await open({ config: mailers(["a", "b"]), plugins: [postPlugin([])], signal: controller.signal });
    assert.equal(listeners, 0);
  });

  it("waits no longer than connectTimeoutMs for a client that does not close after a failure", async () => {
    const plugin = postPlugin([], {
      open: ({ provider }) => {
        if (provider === "b") throw new Error("strike");
      },
      close: () => never,
    });
    const logger = recordingLogger();
    await assert.rejects(open({ config: mailers(["a", "b"], "post", quick), plugins: [plugin], logger }), /strike/);
    assert.equal(logger.lines.filter(({ level }) => level === "warn").length, 1);
  });

  it("logs, with secrets removed, what does not close cleanly after a failure", async () => {
    const plugin = postPlugin([], {
      open: ({ provider }) => {
        if (provider === "b") throw new Error("strike");
      },
      close: ({ options }) => Promise.reject(new Error(`cannot say goodbye with ${options.password}`)),
    });
    const logger = recordingLogger();
    const env = { HEXKIT_A_PASSWORD: "canary-in-close" };
    await assert.rejects(open({ config: mailers(["a", "b"]), plugins: [plugin], logger, env }), /strike/);
    const [line] = logger.lines.filter(({ level }) => level === "warn");
    assert.match(JSON.stringify(line), /cannot say goodbye with \[secret\]/);
    assert.doesNotMatch(JSON.stringify(line), /canary/);
    assert.equal(line?.fields.name, "hexkit.registry");
  });

  it("names the missing npm package and how to install it", async () => {
    const plugin = postPlugin([], {
      package: { name: "stamp-collector", range: "^2.1.0" },
      open: async () => {
        await import("stamp-collector" as string);
      },
    });
    await assert.rejects(open({ config: mailers(["a"]), plugins: [plugin] }), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_PACKAGE_MISSING"), String(error));
      assert.equal(error.retryable, false);
      assert.equal(
        error.message,
        'provider "a", plugin post: needs the package stamp-collector (^2.1.0): npm install stamp-collector@"^2.1.0"',
      );
      return true;
    });
  });

  it("names the missing npm package when a CommonJS client asks for it, and when it is a subpath", async () => {
    for (const load of [
      async () => void (await import("node:module")).createRequire(import.meta.url)("stamp-collector"),
      async () => void (await import("stamp-collector/rare" as string)),
    ]) {
      const plugin = postPlugin([], { package: { name: "stamp-collector", range: "^2.1.0" }, open: load });
      await assert.rejects(open({ config: mailers(["a"]), plugins: [plugin] }), (error) =>
        isHexkitError(error, "ERR_HEXKIT_PACKAGE_MISSING"),
      );
    }
  });

  it("does not blame the plugin's package for another one that is missing", async () => {
    const plugin = postPlugin([], {
      package: { name: "stamp-collector", range: "^2.1.0" },
      open: async () => {
        await import("something-else" as string);
      },
    });
    await assert.rejects(
      open({ config: mailers(["a"]), plugins: [plugin] }),
      (error) => isHexkitError(error, "ERR_HEXKIT_PROVIDER_FAILED") && /something-else/.test(error.message),
    );
  });

  it("says who fails when a plugin throws an error of ours", async () => {
    const { HexkitError } = await import("hexkit");
    const plugin = postPlugin([], {
      open: ({ options }) => {
        throw new HexkitError("ERR_HEXKIT_UNAVAILABLE", `office is shut for ${options.password}`);
      },
    });
    await assert.rejects(open({ config: mailers(["a"]), plugins: [plugin], env: { HEXKIT_A_PASSWORD: "canary-own" } }), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_UNAVAILABLE"), String(error));
      assert.equal(error.message, 'provider "a", plugin post: connect failed: office is shut for [secret]');
      assert.deepEqual(error.origin, { provider: "a", plugin: "post", operation: "connect" });
      return true;
    });
  });

  it("leaves no timer behind, opened or failed", async () => {
    const timers = (): number => getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const before = timers();
    const registry = await open({ config: memoryEvents });
    assert.equal(timers(), before);
    await registry.close();
    await assert.rejects(open({ config: mailers(["a"]), plugins: [postPlugin([], { open: () => Promise.reject(new Error("x")) })] }));
    assert.equal(timers(), before);
  });
});
