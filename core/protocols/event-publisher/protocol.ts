import type { CallOptions } from "../../call.ts";
import { currentCorrelationId, newCorrelationId } from "../../correlation.ts";
import type { ErrorCode, HexkitError } from "../../errors.ts";
import { producerSpan } from "../../telemetry.ts";
import { newUuid, parseUuid } from "../../uuid.ts";
import { defineProtocol, type ProtocolContext } from "../index.ts";
import type { EventPublisherDriver, OutgoingRecord } from "./driver.ts";
import { encodeOrRefuse, isAscii } from "./encode.ts";
import type { EventPublisher, OutgoingEvent } from "./event-publisher.ts";
import { SendQueue } from "./send-queue.ts";
import { type PublisherSettings, publisherSettings } from "./settings.ts";

export const eventPublisherProtocol = defineProtocol({
  name: "eventPublisher",
  id: "hexkit/eventPublisher",
  version: 1,
  summary: "Publishes events to topics.",
  settings: publisherSettings,
  create: (driver, context) => new PortableEventPublisher(driver, context),
});

type Header = readonly [name: string, value: string];

/** An event that has passed every check and needs only its trace headers. */
interface Prepared {
  readonly record: OutgoingRecord;
  readonly eventId: string;
}

class PortableEventPublisher implements EventPublisher {
  readonly #driver: EventPublisherDriver;
  readonly #context: ProtocolContext<PublisherSettings>;
  readonly #queue: SendQueue;
  #closed = false;

  constructor(driver: EventPublisherDriver, context: ProtocolContext<PublisherSettings>) {
    this.#driver = driver;
    this.#context = context;
    this.#queue = new SendQueue({
      driver,
      clock: context.clock,
      logger: context.logger,
      deliveryTimeoutMs: context.settings.deliveryTimeoutMs,
      mapError: (error, operation, subject) => context.mapError(error, operation, subject),
      error: (code, message, cause) => context.error(code, message, cause),
    });
    // Not when closing begins: translators that drain before this phase still publish what their events cause.
    context.onClose("publishers", (signal) => {
      this.#closed = true;
      return this.#queue.flush(signal);
    });
  }

  /** Not an async function: one promise less for every event. */
  publish(event: OutgoingEvent, options: CallOptions = {}): Promise<void> {
    try {
      this.#admit(options);
      return this.#send(this.#prepare(event, "publish"), options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async publishAll(events: readonly OutgoingEvent[], options: CallOptions = {}): Promise<void> {
    this.#admit(options);
    const list: unknown = events;
    if (!Array.isArray(list)) throw this.#context.error("ERR_HEXKIT_INVALID_ARGUMENT", "publishAll: it takes a list of events");
    const prepared = events.map((event, index) => this.#prepare(event, `publishAll, event ${index}`));
    const outcomes = await Promise.allSettled(prepared.map((each) => this.#send(each, options)));
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  #admit({ signal }: CallOptions): void {
    if (this.#closed) throw this.#context.error("ERR_HEXKIT_CLOSED", "publish after the registry closed");
    if (signal?.aborted) throw this.#context.error("ERR_HEXKIT_ABORTED", "publish: aborted by its signal; it was not sent", signal.reason);
  }

  #send({ record, eventId }: Prepared, { signal }: CallOptions): Promise<void> {
    const { topic } = record;
    return producerSpan({ system: this.#context.system, topic, eventId }, (trace) => {
      if (trace.length === 0) return this.#queue.add(record, signal);
      // Headers handed on from a received event may carry its trace; readers take the first of equal names.
      const own = new Set(trace.map(([name]) => name));
      return this.#queue.add({ ...record, headers: [...record.headers.filter(([name]) => !own.has(name)), ...trace] }, signal);
    });
  }

  #prepare(event: OutgoingEvent, operation: string): Prepared {
    const refuse = (code: ErrorCode, fact: string): HexkitError => this.#context.error(code, `${operation}: ${fact}`);
    if (typeof event !== "object" || event === null)
      throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", "an event is { topic, type, key, payload, … }");
    const eventId = event.eventId === undefined ? newUuid() : typeof event.eventId === "string" ? parseUuid(event.eventId) : undefined;
    if (eventId === undefined) throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", `eventId ${JSON.stringify(event.eventId)} is not a UUID`);
    for (const name of ["topic", "type", "key"] as const) {
      const value: unknown = event[name];
      if (typeof value !== "string")
        throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", `${name} must be a string, not ${value === null ? "null" : typeof value}`);
      if (value === "" && name !== "key") throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", `${name} must not be empty`);
      if (!isAscii(value)) throw refuse("ERR_HEXKIT_NOT_ASCII", `${name} ${JSON.stringify(value)} has a character outside ASCII`);
    }
    const { topic, type, key } = event;
    const ours: readonly Header[] = [
      ["type", type],
      ["event_id", eventId],
      ["correlation_id", this.#correlationId(refuse)],
    ];
    const headers = event.headers === undefined ? ours : this.#headers(event.headers, ours, refuse);
    const value = encodeOrRefuse(event.payload, refuse);
    const sizeBytes = key.length + value.length;
    if (sizeBytes > this.#driver.maxRecordBytes) {
      const limit = `${sizeBytes} bytes of key and payload for topic ${JSON.stringify(topic)} exceed the provider's limit of ${this.#driver.maxRecordBytes}`;
      throw refuse(
        "ERR_HEXKIT_MESSAGE_TOO_LARGE",
        `${limit}; raise it on provider and broker, or store the content elsewhere and send its place`,
      );
    }
    return { record: { topic, key, value, headers }, eventId };
  }

  #correlationId(refuse: (code: ErrorCode, fact: string) => HexkitError): string {
    const id = currentCorrelationId();
    if (id !== undefined) return id;
    if (this.#context.settings.generateCorrelationId) return newCorrelationId();
    throw refuse(
      "ERR_HEXKIT_CORRELATION_ID_MISSING",
      "no correlation id is set and generateCorrelationId is off; publish inside withCorrelationId",
    );
  }

  /** The caller's headers first, then ours; one of ours that the caller gave keeps its place and loses its value. */
  #headers(
    given: Readonly<Record<string, string>>,
    ours: readonly Header[],
    refuse: (code: ErrorCode, fact: string) => HexkitError,
  ): readonly Header[] {
    if (Object.prototype.toString.call(given) !== "[object Object]")
      throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", "headers must be an object of strings");
    const headers = new Map<string, string>();
    for (const [name, value] of Object.entries(given)) {
      if (typeof value !== "string")
        throw refuse(
          "ERR_HEXKIT_INVALID_ARGUMENT",
          `header ${JSON.stringify(name)} must be a string, not ${value === null ? "null" : typeof value}`,
        );
      if (!isAscii(name) || !isAscii(value))
        throw refuse("ERR_HEXKIT_NOT_ASCII", `header ${JSON.stringify(name)}: ${JSON.stringify(value)} has a character outside ASCII`);
      headers.set(name, value);
    }
    for (const [name, value] of ours) {
      const old = headers.get(name);
      if (old !== undefined)
        this.#context.logger.warn({ header: name, old, new: value }, "a reserved header of a published event was replaced");
      headers.set(name, value);
    }
    return [...headers];
  }
}
