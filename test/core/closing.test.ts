import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { defineProtocol, eventTranslator, isHexkitError, type ProtocolDefinition, type Registry } from "hexkit";
import { gate, type Mailer, mailerProtocol, mailers, memoryEvents, newsletterProtocol, open, postPlugin } from "./mailer.ts";

const phases = ["subscriptions", "relays", "publishers", "clients"] as const;
type Phase = (typeof phases)[number];
type Works = Partial<Record<Phase, (signal: AbortSignal) => Promise<void>>>;

/** A protocol whose bindings do something in every phase of closing. */
function mailerWith(works: (binding: string) => Works): ProtocolDefinition {
  return defineProtocol({
    ...mailerProtocol,
    methods: { send: true },
    name: "mailer",
    create: (driver, context): Mailer => {
      // Not in the order of the phases.
      for (const phase of ["clients", "publishers", "subscriptions", "relays"] as const) {
        const work = works(context.binding)[phase];
        if (work !== undefined) context.onClose(phase, work);
      }
      return mailerProtocol.create(driver as never, context as never) as Mailer;
    },
  });
}

const slowly = async (journal: string[], text: string): Promise<void> => {
  journal.push(`${text} begins`);
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  journal.push(`${text} ends`);
};

const closeFailed =
  (...codes: string[]) =>
  (error: unknown): boolean => {
    assert.ok(isHexkitError(error, "ERR_HEXKIT_CLOSE_FAILED"), String(error));
    assert.deepEqual(
      error.failures.map(({ code }) => code),
      codes,
    );
    return true;
  };

describe("closing a registry", () => {
  it("goes by phases: subscriptions, relays, publishers, clients, each ended before the next begins", async () => {
    const journal: string[] = [];
    const protocol = mailerWith((binding) =>
      Object.fromEntries(phases.map((phase) => [phase, () => slowly(journal, `${phase} of ${binding}`)])),
    );
    const plugin = postPlugin([], {
      protocols: [protocol, newsletterProtocol],
      close: ({ provider }) => slowly(journal, `clients of provider ${provider}`),
    });
    const registry = await open({ config: mailers(["a", "b"]), plugins: [plugin] });
    await registry.close();
    const order = journal.map((entry) => entry.replace(/ of .* (begins|ends)$/, " $1"));
    assert.deepEqual(
      order,
      phases.flatMap((phase) => {
        const many = phase === "clients" ? 4 : 2;
        return [...Array(many).fill(`${phase} begins`), ...Array(many).fill(`${phase} ends`)];
      }),
    );
  });

  it("closes the clients of all providers at the same time", async () => {
    const all = gate();
    let waiting = 0;
    const plugin = postPlugin([], {
      close: () => {
        waiting += 1;
        if (waiting === 3) all.open();
        return all.passed;
      },
    });
    const registry = await open({ config: mailers(["a", "b", "c"]), plugins: [plugin] });
    await registry.close();
  });

  it("closes each client once, however often and by whomever it is asked", async () => {
    const journal: string[] = [];
    const registry = await open({ config: mailers(["a", "b"]), plugins: [postPlugin(journal)] });
    await Promise.all([registry.close(), registry.close({ timeoutMs: 1 }), registry[Symbol.asyncDispose]()]);
    await registry.close();
    assert.deepEqual(journal.filter((entry) => entry.endsWith("close")).sort(), ["a: close", "b: close"]);
  });

  it("gives every caller the outcome of the first close", async () => {
    const plugin = postPlugin([], { close: () => Promise.reject(new Error("jammed")) });
    const registry = await open({ config: mailers(["a"]), plugins: [plugin] });
    const first = registry.close();
    const second = registry.close();
    const errors = await Promise.all([first, second].map((closing) => closing.catch((error: unknown) => error)));
    assert.ok(isHexkitError(errors[0], "ERR_HEXKIT_CLOSE_FAILED"), String(errors[0]));
    assert.equal(errors[0], errors[1]);
    await assert.rejects(registry.close(), (error) => error === errors[0]);
  });

  it("closes at the end of an `await using` block", async () => {
    const journal: string[] = [];
    {
      await using registry = await open({ config: mailers(["a"]), plugins: [postPlugin(journal)] });
      await registry.get("mailer").mail("ann", "hi");
    }
    assert.equal(journal.at(-1), "a: close");
  });

  it("closes everything else when something fails, and collects every failure", async () => {
    const journal: string[] = [];
    const protocol = mailerWith((binding) => ({
      subscriptions: () => Promise.reject(new Error(`${binding} clings`)),
      publishers: async () => void journal.push(`${binding} flushed`),
    }));
    const plugin = postPlugin(journal, {
      protocols: [protocol],
      close: ({ provider, options }) => {
        if (provider === "b") throw new Error(`door jammed: ${options.password}`);
      },
    });
    const registry = await open({ config: mailers(["a", "b"]), plugins: [plugin], env: { HEXKIT_B_PASSWORD: "canary-door" } });
    await assert.rejects(registry.close(), (error) => {
      closeFailed("ERR_HEXKIT_CLOSE_FAILED", "ERR_HEXKIT_CLOSE_FAILED", "ERR_HEXKIT_CLOSE_FAILED")(error);
      assert.equal(
        (error as Error).message,
        [
          "closing was not clean:",
          "- mailer: did not close cleanly: mailer clings",
          "- mailer:b: did not close cleanly: mailer:b clings",
          '- provider "b" (plugin post): did not close cleanly: door jammed: [secret]',
        ].join("\n"),
      );
      return true;
    });
    assert.deepEqual(journal.slice(-4), ["mailer flushed", "mailer:b flushed", "a: close", "b: close"]);
  });

  it("keeps to one budget with a work that never ends, and still closes the clients", async () => {
    const journal: string[] = [];
    let signalled = false;
    const protocol = mailerWith(() => ({
      subscriptions: (signal) =>
        new Promise(() => {
          signal.addEventListener("abort", () => (signalled = true));
        }),
      publishers: async () => void journal.push("flushed"),
    }));
    const registry = await open({ config: mailers(["a"]), plugins: [postPlugin(journal, { protocols: [protocol] })] });
    const begun = performance.now();
    await assert.rejects(registry.close({ timeoutMs: 100 }), (error) => {
      closeFailed("ERR_HEXKIT_TIMEOUT")(error);
      assert.match((error as Error).message, /- mailer: did not close within the 100 ms for closing/);
      return true;
    });
    const took = performance.now() - begun;
    assert.ok(took >= 85 && took < 2_000, `${took}`);
    assert.equal(signalled, true);
    assert.deepEqual(journal.slice(-2), ["flushed", "a: close"]);
  });

  it("has one budget for all phases together, not one for each", async () => {
    const stuck: Works = Object.fromEntries(phases.map((phase) => [phase, () => new Promise<void>(() => undefined)]));
    const plugin = postPlugin([], { protocols: [mailerWith(() => stuck)], close: () => new Promise(() => undefined) });
    const registry = await open({ config: mailers(["a"]), plugins: [plugin] });
    const begun = performance.now();
    await assert.rejects(registry.close({ timeoutMs: 300 }), closeFailed(...Array<string>(5).fill("ERR_HEXKIT_TIMEOUT")));
    const took = performance.now() - begun;
    assert.ok(took >= 280 && took < 900, `${took}`);
  });

  it("keeps a share of the budget for the clients", async () => {
    const protocol = mailerWith(() => ({ subscriptions: () => new Promise(() => undefined) }));
    let closed = false;
    const plugin = postPlugin([], {
      protocols: [protocol],
      // As long as a real client may take.
      close: async () => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        closed = true;
      },
    });
    const registry = await open({ config: mailers(["a"]), plugins: [plugin] });
    await assert.rejects(registry.close({ timeoutMs: 1_000 }), closeFailed("ERR_HEXKIT_TIMEOUT"));
    assert.equal(closed, true);
  });

  it("takes its budget from lifecycle.closeTimeoutMs", async () => {
    const plugin = postPlugin([], { close: () => new Promise(() => undefined) });
    const registry = await open({ config: mailers(["a"], "post", { closeTimeoutMs: 40 }), plugins: [plugin] });
    await assert.rejects(registry.close(), /did not close within the 40 ms/);
  });

  it("waits as long as it takes with an infinite budget", async () => {
    const plugin = postPlugin([], { close: () => slowly([], "close") });
    const registry = await open({ config: mailers(["a"]), plugins: [plugin] });
    await registry.close({ timeoutMs: Number.POSITIVE_INFINITY });
  });

  it("aborts the providers' signal before their clients close", async () => {
    let signal: AbortSignal | undefined;
    let abortedAtClose: boolean | undefined;
    const plugin = postPlugin([], {
      open: (_office, context) => {
        signal = context.signal;
      },
      close: () => {
        abortedAtClose = signal?.aborted;
      },
    });
    const registry = await open({ config: mailers(["a"]), plugins: [plugin] });
    assert.equal(signal?.aborted, false);
    await registry.close();
    assert.equal(abortedAtClose, true);
  });

  it("refuses every call from then on", async () => {
    const config = { ...memoryEvents, protocols: { ...memoryEvents.protocols, mailer: "post" } };
    const journal: string[] = [];
    const registry: Registry = await open({ config, plugins: [postPlugin(journal)] });
    const [mailer, publisher, subscriber] = [registry.get("mailer"), registry.get("eventPublisher"), registry.get("eventSubscriber")];
    const event = { topic: "t", type: "t", key: "k", payload: {} };
    const translator = eventTranslator({ topic: "t", events: { t: { schema: {}, consume: () => undefined } } });
    await registry.close();
    const closed = (error: unknown): boolean => isHexkitError(error, "ERR_HEXKIT_CLOSED");
    await assert.rejects(mailer.mail("ann", "hi"), (error) => closed(error) && /mailer .*mail after the registry closed/.test(`${error}`));
    await assert.rejects(publisher.publish(event), closed);
    await assert.rejects(publisher.publishAll([event]), closed);
    assert.throws(() => subscriber.subscribe(translator), closed);
    assert.throws(() => registry.get("mailer"), closed);
    await assert.rejects(registry.serve(), closed);
    assert.throws(
      () => registry.get("mailer:nothing"),
      (error) => isHexkitError(error),
    );
    assert.equal(!journal.some((entry) => entry.includes("letter to ann")), true);
  });

  it("takes calls while subscriptions, relays and publishers end, and none once clients close", async () => {
    const journal: string[] = [];
    const hold = gate();
    const protocol = mailerWith(() => ({ subscriptions: () => hold.passed }));
    let refused: unknown;
    const plugin = postPlugin(journal, {
      protocols: [protocol],
      close: async () => {
        refused = await mailer.mail("bob", "late").catch((error: unknown) => error);
      },
    });
    const registry = await open({ config: mailers(["a"]), plugins: [plugin] });
    const mailer = registry.get("mailer");
    const closing = registry.close();
    await registry.get("mailer").mail("ann", "hi");
    hold.open();
    await closing;
    assert.equal(
      journal.some((entry) => entry.includes("letter to ann")),
      true,
    );
    assert.ok(isHexkitError(refused, "ERR_HEXKIT_CLOSED"), String(refused));
  });

  it("lets translators that drain publish what their events cause", async () => {
    const begun = gate();
    const goOn = gate();
    const space = { providers: { events: { plugin: "memory", options: { space: "closing-drain" } } } };
    const config = { ...memoryEvents, ...space, protocols: { eventPublisher: "events", eventSubscriber: "events" } };
    const registry = await open({ config });
    const publisher = registry.get("eventPublisher");
    registry.get("eventSubscriber").subscribe({
      topics: ["cause"],
      types: ["t"],
      consume: async () => {
        begun.open();
        await goOn.passed;
        await publisher.publish({ topic: "effect", type: "t", key: "k", payload: {} });
      },
    });
    await publisher.publish({ topic: "cause", type: "t", key: "k", payload: {} });
    await begun.passed;
    const closing = registry.close();
    goOn.open();
    await closing;

    const seen = gate();
    await using later = await open({ config });
    later.get("eventSubscriber").subscribe({ topics: ["effect"], types: ["t"], consume: () => seen.open() }, { group: "later" });
    await seen.passed;
    const { clearMemorySpace } = await import("hexkit/plugins/memory");
    clearMemorySpace("closing-drain");
  });

  it("disposes what its container made, within the budget, and collects what fails", async () => {
    const { injectable } = await import("hexkit/inject");
    const journal: string[] = [];
    @injectable()
    class Cache {
      dispose(): void {
        journal.push("cache disposed");
        throw new Error("cache is dirty");
      }
    }
    @injectable()
    class Stuck {
      dispose(): Promise<void> {
        return new Promise(() => undefined);
      }
    }
    const registry = await open({ config: mailers(["a"]), plugins: [postPlugin(journal)] });
    registry.container.resolve(Cache);
    await assert.rejects(registry.close(), (error) => {
      closeFailed("ERR_HEXKIT_CLOSE_FAILED")(error);
      return /cache is dirty/.test((error as Error).message);
    });
    assert.deepEqual(journal, ["a: open", "a: check", "cache disposed", "a: close"]);
    const other = await open({ config: mailers(["a"]), plugins: [postPlugin(journal)] });
    other.container.resolve(Stuck);
    await assert.rejects(other.close({ timeoutMs: 50 }), closeFailed("ERR_HEXKIT_TIMEOUT"));
    assert.equal(journal.at(-1), "a: close");
  });
});
