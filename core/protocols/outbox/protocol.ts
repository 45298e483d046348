import type { CallOptions } from "../../call.ts";
import type { HexkitError } from "../../errors.ts";
import type { Schema, SchemaOutput } from "../../schema.ts";
import { DaoCalls } from "../dao/calls.ts";
import type { DaoSpec } from "../dao/dao.ts";
import type { DaoDriver, IndexSpec } from "../dao/driver.ts";
import { DaoModel } from "../dao/model.ts";
import type { DaoSettings } from "../dao/settings.ts";
import { isAscii } from "../event-publisher/encode.ts";
import type { PublisherSettings } from "../event-publisher/settings.ts";
import { defineComposedProtocol, type ProtocolContext } from "../index.ts";
import { Relay, type RelayParts } from "../relay/relay.ts";
import { pendingIndex } from "./metadata.ts";
import type { Outbox, OutboxFactory, OutboxSpec } from "./outbox.ts";
import { PortableOutbox } from "./portable.ts";
import { type OutboxSettings, outboxSettings } from "./settings.ts";
import { OutboxSubject } from "./subject.ts";

export const outboxProtocol = defineComposedProtocol({
  name: "outbox",
  id: "hexkit/outbox",
  version: 1,
  summary: "Domain objects in a document database, each change of which is published.",
  settings: outboxSettings,
  composes: { dao: "dao", eventPublisher: "eventPublisher" },
  create: (parts, context) => new PortableOutboxFactory(parts, context),
});

/** What the outboxes of one collection share. */
interface Shared {
  readonly topic: string;
  readonly relay: Relay;
}

class PortableOutboxFactory implements OutboxFactory {
  readonly #parts: RelayParts;
  readonly #context: ProtocolContext<OutboxSettings>;
  readonly #daoContext: ProtocolContext<DaoSettings>;
  readonly #shared = new Map<string, Shared>();

  constructor(parts: RelayParts, context: ProtocolContext<OutboxSettings>) {
    this.#parts = parts;
    this.#context = context;
    this.#daoContext = parts.dao.context as unknown as ProtocolContext<DaoSettings>;
    context.onClose("relays", async (signal) => {
      await Promise.all([...this.#shared.values()].map(({ relay }) => relay.stop(signal)));
    });
    context.onSettle(async (signal) => {
      const reports = await Promise.all([...this.#shared.values()].map(({ relay }) => relay.openWork(signal)));
      return { open: reports.flatMap(({ open }) => open), mark: reports.map(({ mark }) => mark).join() };
    });
    context.onHealth(() => {
      const reports = [...this.#shared].map(([collection, { relay }]) => [collection, relay.report()] as const);
      return { ok: reports.every(([, { trouble }]) => trouble === undefined), outboxes: Object.fromEntries(reports) };
    });
  }

  async open<const S extends Schema>(spec: OutboxSpec<S>, options?: CallOptions): Promise<Outbox<SchemaOutput<S>>> {
    const context = this.#daoContext;
    const model = await DaoModel.open(spec as unknown as DaoSpec, (code, message, cause) => context.error(code, message, cause));
    this.#check(spec as unknown as OutboxSpec, model.collection);
    const calls = new DaoCalls(context);
    const { driver } = this.#parts.dao;
    const { collection } = model;
    const indexes = [...model.indexes.map(withoutTombstones), pendingIndex];
    await calls.run("open", collection, options, (inCall) => driver.prepare(collection, indexes, inCall));
    const { relay } = this.#share(spec as unknown as OutboxSpec, model, calls, driver);
    if (this.#context.closing.aborted) throw this.#context.error("ERR_HEXKIT_CLOSED", `open ${collection}: the registry closes`);
    const { autoPublish = true } = spec;
    if (autoPublish) relay.start();
    const surroundings = { driver, context: context as unknown as ProtocolContext, publisher: this.#publisher, relay };
    const waits = autoPublish && this.#context.settings.publishWaitMs > 0;
    return new PortableOutbox(surroundings, calls, model as DaoModel<SchemaOutput<S>>, waits);
  }

  get #publisher(): ProtocolContext<PublisherSettings> {
    return this.#parts.eventPublisher.context as unknown as ProtocolContext<PublisherSettings>;
  }

  #check({ topic, toEvent }: OutboxSpec, collection: string): void {
    const bad = (fact: string): HexkitError => this.#context.error("ERR_HEXKIT_INVALID_ARGUMENT", `open ${collection}: ${fact}`);
    if (typeof topic !== "string" || topic === "") throw bad("`topic` must be text: the topic of its events");
    if (!isAscii(topic))
      throw this.#context.error("ERR_HEXKIT_NOT_ASCII", `open ${collection}: topic ${JSON.stringify(topic)} has a character outside ASCII`);
    if (typeof toEvent !== "function") throw bad("`toEvent` must be a function that makes an event's payload, or null, of a DTO");
    const before = this.#shared.get(collection)?.topic;
    if (before !== undefined && before !== topic)
      throw bad(`it is open with the topic ${JSON.stringify(before)}; a collection has one topic`);
    if (!this.#parts.dao.driver.capabilities.leases) {
      const fact = "this provider has no leases, by which processes agree on who publishes; bind one that has the capability `leases`";
      throw this.#daoContext.error("ERR_HEXKIT_UNSUPPORTED", `open outbox ${collection}: ${fact}`);
    }
  }

  #share(spec: OutboxSpec, model: DaoModel<unknown>, calls: DaoCalls, driver: DaoDriver): Shared {
    const known = this.#shared.get(model.collection);
    if (known !== undefined) return known;
    const { topic } = spec;
    const events = { driver: this.#parts.eventPublisher.driver, context: this.#publisher };
    const toEvent = spec.toEvent.bind(spec) as (dto: unknown) => ReturnType<OutboxSpec["toEvent"]>;
    const subject = new OutboxSubject({ driver, calls, model, events, topic, toEvent });
    const shared: Shared = { topic, relay: new Relay(subject, this.#parts, this.#context) };
    this.#shared.set(model.collection, shared);
    return shared;
  }
}

/** What is left of deleted documents has none of the fields, and must not collide. */
function withoutTombstones(index: IndexSpec): IndexSpec {
  return index.unique ? { ...index, sparse: true } : index;
}
