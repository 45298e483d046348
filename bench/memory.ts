import { openRegistry } from "hexkit";
import { show, spread } from "./stats.ts";

const runs = 5;
const events = 100_000;
const callers = 500;

interface Figures {
  readonly perSecond: number;
  /** Processor time of the whole process, which other work on the machine changes less than the time on the wall. */
  readonly microsecondsEach: number;
}

/** The memory plugin, from `publish` until the handler has been called, 500 calls under way at a time. */
export async function benchMemory(): Promise<void> {
  for (const [what, handle] of [
    ["plain", () => undefined],
    ["async", async () => undefined],
  ] as const) {
    const figures: Figures[] = [];
    for (let run = 0; run <= runs; run += 1) {
      const figure = await publishToHandled(handle);
      // The first one warms up.
      if (run > 0) figures.push(figure);
    }
    const rate = show(spread(figures.map(({ perSecond }) => perSecond)), "/s", 0);
    const cost = show(spread(figures.map(({ microsecondsEach }) => microsecondsEach)), "µs of CPU each");
    console.log(`memory: publish to handled, ${what} empty handler, ${callers} callers  ${rate}, ${cost}`);
  }
}

async function publishToHandled(handle: () => undefined | Promise<undefined>): Promise<Figures> {
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
        return handle();
      },
    });
  });
  const payload = { text: "x".repeat(245) };
  const started = performance.now();
  const usage = process.cpuUsage();
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < events) await publisher.publish({ topic: "measured", type: "measured", key: `key-${next++ % 64}`, payload });
  };
  await Promise.all(Array.from({ length: callers }, caller));
  await all;
  const { user, system } = process.cpuUsage(usage);
  return { perSecond: (events * 1_000) / (performance.now() - started), microsecondsEach: (user + system) / events };
}
