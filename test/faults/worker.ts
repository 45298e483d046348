// A process of a scenario: a publisher, a consumer, or one that opens and closes. Its order comes as JSON in the first argument; it answers by IPC.
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { isHexkitError, type Logger, type Registry, type Subscription } from "hexkit";
import { cycles } from "./cycles.ts";
import { Journal } from "./journal.ts";
import { openService, type Service } from "./service.ts";

export interface ConsumerOrder {
  readonly role: "consumer";
  readonly topics: readonly string[];
  /** Milliseconds that a handler waits: between half of it and one and a half; for every fifth key between two and four times as long. */
  readonly handlerMs: number;
}

export interface PublisherOrder {
  readonly role: "publisher";
  readonly topic: string;
  /** Publishers at once, each with a key of its own. */
  readonly publishers: number;
  /** Events of each; without a number it goes on until told to finish. */
  readonly eventsEach?: number;
  /** Between two events of one publisher. */
  readonly pauseMs: number;
  /** Each waits for its event's acknowledgement before the next; otherwise it keeps its pace whatever happens. */
  readonly patient: boolean;
}

export interface CyclesOrder {
  readonly role: "cycles";
  readonly warmUp: number;
  readonly cycles: number;
}

export type Task = (ConsumerOrder | PublisherOrder | CyclesOrder) & { readonly service: Service };
export type Order = Task & { readonly journal: string };
/** What is said to a worker. */
export type Request = "stats" | "finish";
/** What a worker says. */
export type Message =
  | { readonly kind: "ready" }
  | { readonly kind: "stats"; readonly state: string; readonly stats: ReturnType<Subscription["stats"]> }
  | { readonly kind: "log"; readonly level: string; readonly message: string }
  | { readonly kind: "result"; readonly result: unknown }
  | { readonly kind: "finished" };

const order = JSON.parse(process.argv[2] as string) as Order;
const journal = new Journal(order.journal);
const say = (message: Message): void => void process.send?.(message);
const logAt = (level: string) => (_fields: object, message: string) => {
  if (process.connected) say({ kind: "log", level, message });
};
const logger: Logger = { debug() {}, info: logAt("info"), warn: logAt("warn"), error: logAt("error") };

// Whoever started it is gone.
const orphaned = (): void => process.exit(3);
process.on("disconnect", orphaned);
const farewell = (): void => {
  process.removeListener("disconnect", orphaned);
  process.disconnect();
};

if (order.role === "cycles") {
  say({ kind: "result", result: await cycles(order) });
  farewell();
} else {
  const registry = await openService(order.service, logger);
  if (order.role === "consumer") await consume(registry, order);
  else await publish(registry, order);
}

async function consume(registry: Registry, { topics, handlerMs }: ConsumerOrder): Promise<void> {
  const subscription = registry.get("eventSubscriber").subscribe({
    topics,
    types: ["thing"],
    consume: async ({ eventId, key, payload }, { attempt }) => {
      const end = journal.begin(eventId, key, (payload as { n: number }).n, attempt);
      // Uneven, so that a partition's events do not end in the order of their offsets.
      if (handlerMs > 0) await delay(handlerMs * (/[05]$/.test(key) ? 2 + 2 * Math.random() : 0.5 + Math.random()));
      end();
    },
  });
  process.on("message", () => say({ kind: "stats", state: subscription.state, stats: subscription.stats() }));
  say({ kind: "ready" });
  await registry.serve();
  say({ kind: "stats", state: subscription.state, stats: subscription.stats() });
  farewell();
}

async function publish(registry: Registry, { topic, publishers, eventsEach, pauseMs, patient }: PublisherOrder): Promise<void> {
  const finishing = new AbortController();
  process.on("message", () => finishing.abort());
  const send = async (key: string, n: number): Promise<void> => {
    const eventId = randomUUID();
    journal.sent(eventId, key, n);
    try {
      await registry.get("eventPublisher").publish({ topic, type: "thing", key, payload: { n }, eventId });
      journal.acknowledged(eventId);
    } catch (error) {
      journal.refused(eventId, isHexkitError(error) ? error.code : String(error));
    }
  };
  const publisher = async (key: string): Promise<void> => {
    const pending: Promise<void>[] = [];
    for (let n = 1; n <= (eventsEach ?? Number.POSITIVE_INFINITY) && !finishing.signal.aborted; n += 1) {
      const sending = send(key, n);
      if (patient) await sending;
      else pending.push(sending);
      await delay(pauseMs, undefined, { signal: finishing.signal }).catch(() => {});
    }
    await Promise.all(pending);
  };
  say({ kind: "ready" });
  await Promise.all(Array.from({ length: publishers }, (_, index) => publisher(`key-${index}`)));
  await registry.close();
  say({ kind: "finished" });
  farewell();
}
