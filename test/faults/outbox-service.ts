import {
  type DaoDriver,
  definePlugin,
  type EventPublisherDriver,
  type Logger,
  type Outbox,
  openRegistry,
  type Plugin,
  type Registry,
} from "hexkit";
import { plugin as kafka } from "../../plugins/kafka/index.ts";
import { plugin as mongodb } from "../../plugins/mongodb/index.ts";

/** Where in the way of a change a process may end. */
export type Point = "before the write" | "after the write" | "after the publish" | "after the flag";
export const points: readonly Point[] = ["before the write", "after the write", "after the publish", "after the flag"];

export interface OutboxService {
  readonly name: string;
  readonly instance: string;
  readonly dsn: string;
  readonly database: string;
  readonly brokers: readonly string[];
  readonly collection: string;
  readonly topic: string;
  readonly leaseMs: number;
  readonly publishWaitMs?: number;
}

export interface Thing {
  id: string;
  n: number;
  at: number;
}

export const thingSchema = {
  type: "object",
  additionalProperties: false,
  required: ["id", "n", "at"],
  properties: { id: { type: "string" }, n: { type: "integer" }, at: { type: "number" } },
} as const;

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Opens a service with an outbox; `pass` is called at every point. */
export async function openOutboxService(
  service: OutboxService,
  pass: (point: Point) => void = () => {},
  logger = silent,
): Promise<Registry> {
  const { name, instance, dsn, database, brokers, leaseMs, publishWaitMs } = service;
  return openRegistry({
    config: {
      service: { name, instance },
      lifecycle: { connectTimeoutMs: 30_000 },
      providers: {
        db: { plugin: "mongodb", options: { dsn, database, connectTimeoutMs: 30_000 } },
        events: { plugin: "kafka", options: { brokers: [...brokers] } },
      },
      protocols: {
        dao: "db",
        eventPublisher: "events",
        eventSubscriber: "events",
        outbox: { leaseMs, relayIntervalMs: 100, ...(publishWaitMs !== undefined && { publishWaitMs }) },
      },
    },
    env: {},
    logger,
    plugins: [
      passing(mongodb, "dao", (driver: DaoDriver) => daoThrough(driver, pass)),
      passing(kafka, "eventPublisher", (driver: EventPublisherDriver) => publisherThrough(driver, pass)),
    ],
  });
}

export function openThings(registry: Registry, { collection, topic }: OutboxService): Promise<Outbox<Thing>> {
  return registry.get("outbox").open({ name: collection, schema: thingSchema, idField: "id", topic, toEvent: (thing) => ({ ...thing }) });
}

function passing<Driver>(plugin: Plugin, protocol: string, wrap: (driver: Driver) => Driver): Plugin {
  const create = plugin.provides[protocol] as (client: unknown, context: unknown) => Driver | Promise<Driver>;
  const provides = { ...plugin.provides, [protocol]: async (client: unknown, context: unknown) => wrap(await create(client, context)) };
  return definePlugin({ ...plugin, provides } as never);
}

function daoThrough(driver: DaoDriver, pass: (point: Point) => void): DaoDriver {
  return through(driver, {
    upsert: async (...call) => {
      pass("before the write");
      await driver.upsert(...call);
      pass("after the write");
    },
    patchMany: async (...call) => {
      const count = await driver.patchMany(...call);
      pass("after the flag");
      return count;
    },
  });
}

function publisherThrough(driver: EventPublisherDriver, pass: (point: Point) => void): EventPublisherDriver {
  return through(driver, {
    send: async (...call) => {
      const outcomes = await driver.send(...call);
      pass("after the publish");
      return outcomes;
    },
  });
}

/** The object with some methods replaced; the others are its own. */
function through<Target extends object>(target: Target, replaced: Partial<Target>): Target {
  return new Proxy(target, {
    get: (_, name) => {
      if (Object.hasOwn(replaced, name)) return Reflect.get(replaced, name);
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
