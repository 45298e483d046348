import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type EventPublisher, type EventSubscriber, errorCodes, isHexkitError, openRegistry } from "hexkit";
import { inject, injectable } from "hexkit/inject";
import { type Mailer, mailerProtocol, mailers, memoryEvents, newsletterProtocol, open, postPlugin } from "./mailer.ts";

@injectable()
class Reporter {
  readonly publisher: EventPublisher;
  readonly audit: EventPublisher;
  constructor(@inject("eventPublisher") publisher: EventPublisher, @inject("eventPublisher:audit") audit: EventPublisher) {
    this.publisher = publisher;
    this.audit = audit;
  }
}

@injectable()
class Desk {
  readonly reporter: Reporter;
  readonly mailer: Mailer;
  constructor(@inject(Reporter) reporter: Reporter, @inject("mailer") mailer: Mailer) {
    this.reporter = reporter;
    this.mailer = mailer;
  }
}

const withAudit = {
  ...memoryEvents,
  providers: { first: { plugin: "memory" }, second: { plugin: "memory" } },
  protocols: { eventPublisher: "first", "eventPublisher:audit": "second", eventSubscriber: "first" },
} as const;

describe("registry", () => {
  it("gives the portable object of a binding, the same at every call", async () => {
    await using registry = await open({ config: withAudit });
    const publisher: EventPublisher = registry.get("eventPublisher");
    const subscriber: EventSubscriber = registry.get("eventSubscriber");
    assert.equal(typeof publisher.publish, "function");
    assert.equal(typeof subscriber.subscribe, "function");
    assert.equal(registry.get("eventPublisher"), publisher);
    assert.equal(registry.get("eventSubscriber"), subscriber);
  });

  it("gives a named binding an object of its own", async () => {
    await using registry = await open({ config: withAudit });
    assert.notEqual(registry.get("eventPublisher:audit"), registry.get("eventPublisher"));
    assert.equal(registry.get("eventPublisher:audit"), registry.get("eventPublisher:audit"));
  });

  it("tells which bindings there are", async () => {
    await using registry = await open({ config: withAudit });
    for (const binding of Object.keys(withAudit.protocols)) assert.equal(registry.has(binding), true, binding);
    for (const binding of ["eventPublisher:other", "mailer", "", "toString", "first", "eventSubscriber:audit"]) {
      assert.equal(registry.has(binding), false, binding);
    }
  });

  it("lists what is bound, and the variable that would bind what is not", async () => {
    await using registry = await open({ config: withAudit, protocols: [mailerProtocol] });
    assert.throws(
      () => registry.get("mailer:nightShift"),
      (error) => {
        assert.ok(isHexkitError(error, "ERR_HEXKIT_UNBOUND"), String(error));
        assert.equal(error.category, "configuration");
        assert.deepEqual(error.origin, { binding: "mailer:nightShift" });
        assert.match(error.message, /nothing is bound as "mailer:nightShift"/);
        assert.match(error.message, /bound: eventPublisher, eventPublisher:audit, eventSubscriber;/);
        assert.match(error.message, /HEXKIT_MAILER__NIGHT_SHIFT=/);
        return true;
      },
    );
    assert.throws(() => registry.get("eventSubscriber:x"), /HEXKIT_EVENT_SUBSCRIBER__X=/);
  });

  it("tells what a binding's name looks like when asked for an impossible one", async () => {
    await using registry = await open({ config: withAudit });
    for (const binding of ["EventPublisher", "event_publisher", "eventPublisher:a:b", "eventPublisher:", "toString()", ""]) {
      assert.throws(
        () => registry.get(binding as "eventPublisher"),
        (error) =>
          isHexkitError(error, "ERR_HEXKIT_UNBOUND") && /lower camel case/.test(error.message) && !error.message.includes("HEXKIT_E"),
        binding,
      );
    }
    assert.throws(
      () => registry.get("constructor" as "eventPublisher"),
      (error) => isHexkitError(error, "ERR_HEXKIT_UNBOUND"),
    );
  });

  it("says that nothing is bound when nothing is", async () => {
    await using registry = await open({ config: {} });
    assert.throws(() => registry.get("eventPublisher"), /bound: nothing; .*HEXKIT_EVENT_PUBLISHER=/);
  });

  it("resolves a class whose parameters name bindings", async () => {
    const journal: string[] = [];
    const config = { ...withAudit, protocols: { ...withAudit.protocols, mailer: "post" } };
    await using registry = await open({ config, plugins: [postPlugin(journal)] });
    const desk = registry.container.resolve(Desk);
    assert.equal(desk.reporter.publisher, registry.get("eventPublisher"));
    assert.equal(desk.reporter.audit, registry.get("eventPublisher:audit"));
    assert.equal(desk.mailer, registry.get("mailer"));
    await desk.mailer.mail("ann", "hello");
    assert.equal(journal.at(-1), "post: letter to ann from office: hello");
  });

  it("keeps the containers of two registries apart", async () => {
    await using one = await open({ config: withAudit });
    await using two = await open({ config: withAudit });
    assert.notEqual(one.container.resolve(Reporter).publisher, two.container.resolve(Reporter).publisher);
    assert.equal(one.container.resolve<EventPublisher>("eventPublisher"), one.get("eventPublisher"));
    await one.close();
    assert.equal(two.container.resolve(Reporter).publisher, two.get("eventPublisher"));
  });

  it("cannot resolve a class whose binding is missing, and names it", async () => {
    await using registry = await open({ config: memoryEvents });
    assert.throws(() => registry.container.resolve(Reporter), /eventPublisher:audit/);
  });

  it("lets a class be replaced in its container", async () => {
    await using registry = await open({ config: withAudit });
    const fake = { publish: async () => undefined, publishAll: async () => undefined };
    registry.container.registerInstance("eventPublisher:audit", fake);
    assert.equal(registry.container.resolve(Reporter).audit, fake);
  });

  it("shows the effective configuration with origins", async () => {
    await using registry = await open({ config: memoryEvents, env: { HEXKIT_MEMORY_PARTITIONS: "7" } });
    assert.equal(registry.config.ok, true);
    assert.deepEqual(registry.config.problems, []);
    const partitions = registry.config.values.find(({ pointer }) => pointer === "/providers/memory/options/partitions");
    assert.equal(partitions?.value, 7);
    assert.equal(partitions?.origin, "environment HEXKIT_MEMORY_PARTITIONS");
  });

  it("opens from the environment alone", async () => {
    const env = { HEXKIT_EVENT_PUBLISHER: "memory", HEXKIT_EVENT_PUBLISHER__AUDIT: "memory" };
    await using registry = await open({ config: {}, env });
    assert.deepEqual([registry.has("eventPublisher"), registry.has("eventPublisher:audit")], [true, true]);
  });

  it("refuses a bad configuration before anything connects, with every problem", async () => {
    const journal: string[] = [];
    const config = {
      providers: { a: { plugin: "post", options: { port: "x", hots: 1 } } },
      protocols: { mailer: "a", eventPublisher: "nobody" },
    };
    await assert.rejects(open({ config, plugins: [postPlugin(journal)] }), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_CONFIG_INVALID"), String(error));
      assert.equal(error.problems.length, 3);
      for (const { place, message } of error.problems) {
        assert.match(error.message, new RegExp(`^- ${(`${place}: ${message}`).replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`, "m"));
      }
      assert.match(error.message, /^the configuration has 3 problems:/);
      assert.match(error.message, /did you mean "host"\?/);
      return true;
    });
    assert.deepEqual(journal, []);
  });

  it("opens only the plugins that are bound", async () => {
    const journal: string[] = [];
    const config = { providers: { a: { plugin: "post" }, b: { plugin: "post" } }, protocols: { mailer: "b" } };
    await using _registry = await open({ config, plugins: [postPlugin(journal), postPlugin(journal, { name: "other" })] });
    assert.deepEqual(journal, ["b: open", "b: check"]);
  });

  it("opens a provider that several bindings share once, and closes it once", async () => {
    const journal: string[] = [];
    const config = {
      providers: { a: { plugin: "post" } },
      protocols: { mailer: "a", "mailer:b": "a", "mailer:c": { provider: "a", from: "c" } },
    };
    const registry = await open({ config, plugins: [postPlugin(journal)] });
    await registry.get("mailer:c").mail("ann", "hello");
    await registry.close();
    assert.deepEqual(journal, ["a: open", "a: check", "a: letter to ann from c: hello", "a: close"]);
  });

  it("opens one plugin twice for two providers, with options of their own", async () => {
    const hosts: unknown[] = [];
    const plugin = postPlugin([], { open: ({ provider, options }) => void hosts.push([provider, options.host]) });
    const config = {
      providers: { a: { plugin: "post", options: { host: "a.example" } }, b: { plugin: "post" } },
      protocols: { mailer: "a", "mailer:b": "b" },
    };
    await using _registry = await open({ config, plugins: [plugin], env: { HEXKIT_B_HOST: "b.example" } });
    assert.deepEqual(hosts.sort(), [
      ["a", "a.example"],
      ["b", "b.example"],
    ]);
  });

  it("tells each provider its name, the service, a clock and one scope per registry", async () => {
    const contexts: Record<string, unknown>[] = [];
    const clock = { now: () => 5, sleep: async () => undefined };
    const plugin = postPlugin([], { open: (_office, context) => void contexts.push({ ...context }) });
    await using _registry = await open({ config: mailers(["a", "b"]), plugins: [plugin], clock });
    await using _other = await open({ config: mailers(["c"]), plugins: [plugin] });
    const [a, b, c] = contexts;
    assert.deepEqual([a?.provider, b?.provider, c?.provider, a?.plugin], ["a", "b", "c", "post"]);
    assert.deepEqual(a?.service, { name: "office", instance: "1" });
    assert.equal(a?.clock, clock);
    assert.equal(a?.scope, b?.scope);
    assert.notEqual(a?.scope, c?.scope);
  });

  it("maps a driver's error once, by the plugin's table, with its origin", async () => {
    const raw = new Error("no such street");
    let thrown: unknown = raw;
    const plugin = postPlugin([], {
      send: () => {
        throw thrown;
      },
      classify: (error) => (error === raw ? "ERR_HEXKIT_PERMISSION_DENIED" : undefined),
    });
    await using registry = await open({ config: mailers(["a", "night"]), plugins: [plugin] });
    await assert.rejects(registry.get("mailer:night").mail("ann", "hello"), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_PERMISSION_DENIED"), String(error));
      assert.equal(error.cause, raw);
      assert.deepEqual(error.origin, { binding: "mailer:night", provider: "night", plugin: "post", operation: "mail" });
      assert.equal(error.message, 'mailer "night" (provider "night", plugin post): mail ann failed: no such street');
      return true;
    });
    for (thrown of [new Error("strange"), "text", undefined, null, Object.create(null)]) {
      await assert.rejects(registry.get("mailer").mail("ann", "hello"), (error) => isHexkitError(error, "ERR_HEXKIT_PROVIDER_FAILED"));
    }
  });

  it("survives a classify that throws or invents a code", async () => {
    for (const classify of [
      () => {
        throw new Error("classify is broken");
      },
      () => "ERR_ACME_STRANGE" as "ERR_HEXKIT_TIMEOUT",
      () => "toString" as "ERR_HEXKIT_TIMEOUT",
    ]) {
      const raw = new Error("lost");
      const plugin = postPlugin([], { send: () => Promise.reject(raw), classify });
      await using registry = await open({ config: mailers(["a"]), plugins: [plugin] });
      await assert.rejects(registry.get("mailer").mail("ann", "hello"), (error) => {
        assert.ok(isHexkitError(error), String(error));
        assert.equal(error.code, "ERR_HEXKIT_PROVIDER_FAILED");
        assert.equal(error.cause, raw);
        assert.equal(Object.hasOwn(errorCodes, error.code), true);
        return true;
      });
    }
  });

  it("ends a call on its signal, before and during it", async () => {
    const journal: string[] = [];
    const plugin = postPlugin(journal, { send: () => new Promise(() => undefined) });
    await using registry = await open({ config: mailers(["a"]), plugins: [plugin] });
    const reason = new Error("enough");
    await assert.rejects(registry.get("mailer").mail("ann", "hello", { signal: AbortSignal.abort(reason) }), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_ABORTED"), String(error));
      assert.equal(error.cause, reason);
      return true;
    });
    assert.equal(!journal.some((entry) => entry.includes("letter")), true);
    const controller = new AbortController();
    const sending = registry.get("mailer").mail("bob", "hello", { signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(sending, (error) => isHexkitError(error, "ERR_HEXKIT_ABORTED") && /outcome is unknown/.test(error.message));
  });

  it("names the binding when a protocol cannot be made, and closes what is open", async () => {
    const journal: string[] = [];
    const broken = {
      ...mailerProtocol,
      create: () => {
        throw new TypeError("no ink");
      },
    };
    await assert.rejects(
      open({ config: mailers(["a"]), plugins: [postPlugin(journal, { protocols: [broken, newsletterProtocol] })] }),
      (error) => {
        assert.ok(isHexkitError(error, "ERR_HEXKIT_PROVIDER_FAILED"), String(error));
        assert.match(error.message, /mailer .*no ink/);
        return true;
      },
    );
    assert.deepEqual(journal, ["a: open", "a: check", "a: close"]);
  });

  it("reads the process's environment unless it is given one", async () => {
    process.env.HEXKIT_EVENT_PUBLISHER = "memory";
    try {
      await using registry = await openRegistry({ config: {} });
      assert.equal(registry.has("eventPublisher"), true);
    } finally {
      delete process.env.HEXKIT_EVENT_PUBLISHER;
    }
    await using registry = await open({ config: {} });
    assert.equal(registry.has("eventPublisher"), false);
  });
});
