import { randomUUID } from "node:crypto";
import {
  type CallOptions,
  type Clock,
  definePlugin,
  type ErrorCode,
  type EventPublisher,
  type EventPublisherDriver,
  type EventSink,
  type EventSource,
  type EventSubscriber,
  type EventSubscriberDriver,
  type JoinRequest,
  type Logger,
  newCorrelationId,
  type OutgoingRecord,
  openRegistry,
  type Registry,
  type SendOutcome,
  type SourceRecord,
  type TopicPartition,
} from "../../../core/index.ts";
import { type Deferred, deferred } from "../../../core/promise.ts";

/** A few turns of the event loop: whatever could happen without time going by has happened. */
export async function turns(count = 10): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits, turn by turn, until `condition` holds; fails, naming `what`, when that takes too long. */
export async function until(what: string, condition: () => boolean, patienceMs = 10_000): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${patienceMs} ms for ${what}`);
    await turns(1);
  }
}

/** A clock on which sleeping takes no time but moves it. */
export class SkippingClock implements Clock {
  readonly sleeps: number[] = [];
  #now = 1_000_000;

  now(): number {
    return this.#now;
  }

  advance(ms: number): void {
    this.#now += ms;
  }

  async sleep(ms: number): Promise<void> {
    this.sleeps.push(ms);
    await turns(1);
    this.#now += ms;
  }
}

/** An error of the fake client; the fake plugin classifies it by its code. */
export class ClientError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
export const busy = (): ClientError => new ClientError("ERR_HEXKIT_UNAVAILABLE", "no leader");
export const denied = (): ClientError => new ClientError("ERR_HEXKIT_PERMISSION_DENIED", "not you");
export const tooLarge = (): ClientError => new ClientError("ERR_HEXKIT_MESSAGE_TOO_LARGE", "too many bytes");

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: { readonly name: string; readonly correlation_id: string | null; readonly details: Record<string, unknown> };
  readonly message: string;
}

export interface Service<Api> extends AsyncDisposable {
  readonly registry: Registry;
  readonly api: Api;
  readonly lines: readonly LogLine[];
}

interface Surroundings {
  readonly clock?: Clock;
  readonly settings?: object;
  readonly env?: Record<string, string>;
  /** The same plugin's driver of the other protocol. */
  readonly publisher?: EventPublisherDriver;
  /** A secret of the provider. */
  readonly secret?: string;
}

async function openService(
  protocol: "eventPublisher" | "eventSubscriber",
  driver: EventPublisherDriver | EventSubscriberDriver,
  { clock, settings, env, publisher, secret }: Surroundings,
) {
  const lines: LogLine[] = [];
  const at = (level: LogLine["level"]) => (fields: object, message: string) =>
    void lines.push({ level, fields: fields as LogLine["fields"], message });
  const logger: Logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  const plugin = definePlugin({
    name: "fake",
    apiVersion: 1,
    summary: "Does as the test says.",
    options: {
      type: "object",
      additionalProperties: false,
      properties: { password: { type: "string", writeOnly: true, description: "Of the broker." } },
    },
    open: () => ({}),
    classify: (error) => (error instanceof ClientError ? error.code : undefined),
    provides: { ...(publisher && { eventPublisher: () => publisher }), [protocol]: () => driver },
  });
  const registry = await openRegistry({
    config: {
      service: { name: "shop", instance: "7" },
      providers: { broker: { plugin: "fake", options: { ...(secret !== undefined && { password: secret }) } } },
      protocols: { [protocol]: { provider: "broker", ...settings } },
    },
    env: env ?? {},
    plugins: [plugin],
    logger,
    ...(clock && { clock }),
  });
  return { registry, lines, [Symbol.asyncDispose]: () => registry.close() };
}

/** One call of the fake driver's `send`, answered by the test. */
export class Send {
  readonly lane: string;
  readonly records: readonly OutgoingRecord[];
  readonly options: CallOptions;
  readonly #answer: Deferred<readonly SendOutcome[]>;

  constructor(lane: string, records: readonly OutgoingRecord[], options: CallOptions, answer: Deferred<readonly SendOutcome[]>) {
    this.lane = lane;
    this.records = records;
    this.options = options;
    this.#answer = answer;
  }

  get values(): unknown[] {
    return this.records.map(({ value }) => JSON.parse(value).n);
  }

  /** Answers with one outcome per record: an error where there is one. */
  answer(...errors: readonly unknown[]): void {
    this.#answer.resolve(this.records.map((_, index) => (errors[index] === undefined ? {} : { error: errors[index] })));
  }

  answerWith(outcomes: readonly SendOutcome[]): void {
    this.#answer.resolve(outcomes);
  }

  fail(error: unknown): void {
    this.#answer.reject(error);
  }
}

/** A broker's side that does nothing by itself, unless `onSend` answers. */
export class FakePublisherDriver implements EventPublisherDriver {
  maxRecordBytes = 100_000;
  readonly sends: Send[] = [];
  readonly prepared: string[] = [];
  onSend: ((send: Send) => void) | undefined;
  onPrepare: ((topic: string) => Promise<void> | void) | undefined;
  onLane: (record: OutgoingRecord) => string = ({ topic }) => topic;
  #taken = 0;

  async prepare(topic: string): Promise<void> {
    this.prepared.push(topic);
    await this.onPrepare?.(topic);
  }

  lane(record: OutgoingRecord): string {
    return this.onLane(record);
  }

  send(lane: string, records: readonly OutgoingRecord[], options: CallOptions): Promise<readonly SendOutcome[]> {
    const answer = deferred<readonly SendOutcome[]>();
    const send = new Send(lane, records, options, answer);
    this.sends.push(send);
    this.onSend?.(send);
    return answer.promise;
  }

  /** The next call of `send` that no test has looked at. */
  async next(): Promise<Send> {
    await until("a send", () => this.sends.length > this.#taken);
    this.#taken += 1;
    return this.sends[this.#taken - 1] as Send;
  }

  /** Answers everything at once with success. */
  static obliging(): FakePublisherDriver {
    const driver = new FakePublisherDriver();
    driver.onSend = (send) => send.answer();
    return driver;
  }
}

export function openPublisher(driver: EventPublisherDriver, surroundings: Surroundings = {}): Promise<Service<EventPublisher>> {
  return openService("eventPublisher", driver, surroundings).then((service) => ({
    ...service,
    api: service.registry.get("eventPublisher"),
  }));
}

/** The fake broker's side of one membership: the test calls `sink`, and sees what the engine asked for. */
export class Membership implements EventSource {
  readonly request: JoinRequest;
  readonly sink: EventSink;
  readonly calls: string[] = [];
  /** Offsets per acknowledgement, as `topic/partition@offset`. */
  readonly acknowledgements: string[][] = [];
  onAcknowledge: (() => Promise<void> | void) | undefined;
  onLeave: (() => Promise<void> | void) | undefined;
  lagging: number | undefined;

  constructor(request: JoinRequest, sink: EventSink) {
    this.request = request;
    this.sink = sink;
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.calls.push(`pause ${partitions.map(name).join(" ")}`);
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.calls.push(`resume ${partitions.map(name).join(" ")}`);
  }

  async acknowledge(records: readonly SourceRecord[]): Promise<void> {
    this.acknowledgements.push(records.map((record) => `${name(record)}@${record.offset}`));
    this.calls.push("acknowledge");
    await this.onAcknowledge?.();
  }

  lag(): number | undefined {
    return this.lagging;
  }

  async leave(): Promise<void> {
    this.calls.push("leave");
    await this.onLeave?.();
  }

  get acknowledged(): string[] {
    return this.acknowledgements.flat();
  }

  count(call: string): number {
    return this.calls.filter((each) => each === call).length;
  }
}

export class FakeSubscriberDriver implements EventSubscriberDriver {
  readonly members: Membership[] = [];
  /** Holds or fails joining. */
  onJoin: ((member: Membership) => Promise<void> | void) | undefined;

  async join(request: JoinRequest, sink: EventSink): Promise<EventSource> {
    const member = new Membership(request, sink);
    this.members.push(member);
    await this.onJoin?.(member);
    return member;
  }

  /** The latest membership, once there is one more than `before`. */
  async member(before = 0): Promise<Membership> {
    await until("a join", () => this.members.length > before);
    await turns();
    return this.members.at(-1) as Membership;
  }
}

export function openSubscriber(driver: EventSubscriberDriver, surroundings: Surroundings = {}): Promise<Service<EventSubscriber>> {
  return openService("eventSubscriber", driver, surroundings).then((service) => ({
    ...service,
    api: service.registry.get("eventSubscriber"),
  }));
}

export const at = (topic: string, partition = 0): TopicPartition => ({ topic, partition });
const name = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

export interface RawParts {
  readonly key?: string | Uint8Array | null;
  readonly value?: string | Uint8Array | null;
  readonly partition?: number;
  readonly topic?: string;
  /** Added to, or with `undefined` taken from, the headers of a good record. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly rawHeaders?: SourceRecord["headers"];
}

const bytes = (content: string | Uint8Array | null): Uint8Array | null => (typeof content === "string" ? Buffer.from(content) : content);

/** A record of the wire format with the payload `{ n: offset }`, unless the test wants it odd. */
export function record(offset: number, parts: RawParts = {}): SourceRecord {
  const headers = { type: "made", event_id: randomUUID(), correlation_id: newCorrelationId(), ...parts.headers };
  return {
    topic: parts.topic ?? "orders",
    partition: parts.partition ?? 0,
    offset,
    key: bytes(parts.key === undefined ? "k" : parts.key),
    value: bytes(parts.value === undefined ? JSON.stringify({ n: offset }) : parts.value),
    headers:
      parts.rawHeaders ??
      Object.entries(headers).flatMap(([header, value]) => (value === undefined ? [] : [[header, Buffer.from(value)] as const])),
    timestampMs: 1_700_000_000_000 + offset,
  };
}
