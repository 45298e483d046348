import { openRegistry } from "hexkit";
import { show, spread } from "./stats.ts";

const runs = 5;
const events = 100_000;
const callers = 500;

/** The memory plugin, from `publish` until the handler has been called, 500 calls under way at a time. */
export async function benchMemory(): Promise<void> {
  const figures: number[] = [];
  for (let run = 0; run <= runs; run += 1) {
    const figure = await publishToHandled();
    // The first one warms up.
    if (run > 0) figures.push(figure);
  }
  console.log(`memory: publish to handled  ${show(spread(figures), "/s", 0)}`);
}

async function publishToHandled(): Promise<number> {
  await using registry = await openRegistry({
    config: { service: { name: "bench" }, log: { level: "silent" }, protocols: { eventPublisher: "memory", eventSubscriber: "memory" } },
    env: {},
  });
  const publisher = registry.get("eventPublisher");
  let handled = 0;
  const all = new Promise<void>((resolve) => {
    registry.get("eventSubscriber").subscribe({
      topics: ["measured"],
      types: ["measured"],
      consume: () => {
        handled += 1;
        if (handled === events) resolve();
      },
    });
  });
  const payload = { text: "x".repeat(245) };
  const started = performance.now();
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < events) await publisher.publish({ topic: "measured", type: "measured", key: `key-${next++ % 64}`, payload });
  };
  await Promise.all(Array.from({ length: callers }, caller));
  await all;
  return (events * 1_000) / (performance.now() - started);
}
