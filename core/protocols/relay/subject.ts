import type { DocumentId, DocumentPatch, FilterNode, SortKey, StoredDocument } from "../dao/driver.ts";
import type { OutgoingRecord } from "../event-publisher/driver.ts";

/** What becomes of one pending document. */
export interface Emission {
  readonly id: DocumentId;
  /** Which of the document's states this is. */
  readonly revision: string;
  /** `undefined`: this state has no event, and counts as published. */
  readonly event: { readonly record: OutgoingRecord; readonly eventId: string } | undefined;
  /** Holds as long as the document is in this state; then `patch` marks it as published. */
  readonly guard: FilterNode;
  readonly patch: DocumentPatch;
}

/** What a relay publishes: documents of one collection that hold an event, or from which one can be made. */
export interface RelaySubject {
  /** What is leased, such as `outbox:orders`. */
  readonly lease: string;
  readonly collection: string;
  /** What is still to be published. */
  readonly pending: FilterNode;
  readonly sort: readonly SortKey[];
  /** Documents with equal groups are published in order. */
  group(document: StoredDocument): string;
  /** Which of its states a document is in; empty if it does not say. */
  revision(document: StoredDocument): string;
  /** What to tell of a document in logs. */
  describe(document: StoredDocument): string;
  /**
   * Makes the event. `sequence` grows with every call of whoever holds the lease, and is greater than all of those before.
   * Resolves to `undefined` if somebody has changed the document meanwhile. Whatever it throws sets the document aside.
   */
  emit(document: StoredDocument, sequence: string, signal: AbortSignal): Promise<Emission | undefined>;
}

/** An id as the key of a map: ids of different types are different. */
export function idText(id: DocumentId): string {
  return typeof id === "number" ? `#${id}` : `${typeof id === "string" ? "'" : ""}${id}`;
}
