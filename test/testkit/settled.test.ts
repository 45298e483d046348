import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { definePlugin, type EventSubscriberDriver, type Plugin, type Registry, type SubscriberSettings } from "hexkit";
import { plugin as memory } from "hexkit/plugins/memory";
import { chaos, memoryFaults, openTestRegistry, publishEvents, recordEvents, settled, type TestRegistryOptions } from "hexkit/testkit";

const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function open(subscriber: Partial<SubscriberSettings> = {}, options: TestRegistryOptions = {}): Promise<Registry> {
  const protocols = {
    eventPublisher: "memory",
    eventSubscriber: { provider: "memory", retryDelayMs: 1, ...subscriber },
    dao: "memory",
    outbox: {},
  };
  return openTestRegistry({ service: { name: "shop" }, protocols }, { logger, ...options });
}

/** Hands every event of one topic on to the next. */
function relay(registry: Registry, from: string, to: string, group: string): void {
  registry.get("eventSubscriber").subscribe(
    {
      topics: [from],
      types: ["order"],
      consume: async ({ key, payload }) => {
        await new Promise((resolve) => setImmediate(resolve));
        await registry.get("eventPublisher").publish({ topic: to, type: "order", key, payload: payload as never });
      },
    },
    { group },
  );
}

const orders = (count: number) => Array.from({ length: count }, (_, n) => ({ type: "order", key: `k${n}`, payload: { n } }));
const never = new Promise<void>(() => {});

describe("testkit: settled", () => {
  it("waits until everything is handled, also what handlers publish on their part, and for no acknowledgement to be due", async () => {
    await using registry = await open({ commitIntervalMs: 600_000, commitEvery: 1_000 });
    for (const step of [1, 2, 3, 4]) relay(registry, `t${step}`, `t${step + 1}`, `g${step}`);
    const end = await recordEvents(registry, "t5");
    await publishEvents(registry, "t1", orders(50));
    await settled(registry);
    assert.equal((await end.stop()).length, 50);
  });

  it("misses nothing, however often it is asked", async () => {
    await using registry = await open({ concurrency: 2 });
    for (const step of [2, 1, 3]) relay(registry, `t${step}`, `t${step + 1}`, `g${step}`);
    for (let round = 1; round <= 20; round += 1) {
      const end = await recordEvents(registry, "t4");
      await publishEvents(registry, "t1", orders(round % 4));
      await settled(registry);
      assert.equal((await end.stop()).length, round % 4, `round ${round}`);
    }
  });

  it("looks again until two looks in a row have found nothing open, with nothing between them", async () => {
    const script: [first: string[], firstMark: string, second: string[], secondMark: string][] = [
      [["something"], "a", [], "x"],
      [[], "b", [], "x"],
      [[], "b", [], "y"], // what the first passed on, the second has done
      [[], "c", ["something"], "y"],
      [[], "c", [], "z"],
      [[], "c", [], "z"],
    ];
    let looks = 0;
    const inside = {
      bindings: [],
      isClosed: false,
      probes: [
        { binding: "one", probe: () => ({ open: script[looks]?.[0], mark: script[looks]?.[1] }) },
        {
          binding: "two",
          probe: async () => {
            const [, , open, mark] = script[looks] ?? assert.fail("it should have been settled");
            looks += 1;
            return { open, mark };
          },
        },
      ],
    };
    await settled({ [Symbol.for("hexkit.registry.inside")]: inside } as never);
    assert.equal(looks, script.length);
  });

  it("waits for what is still being published", async () => {
    const { plugin, plan } = chaos(memory);
    await using registry = await open({}, { plugins: [plugin] });
    plan.delay("eventPublisher.prepare", { ms: 50 });
    const recording = await recordEvents(registry, "t1");
    let isDone = false;
    const publishing = registry.get("eventPublisher").publish({ topic: "t1", type: "order", key: "k", payload: {} });
    void publishing.then(() => {
      isDone = true;
    });
    await settled(registry);
    assert.ok(isDone, "the event has been published");
    assert.equal((await recording.stop()).length, 1);
  });

  it("waits for retries and dead letters, and for whoever reads these", async () => {
    await using registry = await open({ maxRetries: 3, deadLetter: true });
    let attempts = 0;
    const letters: unknown[] = [];
    const consume = (): void => {
      attempts += 1;
      throw new Error("no");
    };
    registry.get("eventSubscriber").subscribe({ topics: ["t1"], types: ["order"], consume });
    registry.get("eventSubscriber").subscribeDeadLetters(({ payload }) => void letters.push(payload));
    await publishEvents(registry, "t1", orders(1));
    await settled(registry);
    assert.equal(attempts, 4);
    assert.deepEqual(letters, [{ n: 0 }]);
  });

  it("rejects with the reason if a subscription has failed", async () => {
    await using registry = await open();
    const consume = (): void => {
      throw new Error("the cupboard is bare");
    };
    registry.get("eventSubscriber").subscribe({ topics: ["t1"], types: ["order"], consume });
    await publishEvents(registry, "t1", orders(1));
    await assert.rejects(settled(registry), (error: Error) => {
      assert.equal((error as { code?: string }).code, "ERR_HEXKIT_NOT_SETTLED");
      assert.match(
        error.message,
        /eventSubscriber \(.*\): the subscription of group "shop" has failed: .*event .* failed: the cupboard is bare/,
      );
      assert.equal((error.cause as { code?: string }).code, "ERR_HEXKIT_EVENT_FAILED");
      return true;
    });
  });

  it("says what is still open when its time is over: where, how much, who holds it up", async () => {
    await using registry = await open({ maxRetries: 1, retryDelayMs: 60_000, maxRetryDelayMs: 60_000, drainTimeoutMs: 0 });
    const consume = ({ key }: { key: string }): Promise<void> => (key === "slow" ? never : Promise.reject(new Error("not today")));
    const subscription = registry.get("eventSubscriber").subscribe({ topics: ["t1"], types: ["order"], consume });
    const event = { type: "order", payload: {} };
    await publishEvents(registry, "t1", [
      { ...event, key: "slow" },
      { ...event, key: "bad" },
    ]);
    const isStuck = (): boolean => subscription.stats().retried === 1 && subscription.stats().inFlight === 2;
    while (!isStuck()) await new Promise((resolve) => setImmediate(resolve));
    await assert.rejects(settled(registry, { timeoutMs: 200 }), (error: Error) => {
      assert.equal((error as { code?: string }).code, "ERR_HEXKIT_NOT_SETTLED");
      const [head, ...lines] = error.message.split("\n");
      assert.equal(head, "settled: after 200 ms is still open:");
      const all = lines.join("\n");
      assert.match(all, /^- eventSubscriber, group "shop": \d unhandled from offset 0 of topic "t1", partition \d$/m);
      assert.match(
        all,
        /^- eventSubscriber, group "shop": the event at topic "t1", .* offset \d failed \(1\) and waits to be tried again: not today$/m,
      );
      assert.match(all, /^- eventSubscriber, group "shop": 1 in the hands of translators or waiting for them$/m);
      return true;
    });
  });

  it("is settled where nothing is subscribed, and does not wait for subscriptions that were stopped", async () => {
    await using registry = await open();
    await settled(registry);
    const subscription = registry
      .get("eventSubscriber")
      .subscribe({ topics: ["t1"], types: ["order"], consume: () => never }, { drainTimeoutMs: 0 });
    await publishEvents(registry, "t1", orders(3));
    await subscription.stop();
    await settled(registry);
  });

  it("counts what other members of a group have in their hands", async () => {
    const space = randomUUID();
    await using one = await open({}, { space });
    await using two = await open({}, { space });
    const seen: number[] = [];
    const subscribe = (registry: Registry) =>
      registry.get("eventSubscriber").subscribe({
        topics: ["t1"],
        types: ["order"],
        consume: async ({ payload }) => {
          for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
          seen.push((payload as { n: number }).n);
        },
      });
    subscribe(one);
    const other = subscribe(two);
    await settled(one);
    await publishEvents(one, "t1", orders(30));
    await settled(one);
    assert.equal(seen.length, 30);
    assert.ok(other.stats().handled > 0, "the other member had its share");
  });

  it("does not wait for what came before a group that begins at the latest", async () => {
    await using registry = await open({ from: "latest" });
    await publishEvents(registry, "t1", orders(5));
    const seen: unknown[] = [];
    registry.get("eventSubscriber").subscribe({ topics: ["t1"], types: ["order"], consume: ({ payload }) => void seen.push(payload) });
    await settled(registry);
    assert.deepEqual(seen, []);
    await publishEvents(registry, "t1", { type: "order", payload: { n: 9 } });
    await settled(registry);
    assert.deepEqual(seen, [{ n: 9 }]);
  });

  it("waits for outboxes to have published, and for the events of that to be handled", async () => {
    await using registry = await open({}, { env: { HEXKIT_OUTBOX_PUBLISH_WAIT_MS: "0" } });
    const seen: unknown[] = [];
    registry.get("eventSubscriber").subscribe({ topics: ["users"], types: ["upserted"], consume: ({ key }) => void seen.push(key) });
    const schema = { type: "object", required: ["id"], properties: { id: { type: "string" } } } as const;
    const users = await registry
      .get("outbox")
      .open({ name: "users", idField: "id", schema, topic: "users", toEvent: ({ id }) => ({ id }) });
    for (const id of ["a", "b", "c"]) await users.upsert({ id });
    await settled(registry);
    assert.deepEqual(seen.sort(), ["a", "b", "c"]);
  });

  it("does not wait for an outbox that publishes only when it is told to, and says at once what can never be published", async () => {
    await using registry = await open({}, { env: { HEXKIT_OUTBOX_PUBLISH_WAIT_MS: "0" } });
    const schema = { type: "object", required: ["id"], properties: { id: { type: "string" } } } as const;
    const spec = { idField: "id", schema, topic: "users" } as const;
    const quiet = await registry.get("outbox").open({ ...spec, name: "quiet", autoPublish: false, toEvent: ({ id }) => ({ id }) });
    await quiet.upsert({ id: "a" });
    await settled(registry);
    const toEvent = (): never => {
      throw new Error("no event can be made of it");
    };
    const broken = await registry.get("outbox").open({ ...spec, name: "broken", toEvent });
    await broken.upsert({ id: "b" });
    await assert.rejects(settled(registry), { code: "ERR_HEXKIT_NOT_SETTLED", message: /collection broken: 1 cannot be published/ });
  });

  it("bears a broker that is away for a while", async () => {
    const space = randomUUID();
    await using registry = await open({}, { space });
    const seen: unknown[] = [];
    registry.get("eventSubscriber").subscribe({ topics: ["t1"], types: ["order"], consume: ({ payload }) => void seen.push(payload) });
    await publishEvents(registry, "t1", orders(4));
    const faults = memoryFaults(space);
    faults.outage();
    await assert.rejects(settled(registry, { timeoutMs: 30 }), {
      code: "ERR_HEXKIT_NOT_SETTLED",
      message: /the memory broker is away|outage|away/,
    });
    const settling = settled(registry);
    faults.restore();
    await settling;
    assert.equal(seen.length, 4);
  });

  it("is not held up by offsets at which there is no record", async () => {
    const hollow = definePlugin({
      ...memory,
      provides: {
        ...memory.provides,
        eventSubscriber: async (client: never, context: never) => {
          const driver = (await memory.provides.eventSubscriber?.(client, context)) as EventSubscriberDriver;
          const { topics } = driver;
          assert.ok(topics !== undefined, "the memory driver looks at topics");
          const extents: typeof topics.extents = async (names, options) =>
            (await topics.extents(names, options)).map((extent) => ({ ...extent, end: extent.end + 2 }));
          return {
            join: driver.join.bind(driver),
            topics: {
              list: topics.list.bind(topics),
              read: topics.read.bind(topics),
              positions: topics.positions.bind(topics),
              clear: topics.clear.bind(topics),
              extents,
            },
          };
        },
      },
    } as never) as Plugin;
    await using registry = await open({}, { plugins: [hollow] });
    const seen: unknown[] = [];
    registry.get("eventSubscriber").subscribe({ topics: ["t1"], types: ["order"], consume: ({ payload }) => void seen.push(payload) });
    await publishEvents(registry, "t1", orders(5));
    await settled(registry);
    assert.equal(seen.length, 5);
  });

  it("says so where the plugin cannot look at its topics", async () => {
    const { eventSubscriber: create, ...others } = memory.provides;
    const blind = definePlugin({
      ...memory,
      provides: {
        ...others,
        eventSubscriber: async (client: never, context: never) => {
          const driver = (await create?.(client, context)) as EventSubscriberDriver;
          return { join: driver.join.bind(driver) };
        },
      },
    } as never) as Plugin;
    await using registry = await open({}, { plugins: [blind] });
    await settled(registry);
    registry.get("eventSubscriber").subscribe({ topics: ["t1"], types: ["order"], consume: () => {} });
    await assert.rejects(settled(registry), {
      code: "ERR_HEXKIT_UNSUPPORTED",
      message: /group "shop": the plugin cannot tell where its groups stand/,
    });
  });

  it("ends by its signal, and refuses a registry that has closed or is none", async () => {
    const registry = await open({ drainTimeoutMs: 0 });
    registry.get("eventSubscriber").subscribe({ topics: ["t1"], types: ["order"], consume: () => never });
    await publishEvents(registry, "t1", orders(1));
    const controller = new AbortController();
    const settling = settled(registry, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await assert.rejects(settling, { code: "ERR_HEXKIT_ABORTED" });
    await assert.rejects(settled(registry, { signal: AbortSignal.abort() }), { code: "ERR_HEXKIT_ABORTED" });
    await registry.close();
    await assert.rejects(settled(registry), { code: "ERR_HEXKIT_CLOSED" });
    await assert.rejects(settled({} as never), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
  });
});
