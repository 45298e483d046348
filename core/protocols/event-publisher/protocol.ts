import type { CallOptions } from "../../call.ts";
import { producerSpan } from "../../telemetry.ts";
import { defineProtocol, type ProtocolContext } from "../index.ts";
import type { EventPublisherDriver } from "./driver.ts";
import type { EventPublisher, OutgoingEvent } from "./event-publisher.ts";
import { type EventSurroundings, type PreparedEvent, prepareEvent } from "./prepare.ts";
import { SendQueue } from "./send-queue.ts";
import { type PublisherSettings, publisherSettings } from "./settings.ts";

export const eventPublisherProtocol = defineProtocol({
  name: "eventPublisher",
  id: "hexkit/eventPublisher",
  version: 1,
  summary: "Publishes events to topics.",
  settings: publisherSettings,
  methods: { prepare: true, lane: true, send: true },
  create: createEventPublisher,
});

/** A publisher over a driver; protocols that are composed of one make their own. */
export function createEventPublisher(driver: EventPublisherDriver, context: ProtocolContext<PublisherSettings>): EventPublisher {
  return new PortableEventPublisher(driver, context);
}

class PortableEventPublisher implements EventPublisher {
  readonly #surroundings: EventSurroundings;
  readonly #context: ProtocolContext<PublisherSettings>;
  readonly #queue: SendQueue;
  #closed = false;

  constructor(driver: EventPublisherDriver, context: ProtocolContext<PublisherSettings>) {
    this.#surroundings = { driver, context };
    this.#context = context;
    this.#queue = new SendQueue({
      driver,
      clock: context.clock,
      logger: context.logger,
      deliveryTimeoutMs: context.settings.deliveryTimeoutMs,
      mapError: (error, operation, subject) => context.mapError(error, operation, subject),
      error: (code, message, cause) => context.error(code, message, cause),
    });
    context.onSettle(() => {
      const { size, added } = this.#queue;
      return { open: size === 0 ? [] : [`${size} ${size === 1 ? "event is" : "events are"} being published`], mark: String(added) };
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
      return this.#send(prepareEvent(event, "publish", this.#surroundings), options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async publishAll(events: readonly OutgoingEvent[], options: CallOptions = {}): Promise<void> {
    this.#admit(options);
    const list: unknown = events;
    if (!Array.isArray(list)) throw this.#context.error("ERR_HEXKIT_INVALID_ARGUMENT", "publishAll: it takes a list of events");
    const prepared = events.map((event, index) => prepareEvent(event, `publishAll, event ${index}`, this.#surroundings));
    const outcomes = await Promise.allSettled(prepared.map((each) => this.#send(each, options)));
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  #admit({ signal }: CallOptions): void {
    if (this.#closed) throw this.#context.error("ERR_HEXKIT_CLOSED", "publish after the registry closed");
    if (signal?.aborted) throw this.#context.error("ERR_HEXKIT_ABORTED", "publish: aborted by its signal; it was not sent", signal.reason);
  }

  #send({ record, eventId }: PreparedEvent, { signal }: CallOptions): Promise<void> {
    const { topic } = record;
    return producerSpan({ system: this.#context.system, topic, eventId }, (trace) => {
      if (trace.length === 0) return this.#queue.add(record, signal);
      // Headers handed on from a received event may carry its trace; readers take the first of equal names.
      const own = new Set(trace.map(([name]) => name));
      return this.#queue.add({ ...record, headers: [...record.headers.filter(([name]) => !own.has(name)), ...trace] }, signal);
    });
  }
}
