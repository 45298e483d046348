import { currentCorrelationId, newCorrelationId } from "../../correlation.ts";
import { newUuid } from "../../uuid.ts";
import type { DocumentPatch, FilterNode, IndexSpec, StoredDocument } from "../dao/driver.ts";
import { metadataField } from "../dao/model.ts";
import { isUuid, Uuid } from "../dao/uuid-value.ts";
import type { PublisherSettings } from "../event-publisher/settings.ts";
import type { ProtocolContext } from "../index.ts";

const at = (name: string): readonly string[] => [metadataField, name];
const and = (...filters: FilterNode[]): FilterNode => ({ op: "and", filters });

export const isPending: FilterNode = { op: "eq", path: at("published"), value: false };
export const isDeleted: FilterNode = { op: "eq", path: at("deleted"), value: true };
/** Documents that nobody has written through an outbox yet are live. */
export const isLive: FilterNode = { op: "not", filter: isDeleted };
const hasMetadata: FilterNode = { op: "exists", path: [metadataField] };
const lacksMetadata: FilterNode = { op: "not", filter: hasMetadata };

/** Only what is pending is in it, so that looking for it costs nothing when there is nothing. */
export const pendingIndex: IndexSpec = {
  fields: [{ path: at("published"), descending: false }],
  unique: false,
  sparse: false,
  where: isPending,
};

/** What an outbox keeps in a document beside the DTO's fields: that of hexkit, and `revision`. */
export interface Metadata {
  readonly deleted: boolean;
  readonly correlationId: string | undefined;
  /** Changes with every write. Documents that were written by hexkit in another language have none. */
  readonly revision: string | undefined;
}

export function metadataOf(document: StoredDocument): Metadata | undefined {
  const stored = document[metadataField];
  if (typeof stored !== "object" || stored === null) return undefined;
  const { deleted, correlation_id: correlationId, revision } = stored as Readonly<Record<string, unknown>>;
  return {
    deleted: deleted === true,
    correlationId: isUuid(correlationId) ? correlationId.text : undefined,
    revision: isUuid(revision) ? revision.text : undefined,
  };
}

/** The document as it is written, to be published. */
export function withMetadata(document: StoredDocument, correlationId: string, revision: string): StoredDocument {
  const metadata = {
    deleted: false,
    published: false,
    correlation_id: new Uuid(correlationId),
    last_event_id: null,
    revision: new Uuid(revision),
  };
  return { ...document, [metadataField]: metadata };
}

/** What is left of a deleted document: its id, and that it is deleted. */
export function tombstone(_id: StoredDocument["_id"], correlationId: string, revision: string): StoredDocument {
  const metadata = { deleted: true, published: false, correlation_id: new Uuid(correlationId), revision: new Uuid(revision) };
  return { _id, [metadataField]: metadata };
}

/** Marks one state as published. Holds only as long as nobody has written another. */
export function publishedMark(
  revision: string,
  eventId: string | undefined,
): { readonly guard: FilterNode; readonly patch: DocumentPatch } {
  return {
    guard: and({ op: "eq", path: at("revision"), value: new Uuid(revision) }, isPending),
    patch: {
      set: [
        { path: at("published"), value: true },
        { path: at("last_event_id"), value: eventId === undefined ? null : new Uuid(eventId) },
      ],
    },
  };
}

/** Gives a pending document of a peer, which knows of no revisions, its revision. */
export function stamp(document: StoredDocument): { readonly filter: FilterNode; readonly patch: DocumentPatch } {
  return {
    filter: and({ op: "eq", path: ["_id"], value: document._id }, isPending, { op: "not", filter: { op: "exists", path: at("revision") } }),
    patch: { set: [{ path: at("revision"), value: new Uuid(newUuid()) }] },
  };
}

/** Makes a document pending again as it is; adopts one without metadata. */
export function pendingAgain(document: StoredDocument): { readonly guard: FilterNode; readonly patch: DocumentPatch } {
  const revision = { path: at("revision"), value: new Uuid(newUuid()) };
  const pending = { path: at("published"), value: false };
  if (metadataOf(document) !== undefined) return { guard: hasMetadata, patch: { set: [pending, revision] } };
  const adopted = [
    { path: at("deleted"), value: false },
    pending,
    { path: at("correlation_id"), value: new Uuid(newCorrelationId()) },
    { path: at("last_event_id"), value: null },
    revision,
  ];
  return { guard: lacksMetadata, patch: { set: adopted } };
}

/**
 * The correlation id that a write is stored with.
 * @throws ERR_HEXKIT_CORRELATION_ID_MISSING outside any, if the publisher may not generate one.
 */
export function correlationIdOf(publisher: ProtocolContext<PublisherSettings>, context: Pick<ProtocolContext, "error">): string {
  const id = currentCorrelationId();
  if (id !== undefined) return id;
  if (publisher.settings.generateCorrelationId) return newCorrelationId();
  throw context.error(
    "ERR_HEXKIT_CORRELATION_ID_MISSING",
    "write: no correlation id is set and the publisher's generateCorrelationId is off; write inside withCorrelationId",
  );
}
