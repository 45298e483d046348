import { randomUUID } from "node:crypto";
import {
  type DaoFactory,
  definePlugin,
  type EventPublisherDriver,
  HexkitError,
  type OutboxFactory,
  type OutgoingRecord,
  openRegistry,
  type PersistentPublisher,
  type Plugin,
  type ProviderContext,
  type Registry,
  type SendOutcome,
  type SourceRecord,
} from "../../core/index.ts";
import { chaos } from "../chaos/chaos.ts";
import type { ChaosPlan } from "../chaos/plan.ts";
import type { DaoDatabase } from "./dao-bench.ts";
import { EventBench, type EventBroker, headerValues, type LogLine, recordingLogger, text } from "./event-broker.ts";

export const uuid4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
export const refused = (): HexkitError => new HexkitError("ERR_HEXKIT_PERMISSION_DENIED", "refused by the test");
export const away = (): HexkitError => new HexkitError("ERR_HEXKIT_UNAVAILABLE", "away by the test");

/** A database and a broker, under what is composed of both. */
export interface RelayedSubject {
  readonly name: string;
  /** Why it cannot run here, or false; the reason is printed with the skipped suite. */
  readonly skip?: string | false;
  readonly plugins: { readonly dao: Plugin; readonly events: Plugin };
  open(): Promise<{ readonly database: DaoDatabase; readonly broker: EventBroker }>;
}

/** Decides which records the broker refuses, and with what. */
export interface Refusals {
  of?: ((record: OutgoingRecord) => unknown) | undefined;
}

export interface RelayedService extends AsyncDisposable {
  /** What goes wrong with the database, on plan. */
  readonly plan: ChaosPlan;
  readonly registry: Registry;
  readonly outbox: OutboxFactory;
  readonly publisher: PersistentPublisher;
  readonly dao: DaoFactory;
  readonly refusals: Refusals;
  readonly lines: readonly LogLine[];
}

/** An event as it lies in its topic. */
export interface Published {
  readonly type: string;
  readonly key: string;
  readonly payload: Record<string, unknown>;
  readonly eventId: string;
  readonly correlationId: string;
  readonly record: SourceRecord;
}

export class RelayBench {
  readonly database: DaoDatabase;
  readonly #events: EventBench;
  readonly #plugins: RelayedSubject["plugins"];

  constructor(plugins: RelayedSubject["plugins"], database: DaoDatabase, broker: EventBroker) {
    this.database = database;
    this.#events = new EventBench(plugins.events, broker);
    this.#plugins = plugins;
  }

  /** A service of its own over the database and the broker. */
  async open(
    settings: { outbox?: object; persistentPublisher?: object; eventPublisher?: object; name?: string } = {},
  ): Promise<RelayedService> {
    const refusals: Refusals = {};
    const lines: LogLine[] = [];
    const { plugin: dao, plan } = chaos(this.#plugins.dao);
    const isOne = this.#plugins.dao.name === this.#plugins.events.name;
    const events = refusing(isOne ? dao : this.#plugins.events, refusals);
    const relay = { relayIntervalMs: 50, leaseMs: 1_000 };
    const registry = await openRegistry({
      config: {
        service: { name: settings.name ?? `conformance-${randomUUID()}`, instance: randomUUID() },
        providers: {
          db: { plugin: dao.name, options: this.database.options },
          broker: { plugin: events.name, options: this.#events.broker.options },
        },
        protocols: {
          dao: "db",
          eventPublisher: { provider: "broker", ...settings.eventPublisher },
          eventSubscriber: "broker",
          outbox: { ...relay, ...settings.outbox },
          persistentPublisher: { ...relay, ...settings.persistentPublisher },
        },
      },
      env: {},
      plugins: isOne ? [events] : [dao, events],
      logger: recordingLogger(lines),
    });
    return {
      registry,
      plan,
      outbox: registry.get("outbox"),
      publisher: registry.get("persistentPublisher"),
      dao: registry.get("dao"),
      refusals,
      lines,
      [Symbol.asyncDispose]: () => registry.close(),
    };
  }

  topic(): Promise<string> {
    return this.#events.topic();
  }

  name(): string {
    return `c-${randomUUID()}`;
  }

  /** The first `count` events of a topic. */
  async read(topic: string, count: number): Promise<readonly Published[]> {
    const records = await this.#events.read(topic, count);
    return records.map((record) => ({
      type: headerValues(record, "type")[0] ?? "",
      key: text(record.key),
      payload: JSON.parse(text(record.value)),
      eventId: headerValues(record, "event_id")[0] ?? "",
      correlationId: headerValues(record, "correlation_id")[0] ?? "",
      record,
    }));
  }
}

/** The plugin with a broker that refuses what the test wants it to. */
function refusing(plugin: Plugin, refusals: Refusals): Plugin {
  const create = plugin.provides.eventPublisher as (
    client: unknown,
    context: ProviderContext,
  ) => EventPublisherDriver | Promise<EventPublisherDriver>;
  const eventPublisher = async (client: unknown, context: ProviderContext): Promise<EventPublisherDriver> => {
    const driver = await create(client, context);
    return {
      get maxRecordBytes() {
        return driver.maxRecordBytes;
      },
      prepare: (topic, options) => driver.prepare(topic, options),
      lane: (record) => driver.lane(record),
      send: async (lane, records, options) => {
        const errors = records.map((record) => refusals.of?.(record));
        const accepted = records.filter((_, index) => errors[index] === undefined);
        const outcomes = accepted.length === 0 ? [] : [...(await driver.send(lane, accepted, options))];
        return errors.map((error): SendOutcome => (error === undefined ? (outcomes.shift() ?? {}) : { error }));
      },
    };
  };
  return definePlugin({ ...plugin, provides: { ...plugin.provides, eventPublisher } } as never);
}
