import { newCorrelationId } from "../../correlation.ts";
import { newUuid } from "../../uuid.ts";
import type { DocumentPatch, DocumentValue, FilterNode, IndexSpec, SortKey, StoredDocument } from "../dao/driver.ts";
import { decodeValue, encodeValue } from "../dao/encode.ts";
import { isUuid, Uuid } from "../dao/uuid-value.ts";
import type { OutgoingEvent, Payload } from "../event-publisher/event-publisher.ts";

export const isPending: FilterNode = { op: "eq", path: ["published"], value: false };

/** By time, then by a counter of whoever stored it within the same millisecond. */
export const byAge: readonly SortKey[] = [
  { path: ["created"], descending: false },
  { path: ["position"], descending: false },
];

export const pendingIndex: IndexSpec = { fields: byAge, unique: false, sparse: false, where: isPending };

/** An event to be stored, checked. */
export interface EventToStore {
  readonly event: OutgoingEvent;
  readonly eventId: string;
  readonly correlationId: string;
  /** The payload as it is sent. */
  readonly json: string;
  readonly isCompacted: boolean;
}

/**
 * The document of an event: that of hexkit, and `position`.
 * @throws Unstorable for a payload that JSON can hold and documents cannot.
 */
export function toDocument({
  event,
  eventId,
  correlationId,
  json,
  isCompacted,
}: EventToStore): Omit<StoredDocument, "created" | "position"> {
  const { topic, key, type, headers = {} } = event;
  const own = new Set(["type", "event_id", "correlation_id"]);
  return {
    _id: isCompacted ? `${topic}:${key}` : eventId,
    topic,
    type_: type,
    payload: encodeValue(native(event.payload, JSON.parse(json)), undefined, "payload"),
    key,
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !own.has(name))),
    correlation_id: new Uuid(correlationId),
    event_id: new Uuid(eventId),
    published: false,
  };
}

/** What was sent, with dates as dates. */
function native(given: unknown, sent: unknown): unknown {
  if (given instanceof Date && typeof sent === "string") return new Date(given.getTime());
  if (Array.isArray(sent)) return sent.map((each, index) => native(Array.isArray(given) ? given[index] : undefined, each));
  if (typeof sent !== "object" || sent === null) return sent;
  const before = (typeof given === "object" && given !== null ? given : {}) as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    Object.entries(sent).map(([name, each]) => [name, native(Object.hasOwn(before, name) ? before[name] : undefined, each)]),
  );
}

/** A stored event; `undefined` for a document that is none. */
export function fromDocument(document: StoredDocument): { readonly event: OutgoingEvent; readonly correlationId: string } | undefined {
  const { topic, key, type_: type, payload, headers, event_id: eventId, correlation_id: correlationId } = document;
  if (typeof topic !== "string" || typeof key !== "string" || typeof type !== "string" || !isUuid(eventId)) return undefined;
  const decoded = decodeValue((payload ?? null) as DocumentValue, undefined, "payload") as Payload;
  const event = { topic, key, type, payload: decoded, eventId: eventId.text, headers: (headers ?? {}) as Readonly<Record<string, string>> };
  return { event, correlationId: isUuid(correlationId) ? correlationId.text : newCorrelationId() };
}

/** Marks an event as published. Of a compacted topic another may have taken its place. */
export function publishedMark(eventId: string): { readonly guard: FilterNode; readonly patch: DocumentPatch } {
  return {
    guard: { op: "and", filters: [{ op: "eq", path: ["event_id"], value: new Uuid(eventId) }, isPending] },
    patch: { set: [{ path: ["published"], value: true }] },
  };
}

/** Gives an event of a peer that has no id its id. */
export function eventIdStamp({ _id }: StoredDocument): { readonly filter: FilterNode; readonly patch: DocumentPatch } {
  const lacksId: FilterNode = { op: "eq", path: ["event_id"], value: null };
  return {
    filter: { op: "and", filters: [{ op: "eq", path: ["_id"], value: _id }, lacksId] },
    patch: { set: [{ path: ["event_id"], value: new Uuid(newUuid()) }] },
  };
}
