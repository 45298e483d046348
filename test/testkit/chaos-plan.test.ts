import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CallOptions, type Clock, definePlugin, openRegistry, type Plugin, type ProtocolTypes } from "hexkit";
import { plugin as memory } from "hexkit/plugins/memory";
import { chaos, type Which } from "hexkit/testkit";
import { testEventPublisher, testEventSubscriber } from "hexkit/testkit/conformance";
import { openBroker } from "../plugins/memory/broker-subject.ts";
import { turns } from "./service.ts";

/** A protocol that this package does not know; what services call is the driver itself. */
interface ShelfDriver {
  readonly capacity: number;
  put(name: string, options?: CallOptions): Promise<number>;
  list(prefix: string): AsyncIterable<string>;
  has(name: string): boolean;
}

declare module "hexkit" {
  interface Protocols {
    shelf: ProtocolTypes<ShelfDriver, ShelfDriver>;
  }
}

class Shelf implements ShelfDriver {
  readonly #names: string[] = [];

  get capacity(): number {
    return 10 - this.#names.length;
  }

  async put(name: string): Promise<number> {
    if (name === "") throw new Error("E_NAMELESS");
    return this.#names.push(name);
  }

  async *list(prefix: string): AsyncIterable<string> {
    yield* this.#names.filter((name) => name.startsWith(prefix));
  }

  has(name: string): boolean {
    return this.#names.includes(name);
  }
}

function shelfPlugin(create: () => ShelfDriver = () => new Shelf()): Plugin {
  return definePlugin({
    name: "shelves",
    apiVersion: 1,
    summary: "Shelves",
    options: { type: "object", additionalProperties: false, properties: {} },
    open: () => ({}),
    classify: (error) => ((error as Error).message === "E_NAMELESS" ? "ERR_HEXKIT_INVALID_ARGUMENT" : undefined),
    provides: { shelf: create },
    protocols: [
      {
        name: "shelf",
        id: "test/shelf",
        version: 1,
        summary: "Keeps names.",
        settings: { type: "object", additionalProperties: false, properties: {} },
        create: (driver: ShelfDriver, context) => ({
          get capacity() {
            return driver.capacity;
          },
          put: (name: string, options?: CallOptions) => context.call("put", name, options, (signal) => driver.put(name, { signal })),
          list: (prefix: string) => driver.list(prefix),
          has: (name: string) => driver.has(name),
        }),
      },
    ],
  });
}

async function openShelf(plugin = shelfPlugin(), clock?: Clock) {
  const { plugin: chaotic, plan } = chaos(plugin);
  const registry = await openRegistry({
    config: { protocols: { shelf: "shelves" } },
    env: {},
    plugins: [chaotic],
    ...(clock && { clock }),
  });
  return { shelf: registry.get("shelf"), plan, [Symbol.asyncDispose]: () => registry.close() };
}

/** Which of 20 calls, counted from 1, a fault hits. */
async function hitCalls(which: Which<"shelf.put">): Promise<number[]> {
  await using service = await openShelf();
  service.plan.fail("shelf.put", which);
  const hit: number[] = [];
  for (let call = 1; call <= 20; call += 1) await service.shelf.put(String(call)).catch(() => hit.push(call));
  return hit;
}

describe("chaos: the plan", () => {
  it("hits all calls, the next ones, every kth, those that match, or all but the first", async () => {
    const all = Array.from({ length: 20 }, (_, index) => index + 1);
    assert.deepEqual(await hitCalls({}), all);
    assert.deepEqual(await hitCalls({ next: 3 }), [1, 2, 3]);
    assert.deepEqual(await hitCalls({ next: 0 }), []);
    assert.deepEqual(await hitCalls({ skip: 17 }), [18, 19, 20]);
    assert.deepEqual(await hitCalls({ every: 6 }), [6, 12, 18]);
    assert.deepEqual(await hitCalls({ when: (name) => name.endsWith("1") }), [1, 11]);
    assert.deepEqual(await hitCalls({ when: (name) => name.length === 2, skip: 1, every: 3, next: 2 }), [13, 16]);
  });

  it("hits the same share of calls in every run, another with another seed", async () => {
    const [first, again, other] = [
      await hitCalls({ share: 0.3 }),
      await hitCalls({ share: 0.3, seed: 1 }),
      await hitCalls({ share: 0.3, seed: 2 }),
    ];
    assert.deepEqual(first, again);
    assert.notDeepEqual(first, other);
    for (const hit of [first, other]) assert.ok(hit.length > 1 && hit.length < 12, String(hit));
    assert.deepEqual(await hitCalls({ share: 0 }), []);
  });

  it("lets faults of one call act in the order in which they were planned", async () => {
    await using service = await openShelf();
    const { plan, shelf } = service;
    const steps: string[] = [];
    for (const name of ["outer", "inner"]) {
      plan.intercept("shelf.put", async ({ proceed }) => {
        steps.push(`${name} begins`);
        const answer = await proceed();
        steps.push(`${name} ends`);
        return answer + 1;
      });
    }
    assert.equal(await shelf.put("a"), 3);
    assert.deepEqual(steps, ["outer begins", "inner begins", "inner ends", "outer ends"]);
  });

  it("counts calls and hits, and tells when a fault has hit", async () => {
    await using service = await openShelf();
    const { plan, shelf } = service;
    const fault = plan.hang("shelf.put", { next: 2 });
    assert.deepEqual([fault.hits, plan.calls("shelf.put")], [0, 0]);
    let isHitTwice = false;
    const second = fault.hit(2).then(() => {
      isHitTwice = true;
    });
    const putting = [shelf.put("a")];
    await fault.hit();
    await turns();
    assert.equal(isHitTwice, false);
    putting.push(shelf.put("b"), shelf.put("c"));
    await second;
    await fault.hit();
    assert.deepEqual([fault.hits, plan.calls("shelf.put")], [2, 3]);
    assert.equal(await putting[2], 1);
    plan.liftAll();
    await Promise.all(putting);
    await shelf.put("d");
    assert.deepEqual([fault.hits, plan.calls("shelf.put")], [2, 4]);
  });

  it("ends a call that hangs or is delayed when its signal aborts, and it never happens", async () => {
    const controllers = [new AbortController(), new AbortController()] as const;
    // Its pauses are over when the second call has been aborted.
    const clock: Clock = { now: () => Date.now(), sleep: async () => controllers[1].abort() };
    await using service = await openShelf(shelfPlugin(), clock);
    const { plan, shelf } = service;
    const hanging = plan.hang("shelf.put", { when: (name) => name === "a" });
    plan.delay("shelf.put", { ms: 1, when: (name) => name === "b" });
    const putting = shelf.put("a", { signal: controllers[0].signal });
    await hanging.hit();
    controllers[0].abort();
    await assert.rejects(putting, { code: "ERR_HEXKIT_ABORTED" });
    await assert.rejects(shelf.put("b", { signal: controllers[1].signal }), { code: "ERR_HEXKIT_ABORTED" });
    hanging.lift();
    await turns();
    assert.deepEqual([shelf.has("a"), shelf.has("b")], [false, false]);
  });

  it("passes other arguments on, to what is planned next and to the real call", async () => {
    await using service = await openShelf();
    const { plan, shelf } = service;
    plan.intercept("shelf.put", ({ proceed, args: [name] }) => proceed(`${name}!`));
    plan.fail("shelf.put", { when: (name) => name === "b!" });
    await shelf.put("a");
    await assert.rejects(shelf.put("b"), { code: "ERR_HEXKIT_UNAVAILABLE" });
    assert.deepEqual([shelf.has("a!"), shelf.has("b!")], [true, false]);
  });
});

describe("chaos: any plugin", () => {
  it("keeps what answers at once, private fields and frozen drivers as they are", async () => {
    const frozen = (): ShelfDriver => Object.freeze({ capacity: 1, put: async () => 1, list: async function* () {}, has: () => true });
    for (const plugin of [shelfPlugin(), shelfPlugin(frozen)]) {
      await using service = await openShelf(plugin);
      const before = service.shelf.capacity;
      assert.equal(await service.shelf.put("a"), 1);
      assert.equal(service.shelf.has("a"), true);
      assert.ok(before >= service.shelf.capacity);
      service.plan.fail("shelf.put", { next: 1 });
      await assert.rejects(service.shelf.put("b"));
    }
  });

  it("lets the plugin classify errors of its client, planned or not", async () => {
    await using service = await openShelf();
    await assert.rejects(service.shelf.put(""), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
    service.plan.fail("shelf.put", { error: new Error("E_NAMELESS"), next: 1 });
    await assert.rejects(service.shelf.put("a"), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
    service.plan.fail("shelf.put", { error: new Error("who knows"), next: 1 });
    await assert.rejects(service.shelf.put("a"), { code: "ERR_HEXKIT_PROVIDER_FAILED", message: /who knows/ });
  });

  it("makes listings fail, wait and come twice", async () => {
    await using service = await openShelf();
    const { plan, shelf } = service;
    await shelf.put("a");
    const list = async (): Promise<string[]> => {
      const names: string[] = [];
      for await (const name of shelf.list("")) names.push(name);
      return names;
    };
    plan.fail("shelf.list", { next: 1 });
    await assert.rejects(list(), { code: "ERR_HEXKIT_UNAVAILABLE" });
    const hanging = plan.hang("shelf.list");
    const listing = list();
    await hanging.hit();
    await shelf.put("b");
    hanging.lift();
    assert.deepEqual(await listing, ["a", "b"]);
    assert.deepEqual(await list(), ["a", "b"]);
  });

  it("stays a plugin of the same name", () => {
    const { plugin } = chaos(memory);
    assert.deepEqual(
      [plugin.name, plugin.options, plugin.classify, Object.keys(plugin.provides)],
      [memory.name, memory.options, memory.classify, Object.keys(memory.provides)],
    );
  });
});

// Through an empty plan every driver owes what it owes without.
const calm = { name: "memory through an empty plan", plugin: chaos(memory).plugin, open: openBroker };
testEventPublisher({ ...calm, expects: { maxMessageBytes: 100_000 } });
testEventSubscriber(calm);
