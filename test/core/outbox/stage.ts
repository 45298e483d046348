import { randomUUID } from "node:crypto";
import {
  type Clock,
  type DaoDriver,
  definePlugin,
  type EventPublisherDriver,
  type Logger,
  type Outbox,
  type OutgoingRecord,
  openRegistry,
  type Plugin,
  type Registry,
  type SendOutcome,
  type StoredDocument,
} from "../../../core/index.ts";
import { clearMemorySpace, plugin as memory } from "../../../plugins/memory/index.ts";
import { ManualClock } from "./clock.ts";

export interface Thing {
  id: string;
  n: number;
}

const schema = {
  type: "object",
  required: ["id", "n"],
  properties: { id: { type: "string" }, n: { type: "integer" } },
} as const;

/** What a test may put between the relay and the memory plugin. */
export interface Between {
  dao?: (driver: DaoDriver) => Partial<DaoDriver>;
  send?: (
    records: readonly OutgoingRecord[],
    pass: (some: readonly OutgoingRecord[]) => Promise<readonly SendOutcome[]>,
  ) => Promise<readonly SendOutcome[]>;
}

export interface Instance {
  readonly registry: Registry;
  readonly sent: OutgoingRecord[];
  readonly lines: { readonly level: string; readonly message: string }[];
  open(more?: object): Promise<Outbox<Thing>>;
}

/** A space of its own, with any number of services in it. Their time is the test's. */
export class Stage implements AsyncDisposable {
  readonly space = randomUUID();
  readonly clock = new ManualClock();
  /** What reached the broker, of all instances, in order. */
  readonly topic: OutgoingRecord[] = [];
  readonly #registries: Registry[] = [];

  async instance(
    between: Between = {},
    settings: object = {},
    clock: Clock = this.clock,
    persistentPublisher: object = {},
  ): Promise<Instance> {
    const sent: OutgoingRecord[] = [];
    const lines: Instance["lines"] = [];
    const at = (level: string) => (_fields: object, message: string) => void lines.push({ level, message });
    const logger: Logger = { debug() {}, info: at("info"), warn: at("warn"), error: at("error") };
    const registry = await openRegistry({
      config: {
        service: { name: "shop" },
        providers: { m: { plugin: "memory", options: { space: this.space } } },
        protocols: {
          dao: "m",
          eventPublisher: "m",
          outbox: { relayIntervalMs: 1_000, leaseMs: 10_000, publishWaitMs: 0, ...settings },
          persistentPublisher: { relayIntervalMs: 1_000, leaseMs: 10_000, publishWaitMs: 0, ...persistentPublisher },
        },
      },
      env: {},
      plugins: [this.#plugin(between, sent)],
      logger,
      clock,
    });
    this.#registries.push(registry);
    return {
      registry,
      sent,
      lines,
      open: async (more = {}) =>
        (await registry.get("outbox").open({
          name: "things",
          schema,
          idField: "id",
          topic: "things",
          toEvent: (thing: Thing) => ({ ...thing }),
          ...more,
        } as never)) as never,
    };
  }

  /** The stored documents, past every driver. */
  async stored(registry: Registry): Promise<readonly StoredDocument[]> {
    const documents: StoredDocument[] = [];
    const raw = await registry
      .get("dao")
      .open({ name: "things", schema: { type: "object", required: ["id"], properties: { id: { type: "string" } } }, idField: "id" });
    for await (const document of raw.find()) documents.push(document as never);
    return documents;
  }

  #plugin(between: Between, sent: OutgoingRecord[]): Plugin {
    const { dao, eventPublisher } = memory.provides as Record<string, (client: never, context: never) => unknown>;
    const provides = {
      ...memory.provides,
      dao: (client: never, context: never) => {
        const driver = dao?.(client, context) as DaoDriver;
        return through(driver, between.dao?.(driver) ?? {});
      },
      eventPublisher: (client: never, context: never) => {
        const driver = eventPublisher?.(client, context) as EventPublisherDriver;
        const pass = async (lane: string, some: readonly OutgoingRecord[]): Promise<readonly SendOutcome[]> => {
          const outcomes = await driver.send(lane, some, {});
          sent.push(...some);
          this.topic.push(...some);
          return outcomes;
        };
        return through(driver, {
          send: (lane, records) => (between.send === undefined ? pass(lane, records) : between.send(records, (some) => pass(lane, some))),
        });
      },
    };
    return definePlugin({ ...memory, provides } as never);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#registries.map((registry) => registry.close({ timeoutMs: 2_000 }).catch(() => undefined)));
    clearMemorySpace(this.space);
  }
}

function through<Target extends object>(target: Target, replaced: Partial<Target>): Target {
  return new Proxy(target, {
    get: (_, name) => {
      if (Object.hasOwn(replaced, name)) return Reflect.get(replaced, name);
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

export const header = (record: OutgoingRecord | undefined, name: string): string | undefined =>
  record?.headers.find(([each]) => each === name)?.[1];
export const stateOf = (record: OutgoingRecord | undefined): Thing => JSON.parse(record?.value ?? "{}");
