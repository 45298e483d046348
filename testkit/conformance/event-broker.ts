import { randomUUID } from "node:crypto";
import {
  type EventPublisher,
  type EventSource,
  type EventSubscriber,
  type EventSubscriberDriver,
  type Logger,
  type OptionsSchema,
  openRegistry,
  type Plugin,
  type ProviderContext,
  type Registry,
  type SourceRecord,
  systemClock,
} from "../../core/index.ts";

/** A record as an odd producer might write it: text is sent as UTF-8. */
export interface RawRecord {
  readonly key: string | Uint8Array | null;
  readonly value: string | Uint8Array | null;
  readonly headers?: readonly (readonly [name: string, value: string | Uint8Array | null])[];
}

type ProviderOptions = Readonly<Record<string, unknown>>;

/** A broker under test: what the suites need besides the plugin itself. Topics and groups of all tests have unique names. */
export interface EventBroker {
  /** Options of a provider that reaches it. */
  readonly options: ProviderOptions;
  /** Options of other providers that reach it, each by what is special about it: several addresses, encryption, a client's certificate. */
  readonly ways?: Readonly<Record<string, ProviderOptions>>;
  /** Of a plugin that compresses: providers whose own limit lies above the broker's. */
  readonly raised?: {
    /** Size of a payload that the broker takes compressed only; it compresses well. */
    readonly payloadBytes: number;
    readonly uncompressed: ProviderOptions;
    readonly compressed: Readonly<Record<string, ProviderOptions>>;
  };
  /** Resolves when the topic can be used. */
  createTopic(topic: string, partitions: number): Promise<void>;
  /** Stores records as they are, equal keys in one partition and in order: past the plugin, which would refuse most of them. */
  append(topic: string, records: readonly RawRecord[]): Promise<void>;
  /** The first `count` records of a topic of one partition. Needed only of a plugin without `eventSubscriber`. */
  read?(topic: string, count: number): Promise<readonly SourceRecord[]>;
  close(): Promise<void>;
}

/** How long a test waits for what must happen. */
const patienceMs = 30_000;
/** Time limit of one test. */
export const testTimeoutMs = 90_000;

/** Waits until `condition` holds; fails, naming `what`, when that takes too long. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited ${patienceMs} ms for ${what}`);
    await systemClock.sleep(2);
  }
}

/** Settles like `work`; fails, naming `what`, when that takes too long. */
export async function within<Result>(what: string, work: Promise<Result>): Promise<Result> {
  const timeout = new AbortController();
  const late = systemClock.sleep(patienceMs, timeout.signal).then((): never => {
    throw new Error(`waited ${patienceMs} ms for ${what}`);
  });
  // Also when the work was first: it then rejects after the fact.
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    timeout.abort();
  }
}

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: object;
  readonly message: string;
}

/** What a test holds: a registry over the plugin under test, and what it has logged. */
export interface Service extends AsyncDisposable {
  readonly registry: Registry;
  readonly publisher: EventPublisher;
  readonly subscriber: EventSubscriber;
  readonly lines: readonly LogLine[];
}

/** A membership that the suite holds itself, past the engine. */
export interface BareMember extends AsyncDisposable {
  readonly source: EventSource;
  /** What came, in order. */
  readonly records: readonly SourceRecord[];
  /** Resolves to the error with which the source gave up. */
  readonly failed: Promise<unknown>;
}

/** One broker and one plugin, with the tools of the suites. */
export class EventBench {
  readonly broker: EventBroker;
  readonly #plugin: Plugin;

  constructor(plugin: Plugin, broker: EventBroker) {
    this.#plugin = plugin;
    this.broker = broker;
  }

  /** Opens a service of its own, as an application would. Only the protocols that the plugin has are bound. */
  async open(
    settings: { readonly publisher?: object; readonly subscriber?: object; readonly options?: ProviderOptions } = {},
  ): Promise<Service> {
    const { name, provides } = this.#plugin;
    const lines: LogLine[] = [];
    const registry = await openRegistry({
      config: {
        service: { name: `conformance-${randomUUID()}`, instance: "001" },
        providers: { subject: { plugin: name, options: settings.options ?? this.broker.options } },
        protocols: {
          ...("eventPublisher" in provides && { eventPublisher: { provider: "subject", ...settings.publisher } }),
          ...("eventSubscriber" in provides && { eventSubscriber: { provider: "subject", ...settings.subscriber } }),
        },
      },
      env: {},
      plugins: [this.#plugin],
      logger: recordingLogger(lines),
    });
    return {
      registry,
      lines,
      get publisher() {
        return registry.get("eventPublisher");
      },
      get subscriber() {
        return registry.get("eventSubscriber");
      },
      [Symbol.asyncDispose]: () => registry.close(),
    };
  }

  /** The options of every provider that reaches the broker, by name. */
  get ways(): [name: string, options: ProviderOptions][] {
    return Object.entries({ "as all others": this.broker.options, ...this.broker.ways });
  }

  async topic(partitions = 1): Promise<string> {
    const topic = `conformance-${randomUUID()}`;
    await this.broker.createTopic(topic, partitions);
    return topic;
  }

  /** The first `count` records of a topic of one partition. */
  async read(topic: string, count: number): Promise<readonly SourceRecord[]> {
    if (this.broker.read) return this.broker.read(topic, count);
    const records: SourceRecord[] = [];
    await this.#join(randomUUID(), topic, (record) => records.push(record) >= count);
    return records.slice(0, count);
  }

  /**
   * The values that a topic of one partition would still give to the group, now that no member is left.
   * Ends at a record that it appends itself, so it need not wait to see that nothing comes.
   */
  async pending(group: string, topic: string): Promise<string[]> {
    const marker = randomUUID();
    await this.broker.append(topic, [{ key: "marker", value: marker }]);
    const values: string[] = [];
    await this.#join(group, topic, ({ value }) => values.push(text(value)) > 0 && values.at(-1) === marker);
    // Markers of earlier looks are not the test's.
    return values.slice(0, values.indexOf(marker));
  }

  /** A member of a group by the plugin's bare driver, and what came to it; it acknowledges nothing. */
  async member(group: string, topics: readonly string[], onRecord: (record: SourceRecord) => void = () => {}): Promise<BareMember> {
    const { driver, close } = await this.#openDriver();
    const records: SourceRecord[] = [];
    const failed = gate<unknown>();
    const sink = {
      assigned: () => {},
      records: (_partition: unknown, some: readonly SourceRecord[]) => {
        for (const record of some) {
          records.push(record);
          onRecord(record);
        }
      },
      revoked: async () => {},
      trouble: () => {},
      failed: failed.open,
    };
    try {
      const joining = driver.join({ group, clientId: "conformance.reader", topics, from: "earliest" }, sink);
      const source = await within(`joining ${group}`, joining);
      const leave = async (): Promise<void> => {
        await source.leave();
        await close();
      };
      return { source, records, failed: failed.promise, [Symbol.asyncDispose]: leave };
    } catch (error) {
      await close();
      throw error;
    }
  }

  /** Reads as a member of the group, acknowledging nothing, until `enough`. */
  async #join(group: string, topic: string, enough: (record: SourceRecord) => boolean): Promise<void> {
    const done = gate();
    let isDone = false;
    await using member = await this.member(group, [topic], (record) => {
      if (isDone || !enough(record)) return;
      isDone = true;
      done.open();
    });
    const failing = member.failed.then((error): never => {
      throw error;
    });
    await within(`reading ${topic}`, Promise.race([done.promise, failing]));
  }

  async #openDriver(): Promise<{ driver: EventSubscriberDriver; close: () => Promise<void> }> {
    const plugin = this.#plugin;
    const open = plugin.provides.eventSubscriber as ((client: unknown, context: ProviderContext) => unknown) | undefined;
    if (open === undefined) throw new Error(`plugin ${plugin.name} has no eventSubscriber: its EventBroker must bring \`read\``);
    const closing = new AbortController();
    const context: ProviderContext = {
      provider: "reader",
      plugin: plugin.name,
      service: { name: "conformance", instance: "reader" },
      logger: recordingLogger([]),
      clock: systemClock,
      signal: closing.signal,
      scope: {},
    };
    const client = await plugin.open(withDefaults(plugin.options, this.broker.options), context);
    return {
      driver: (await open(client, context)) as EventSubscriberDriver,
      close: async () => {
        closing.abort();
        await plugin.close?.(client);
      },
    };
  }
}

export function text(bytes: Uint8Array | null | undefined): string {
  return bytes === null || bytes === undefined ? String(bytes) : Buffer.from(bytes).toString("latin1");
}

/** The values of all headers of that name, in wire order. */
export function headerValues(record: SourceRecord, name: string): string[] {
  return record.headers.filter(([each]) => each === name).map(([, value]) => text(value));
}

export function warnings(service: Service): LogLine[] {
  return service.lines.filter(({ level }) => level === "warn");
}

/** A promise to be settled from outside. */
export function gate<Value = void>(): { readonly promise: Promise<Value>; open(value: Value): void } {
  let open!: (value: Value) => void;
  const promise = new Promise<Value>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}

export function recordingLogger(lines: LogLine[]): Logger {
  const at =
    (level: LogLine["level"]) =>
    (fields: object, message: string): void => {
      lines.push({ level, fields, message });
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Plugins get their options with defaults filled in; the bare driver is opened without a registry that would do it. */
function withDefaults(schema: OptionsSchema, options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const defaults = Object.entries(schema.properties).filter(([, property]) => "default" in property);
  return { ...Object.fromEntries(defaults.map(([name, property]) => [name, property.default])), ...options };
}
