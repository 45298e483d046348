import { randomUUID } from "node:crypto";
import type { Clock, OpenOptions, Plugin, ReceivedEvent, Registry, SubscriberSettings } from "hexkit";
import { openRegistry } from "hexkit";
import { plugin as memory } from "hexkit/plugins/memory";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
}

/** Time that passes in turns of the event loop: pauses are over at once, and are written down. */
export class HurriedClock implements Clock {
  readonly pauses: number[] = [];

  now(): number {
    return Date.now();
  }

  sleep(ms: number): Promise<void> {
    this.pauses.push(ms);
    return new Promise((resolve) => setImmediate(resolve));
  }
}

export interface ServiceOptions extends Omit<OpenOptions, "config" | "env" | "plugins"> {
  readonly plugin?: Plugin;
  readonly space?: string;
  readonly partitions?: number;
  readonly name?: string;
  readonly instance?: string;
  readonly subscriber?: Partial<SubscriberSettings>;
  readonly connectTimeoutMs?: number;
  readonly lines?: LogLine[];
}

/** A service with a publisher and a subscriber in memory. Settled events are acknowledged at once. */
export function openService({
  plugin = memory,
  space = randomUUID(),
  partitions = 3,
  name = "shop",
  instance = "1",
  subscriber = {},
  connectTimeoutMs = 10_000,
  lines = [],
  ...options
}: ServiceOptions = {}): Promise<Registry> {
  const note =
    (level: LogLine["level"]) =>
    (_details: object, message: string): void =>
      void lines.push({ level, message });
  return openRegistry({
    config: {
      service: { name, instance },
      providers: { broker: { plugin: "memory", options: { space, partitions } } },
      protocols: { eventPublisher: "broker", eventSubscriber: { provider: "broker", commitEvery: 1, retryDelayMs: 1, ...subscriber } },
      lifecycle: { connectTimeoutMs },
    },
    env: {},
    plugins: [plugin],
    logger: { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") },
    ...options,
  });
}

export function publish(registry: Registry, key: string, n: number, topic = "orders"): Promise<void> {
  return registry.get("eventPublisher").publish({ topic, type: "order", key, payload: { n } });
}

/** `a1` for the first event of key a. */
export function label({ key, payload }: Pick<ReceivedEvent, "key" | "payload">): string {
  return `${key}${(payload as { n: number }).n}`;
}

/** Subscribes to the topic `orders`; `seen` grows with every event that a handler begins with. */
export function consume(registry: Registry, settings: Partial<SubscriberSettings> = {}, handler: (name: string) => unknown = () => {}) {
  const seen: string[] = [];
  const subscription = registry.get("eventSubscriber").subscribe(
    {
      topics: ["orders"],
      types: ["order"],
      consume: async (event) => {
        seen.push(label(event));
        await handler(label(event));
      },
    },
    settings,
  );
  return { seen, subscription };
}

const patienceMs = 20_000;

/** Resolves in the turn of the event loop in which the condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited ${patienceMs} ms until ${condition}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Lets everything that is under way in memory happen. */
export async function turns(count = 30): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** By partition of a topic of three: a key that lies in it. */
export const partitionKeys: readonly [string, string, string] = ["g", "a", "c"];
