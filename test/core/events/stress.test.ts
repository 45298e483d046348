import assert from "node:assert/strict";
import { it } from "node:test";
import { openRegistry } from "../../../core/index.ts";
import { plugin as memory } from "../../../plugins/memory/index.ts";
import { turns, until } from "./bench.ts";

const total = 20_000;
const keys = 97;

it("handles 20,000 events exactly once and in order per key, with 50 handlers that take random turns", async () => {
  await using registry = await openRegistry({
    config: {
      service: { name: "shop", instance: "7" },
      providers: { broker: { plugin: "memory", options: { partitions: 8 } } },
      protocols: { eventPublisher: "broker", eventSubscriber: "broker" },
    },
    env: { HEXKIT_EVENT_SUBSCRIBER_MAX_IN_FLIGHT: "200" },
    plugins: [memory],
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
  const publisher = registry.get("eventPublisher");
  const lastOf = new Map<string, number>();
  const seen = new Set<number>();
  const inKey = new Set<string>();
  let [running, most] = [0, 0];
  const subscription = registry.get("eventSubscriber").subscribe(
    {
      topics: ["load"],
      types: ["made"],
      async consume({ key, payload }) {
        const { n } = payload as { n: number };
        running += 1;
        most = Math.max(most, running);
        assert.ok(!inKey.has(key), `two handlers of key ${key} at once`);
        inKey.add(key);
        await turns(Math.floor(Math.random() * 4));
        assert.ok(n > (lastOf.get(key) ?? -1), `${n} after ${lastOf.get(key)} of key ${key}`);
        lastOf.set(key, n);
        assert.ok(!seen.has(n), `${n} came twice`);
        seen.add(n);
        inKey.delete(key);
        running -= 1;
      },
    },
    { concurrency: 50 },
  );
  const published: Promise<void>[] = [];
  for (let n = 0; n < total; n += 1) {
    published.push(publisher.publish({ topic: "load", type: "made", key: `key-${(n * 31) % keys}`, payload: { n } }));
    if (n % 1_000 === 0) await turns(1);
  }
  await Promise.all(published);
  await until("all of them", () => seen.size === total || subscription.state === "failed", 60_000);
  await subscription.stop();
  await subscription.done;
  assert.equal(seen.size, total);
  assert.equal(most, 50);
  const { received, handled, failed, inFlight } = subscription.stats();
  assert.deepEqual({ received, handled, failed, inFlight }, { received: total, handled: total, failed: 0, inFlight: 0 });
});
