import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { definePlugin, openRegistry, type Plugin, type Registry } from "hexkit";
import { plugin as memory } from "hexkit/plugins/memory";
import { clearTopics, emptyBuckets, emptyCollections, openTestRegistry, publishEvents, recordEvents, settled } from "hexkit/testkit";

const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const protocols = { eventPublisher: "memory", eventSubscriber: "memory", objectStorage: "memory", dao: "memory", migrations: "memory" };
const open = (plugins: readonly Plugin[] = []): Promise<Registry> =>
  openTestRegistry({ service: { name: "shop" }, protocols }, { logger, plugins });

const mailbox = {
  type: "object",
  required: ["id", "mail"],
  properties: { id: { type: "string" }, mail: { type: "string" } },
} as const;

describe("testkit: clearTopics", () => {
  it("deletes the records of topics; offsets grow on, and others are left alone", async () => {
    await using registry = await open();
    for (const topic of ["one", "two"]) await publishEvents(registry, topic, [{ type: "t", payload: { n: 1 } }]);
    await clearTopics(registry, ["one", "missing"]);
    const seen: string[] = [];
    const consume = ({ topic }: { topic: string }): void => void seen.push(topic);
    registry.get("eventSubscriber").subscribe({ topics: ["one", "two", "missing"], types: ["t"], consume });
    await settled(registry);
    assert.deepEqual(seen, ["two"]);
    const recording = await recordEvents(registry, "one");
    await publishEvents(registry, "one", { type: "t", payload: { n: 2 } });
    await settled(registry);
    assert.deepEqual(seen, ["two", "one"], "the group goes on at what comes next");
    assert.equal((await recording.stop())[0]?.offset, 1);
  });

  it("clears every topic if it is told so", async () => {
    await using registry = await open();
    for (const topic of ["one", "two"]) await publishEvents(registry, topic, [{ type: "t", payload: {} }]);
    await clearTopics(registry, "all");
    const seen: string[] = [];
    registry.get("eventSubscriber").subscribe({ topics: ["one", "two"], types: ["t"], consume: ({ topic }) => void seen.push(topic) });
    await settled(registry);
    assert.deepEqual(seen, []);
  });

  it("leaves handlers their events that run, and subscriptions running", async () => {
    await using registry = await open();
    const seen: number[] = [];
    let release!: () => void;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const consume = async ({ payload }: { payload: unknown }): Promise<void> => {
      await gate;
      seen.push((payload as { n: number }).n);
    };
    const subscription = registry.get("eventSubscriber").subscribe({ topics: ["one"], types: ["t"], consume });
    await publishEvents(registry, "one", { type: "t", payload: { n: 1 } });
    while (subscription.stats().inFlight === 0) await new Promise((resolve) => setImmediate(resolve));
    await clearTopics(registry, "one");
    release();
    await publishEvents(registry, "one", { type: "t", payload: { n: 2 } });
    await settled(registry);
    assert.deepEqual(seen, [1, 2]);
    assert.equal(subscription.state, "running");
  });
});

describe("testkit: emptyBuckets", () => {
  it("deletes objects and open uploads, and keeps the buckets", async () => {
    await using registry = await open();
    const storage = registry.get("objectStorage");
    for (const bucket of ["one", "two", "three"]) {
      await storage.createBucket(bucket);
      await storage.put(bucket, "a/b", "content");
      await storage.multipart.start(bucket, "big");
    }
    const left = async (bucket: string): Promise<number> => {
      let count = 0;
      for await (const _ of storage.list(bucket)) count += 1;
      for await (const _ of storage.multipart.list(bucket)) count += 1;
      return count;
    };
    await emptyBuckets(registry, "one");
    assert.deepEqual([await left("one"), await left("two")], [0, 2]);
    await emptyBuckets(registry, ["two"]);
    assert.deepEqual([await left("two"), await left("three")], [0, 2]);
    await emptyBuckets(registry, "all");
    assert.equal(await left("three"), 0);
    assert.equal((await storage.listBuckets()).length, 3);
    await assert.rejects(emptyBuckets(registry, "missing"), { code: "ERR_HEXKIT_BUCKET_NOT_FOUND" });
  });
});

describe("testkit: emptyCollections", () => {
  it("deletes documents, and keeps indexes and what migrations remember", async () => {
    await using registry = await open();
    const daos = await Promise.all(
      ["one", "two"].map((name) =>
        registry.get("dao").open({ name, idField: "id", schema: mailbox, indexes: [{ fields: ["mail"], unique: true }] }),
      ),
    );
    const [one, two] = daos;
    assert.ok(one !== undefined && two !== undefined, "both are open");
    const counts = (): Promise<number[]> => Promise.all([one.count({}), two.count({})]);
    for (const dao of [one, two]) for (const id of ["a", "b"]) await dao.insert({ id, mail: `${id}@example.org` });
    await registry.get("migrations").run({ target: 2, steps: [{ version: 2, apply: async () => {} }] });
    await emptyCollections(registry, "one");
    assert.deepEqual(await counts(), [0, 2]);
    await one.insert({ id: "a", mail: "a@example.org" });
    await emptyCollections(registry, ["two", "missing"]);
    assert.deepEqual(await counts(), [1, 0]);
    await two.insert({ id: "a", mail: "a@example.org" });
    await emptyCollections(registry, "all");
    assert.deepEqual(await counts(), [0, 0]);
    assert.equal(await registry.get("migrations").version(), 2, "migrations know what they have done");
    await one.insert({ id: "a", mail: "a@example.org" });
    await assert.rejects(one.insert({ id: "b", mail: "a@example.org" }), { code: "ERR_HEXKIT_UNIQUE_VIOLATION" });
  });

  it("says so where the plugin cannot", async () => {
    const { dao: create, ...others } = memory.provides;
    const strict = definePlugin({
      ...memory,
      provides: {
        ...others,
        dao: async (client: never, context: never) => {
          const driver = (await create?.(client, context)) as object;
          return new Proxy(driver, {
            get: (target, name) => {
              const value: unknown = name === "collections" ? undefined : Reflect.get(target, name, target);
              return typeof value === "function" ? value.bind(target) : value;
            },
          });
        },
      },
    } as never) as Plugin;
    await using registry = await open([strict]);
    await assert.rejects(emptyCollections(registry, "all"), { code: "ERR_HEXKIT_UNSUPPORTED", message: /dao driver has no `collections`/ });
  });
});

describe("testkit: what deletes data", () => {
  it("refuses registries that openTestRegistry did not open, before it touches anything", async () => {
    await using registry = await openRegistry({ config: { service: { name: "shop" }, protocols }, env: {}, logger });
    await publishEvents(registry, "one", { type: "t", payload: {} });
    for (const empty of [clearTopics, emptyBuckets, emptyCollections]) {
      await assert.rejects(empty(registry, "all"), {
        code: "ERR_HEXKIT_INVALID_ARGUMENT",
        message: `${empty.name}: it deletes data, and takes test registries only; open it by openTestRegistry, with \`env\` to reach a real server`,
      });
    }
    const seen: unknown[] = [];
    registry.get("eventSubscriber").subscribe({ topics: ["one"], types: ["t"], consume: (event) => void seen.push(event) });
    await settled(registry);
    assert.equal(seen.length, 1);
  });

  it("needs the binding that it empties", async () => {
    await using registry = await openTestRegistry({ service: { name: "shop" }, protocols: { eventPublisher: "memory" } }, { logger });
    await assert.rejects(emptyBuckets(registry, "all"), { code: "ERR_HEXKIT_UNBOUND", message: /nothing is bound as objectStorage/ });
    await assert.rejects(emptyCollections(registry, "all"), { code: "ERR_HEXKIT_UNBOUND", message: /nothing is bound as dao/ });
    await clearTopics(registry, "all");
  });
});
