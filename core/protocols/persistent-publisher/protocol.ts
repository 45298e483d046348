import type { CallOptions } from "../../call.ts";
import { currentCorrelationId, newCorrelationId, withKnownCorrelationId } from "../../correlation.ts";
import type { ErrorCode, HexkitError } from "../../errors.ts";
import { isVersion4 } from "../../uuid.ts";
import { DaoCalls } from "../dao/calls.ts";
import type { DaoDriver, FilterNode, StoredDocument } from "../dao/driver.ts";
import { Unstorable } from "../dao/encode.ts";
import { findBatches } from "../dao/find.ts";
import type { DaoSettings } from "../dao/settings.ts";
import type { EventPublisher, OutgoingEvent } from "../event-publisher/event-publisher.ts";
import { type EventSurroundings, prepareEvent } from "../event-publisher/prepare.ts";
import { createEventPublisher } from "../event-publisher/protocol.ts";
import type { PublisherSettings } from "../event-publisher/settings.ts";
import { defineComposedProtocol, type ProtocolContext } from "../index.ts";
import { Relay, type RelayParts } from "../relay/relay.ts";
import type { WriteOutcome } from "../relay/waiters.ts";
import type { PersistentPublisher } from "./persistent-publisher.ts";
import { type PersistentPublisherSettings, persistentPublisherSettings } from "./settings.ts";
import { isPending, pendingIndex, toDocument } from "./stored-event.ts";
import { StoredEvents } from "./subject.ts";

export const persistentPublisherProtocol = defineComposedProtocol({
  name: "persistentPublisher",
  id: "hexkit/persistentPublisher",
  version: 1,
  summary: "Publishes events and keeps them, so that none is lost and all can be published again.",
  settings: persistentPublisherSettings,
  needsServiceName: true,
  composes: { dao: "dao", eventPublisher: "eventPublisher" },
  check: ({ compactedTopics, topicsNotStored }) => {
    const both = [...new Set(compactedTopics.filter((topic) => topicsNotStored.includes(topic)))].sort();
    return both.length === 0 ? [] : [`topicsNotStored: in compactedTopics as well: ${both.join(", ")}; a topic is one or the other`];
  },
  create: (parts, context) => new PortablePersistentPublisher(parts, context),
});

/** How often a database that is away is asked at the start whether something was left pending. */
const recoveryPauseMs = 5_000;
const everything: FilterNode = { op: "and", filters: [] };

type ReadyDocument = Omit<StoredDocument, "created" | "position">;

class PortablePersistentPublisher implements PersistentPublisher {
  readonly #context: ProtocolContext<PersistentPublisherSettings>;
  readonly #driver: DaoDriver;
  readonly #calls: DaoCalls;
  readonly #inner: EventPublisher;
  readonly #events: EventSurroundings;
  readonly #collection: string;
  readonly #relay: Relay;
  /** The last write of each topic and key: events are stored in the order of the calls. */
  readonly #writes = new Map<string, Promise<unknown>>();
  #ready: Promise<void> | undefined;
  #position = 0;

  constructor(parts: RelayParts, context: ProtocolContext<PersistentPublisherSettings>) {
    const publisherContext = parts.eventPublisher.context as unknown as ProtocolContext<PublisherSettings>;
    this.#context = context;
    this.#driver = parts.dao.driver;
    this.#calls = new DaoCalls(parts.dao.context as unknown as ProtocolContext<DaoSettings>);
    this.#inner = createEventPublisher(parts.eventPublisher.driver, publisherContext);
    this.#events = { driver: parts.eventPublisher.driver, context: publisherContext };
    this.#collection = context.settings.collection || `${context.service.name}PersistedEvents`;
    this.#relay = new Relay(new StoredEvents(this.#collection, this.#driver, this.#calls, this.#events), parts, context);
    context.onClose("relays", (signal) => this.#relay.stop(signal));
    context.onSettle((signal) => this.#relay.openWork(signal));
    context.onHealth(() => {
      const report = this.#relay.report();
      return { ok: report.trouble === undefined, ...report };
    });
    void this.#recover();
  }

  async publish(event: OutgoingEvent, options: CallOptions = {}): Promise<void> {
    if (this.#isPassedOn(event)) return this.#inner.publish(event, options);
    const document = this.#toStore(event, "publish");
    this.#admit(options, "publish");
    await this.#publish(document, options);
  }

  async publishAll(events: readonly OutgoingEvent[], options: CallOptions = {}): Promise<void> {
    const list: unknown = events;
    if (!Array.isArray(list)) throw this.#error("ERR_HEXKIT_INVALID_ARGUMENT", "publishAll: it takes a list of events");
    const works = events.map((event, index) => {
      if (!this.#isPassedOn(event)) {
        const document = this.#toStore(event, `publishAll, event ${index}`);
        return () => this.#publish(document, options);
      }
      prepareEvent(event, `publishAll, event ${index}`, this.#events);
      return () => this.#inner.publish(event, options);
    });
    this.#admit(options, "publishAll");
    const outcomes = await Promise.allSettled(works.map((work) => work()));
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  async publishPending(options: CallOptions = {}): Promise<void> {
    this.#admit(options, "publishPending");
    await this.#prepare(options);
    await this.#relay.publishPending(options);
  }

  async republish(options: CallOptions = {}): Promise<void> {
    this.#admit(options, "republish");
    await this.#prepare(options);
    const patch = { set: [{ path: ["published"], value: false }] };
    for await (const batch of findBatches(this.#driver, this.#calls, this.#collection, { filter: everything }, options)) {
      const patches = batch.map(({ _id: id }) => ({ id, guard: everything, patch }));
      await this.#calls.run("republish", this.#collection, options, (inCall) => this.#driver.patchMany(this.#collection, patches, inCall));
    }
    await this.#relay.publishPending(options);
  }

  #isPassedOn(event: OutgoingEvent): boolean {
    return this.#context.settings.topicsNotStored.includes(event?.topic);
  }

  #admit({ signal }: CallOptions, operation: string): void {
    if (signal?.aborted) throw this.#error("ERR_HEXKIT_ABORTED", `${operation}: aborted by its signal; nothing was stored`, signal.reason);
    if (this.#relay.report().state === "stopped") throw this.#error("ERR_HEXKIT_CLOSED", `${operation} after the registry closed`);
    if (this.#driver.capabilities.leases) return;
    const fact = "this provider has no leases, by which processes agree on who publishes; bind one that has the capability `leases`";
    throw this.#calls.context.error("ERR_HEXKIT_UNSUPPORTED", `${operation}: ${fact}`);
  }

  /** The event as it is stored, checked as the publisher does. */
  #toStore(event: OutgoingEvent, operation: string): ReadyDocument {
    const correlationId = currentCorrelationId() ?? newCorrelationId();
    const { record, eventId } = withKnownCorrelationId(correlationId, () => prepareEvent(event, operation, this.#events));
    if (!isVersion4(eventId)) {
      const fact = `eventId ${JSON.stringify(event.eventId)} is not a UUID of version 4, which stored events have`;
      throw this.#error("ERR_HEXKIT_INVALID_ARGUMENT", `${operation}: ${fact}`);
    }
    const isCompacted = this.#context.settings.compactedTopics.includes(event.topic);
    try {
      return toDocument({ event, eventId, correlationId, json: record.value, isCompacted });
    } catch (error) {
      if (error instanceof Unstorable) throw this.#error("ERR_HEXKIT_PAYLOAD_INVALID", `${operation}: ${error.message}`);
      throw error;
    }
  }

  async #publish(document: ReadyDocument, { signal }: CallOptions): Promise<void> {
    const { publishWaitMs } = this.#context.settings;
    const eventId = String(document.event_id);
    const waiters = publishWaitMs > 0 ? [this.#relay.expect(document._id as string, eventId)] : [];
    try {
      await this.#store(document, signal);
    } catch (error) {
      this.#relay.forget(waiters);
      this.#relay.wake();
      throw error;
    }
    this.#relay.start();
    const [outcome = "published"] = await this.#relay.written(waiters, { signal });
    this.#judge(outcome, `publish event ${eventId}`, signal);
  }

  #judge(outcome: WriteOutcome, about: string, signal: AbortSignal | undefined): void {
    if (outcome === "published") return;
    if (outcome !== "late") throw outcome;
    const note = "it is stored, and will be published";
    if (signal?.aborted) throw this.#error("ERR_HEXKIT_ABORTED", `${about}: aborted by its signal; ${note}`, signal.reason);
    if (this.#relay.report().state === "stopped") throw this.#error("ERR_HEXKIT_CLOSED", `${about}: the registry closed; ${note} later`);
    const { publishWaitMs } = this.#context.settings;
    throw this.#error("ERR_HEXKIT_TIMEOUT", `${about}: not published within ${publishWaitMs} ms (setting publishWaitMs); ${note}`);
  }

  /** Stores an event after those of its topic and key that were published before. */
  async #store(document: ReadyDocument, signal: AbortSignal | undefined): Promise<void> {
    const { topic, key } = document;
    const order = `${String(topic).length}/${topic}${key}`;
    const write = (this.#writes.get(order) ?? Promise.resolve())
      .catch(() => undefined)
      .then(async () => {
        await this.#prepare({});
        this.#position = (this.#position + 1) % Number.MAX_SAFE_INTEGER;
        const stored = { ...document, created: new Date(this.#context.clock.now()), position: this.#position } as unknown as StoredDocument;
        await this.#calls.run("store event", this.#collection, { signal }, (inCall) =>
          this.#driver.upsert(this.#collection, stored, inCall),
        );
      });
    this.#writes.set(order, write);
    try {
      await write;
    } finally {
      if (this.#writes.get(order) === write) this.#writes.delete(order);
    }
  }

  /** Makes the index; once, but again if that failed. */
  #prepare(options: CallOptions): Promise<void> {
    this.#ready ??= this.#calls
      .run("open", this.#collection, options, (inCall) => this.#driver.prepare(this.#collection, [pendingIndex], inCall))
      .catch((error) => {
        this.#ready = undefined;
        throw error;
      });
    return this.#ready;
  }

  /** Goes on with what a crash has left. The relay of a service that stores no events is never started. */
  async #recover(): Promise<void> {
    const { closing, clock, logger } = this.#context;
    if (!this.#driver?.capabilities?.leases) return;
    const query = { filter: isPending, limit: 1 };
    while (!closing.aborted) {
      try {
        for await (const _ of findBatches(this.#driver, this.#calls, this.#collection, query, { signal: closing })) {
          await this.#prepare({ signal: closing });
          this.#relay.start();
        }
        return;
      } catch (error) {
        if (closing.aborted) return;
        logger.debug({ error }, "what may have been left to be published cannot be read");
        if ((error as HexkitError).retryable !== true) return;
        await clock.sleep(recoveryPauseMs, closing);
      }
    }
  }

  #error(code: ErrorCode, message: string, cause?: unknown): HexkitError {
    return this.#context.error(code, message, cause);
  }
}
