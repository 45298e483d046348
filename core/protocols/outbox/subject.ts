import { newCorrelationId, withKnownCorrelationId } from "../../correlation.ts";
import { newUuid } from "../../uuid.ts";
import type { DaoCalls } from "../dao/calls.ts";
import type { DaoDriver, SortKey, StoredDocument } from "../dao/driver.ts";
import type { DaoModel } from "../dao/model.ts";
import type { Payload } from "../event-publisher/event-publisher.ts";
import { type EventSurroundings, type PreparedEvent, prepareEvent } from "../event-publisher/prepare.ts";
import { sequenceHeader } from "../event-subscriber/sequence.ts";
import { type Emission, idText, type RelaySubject } from "../relay/subject.ts";
import { isPending, metadataOf, publishedMark, stamp } from "./metadata.ts";

export interface SubjectSurroundings<Dto> {
  readonly driver: DaoDriver;
  readonly calls: DaoCalls;
  readonly model: DaoModel<Dto>;
  readonly events: EventSurroundings;
  readonly topic: string;
  toEvent(dto: Dto): Payload | null | Promise<Payload | null>;
}

/** The states of an outbox's documents, as events. */
export class OutboxSubject<Dto> implements RelaySubject {
  readonly lease: string;
  readonly collection: string;
  readonly pending = isPending;
  readonly sort: readonly SortKey[] = [];
  readonly #with: SubjectSurroundings<Dto>;

  constructor(surroundings: SubjectSurroundings<Dto>) {
    this.collection = surroundings.model.collection;
    this.lease = `outbox:${this.collection}`;
    this.#with = surroundings;
  }

  group(document: StoredDocument): string {
    return idText(document._id);
  }

  revision(document: StoredDocument): string {
    return metadataOf(document)?.revision ?? "";
  }

  describe(document: StoredDocument): string {
    return `document ${JSON.stringify(String(document._id))} of ${this.collection}`;
  }

  async emit(found: StoredDocument, sequence: string, signal: AbortSignal): Promise<Emission | undefined> {
    const document = await this.#withRevision(found, signal);
    const metadata = document && metadataOf(document);
    if (document === undefined || metadata?.revision === undefined) return undefined;
    const { revision, deleted, correlationId = newCorrelationId() } = metadata;
    const payload = deleted ? {} : await this.#payload(document);
    const event = payload === null ? undefined : this.#event(document, deleted, payload, correlationId, sequence);
    return { id: document._id, revision, event, ...publishedMark(revision, event?.eventId) };
  }

  async #withRevision(document: StoredDocument, signal: AbortSignal): Promise<StoredDocument | undefined> {
    if (metadataOf(document)?.revision !== undefined) return document;
    const { driver, calls } = this.#with;
    const { filter, patch } = stamp(document);
    return calls.run("stamp", this.collection, { signal }, (inCall) => driver.findAndPatch(this.collection, { filter }, patch, inCall));
  }

  async #payload(document: StoredDocument): Promise<Payload | null> {
    const dto = await this.#with.model.decode(document, "publish");
    return this.#with.toEvent(dto);
  }

  #event(document: StoredDocument, deleted: boolean, payload: Payload, correlationId: string, sequence: string): PreparedEvent {
    const { topic, events } = this.#with;
    const event = { topic, type: deleted ? "deleted" : "upserted", key: String(document._id), payload, eventId: newUuid() };
    const { record, eventId } = withKnownCorrelationId(correlationId, () => prepareEvent(event, "publish", events));
    return { record: { ...record, headers: [...record.headers, [sequenceHeader, sequence]] }, eventId };
  }
}
