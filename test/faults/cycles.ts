import { randomUUID } from "node:crypto";
import { openService, type Service } from "./service.ts";

export interface Measure {
  readonly heapBytes: number;
  /** What keeps the process busy or open, by kind. */
  readonly resources: readonly string[];
}

export interface CyclesResult {
  readonly before: Measure;
  readonly after: Measure;
  readonly cyclesMs: number;
}

/** Opens, works with and closes a service again and again, and measures before and after. Needs `--expose-gc`. */
export async function cycles(order: {
  readonly service: Service;
  readonly warmUp: number;
  readonly cycles: number;
}): Promise<CyclesResult> {
  const topic = `cycles-${randomUUID()}`;
  for (let index = 0; index < order.warmUp; index += 1) await cycle(order.service, topic, index);
  const before = await measure();
  const begin = performance.now();
  for (let index = 0; index < order.cycles; index += 1) await cycle(order.service, topic, order.warmUp + index);
  const cyclesMs = performance.now() - begin;
  return { before, after: await measure(), cyclesMs };
}

async function cycle(service: Service, topic: string, index: number): Promise<void> {
  const registry = await openService(service);
  const handled = new Promise<void>((resolve) => {
    registry.get("eventSubscriber").subscribe({
      topics: [topic],
      types: ["thing"],
      consume: ({ payload }) => {
        if ((payload as { index: number }).index === index) resolve();
      },
    });
  });
  await registry.get("eventPublisher").publish({ topic, type: "thing", key: "k", payload: { index } });
  await handled;
  await registry.health();
  await registry.close();
}

async function measure(): Promise<Measure> {
  // Sockets say that they are closed a turn or two later.
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  let heapBytes = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 5; turn += 1) {
    (globalThis as { gc?: () => void }).gc?.();
    await new Promise((resolve) => setImmediate(resolve));
    heapBytes = Math.min(heapBytes, process.memoryUsage().heapUsed);
  }
  return { heapBytes, resources: process.getActiveResourcesInfo().sort() };
}
