import { withKnownCorrelationId } from "../../correlation.ts";
import { HexkitError } from "../../errors.ts";
import type { DaoCalls } from "../dao/calls.ts";
import type { DaoDriver, StoredDocument } from "../dao/driver.ts";
import { isUuid } from "../dao/uuid-value.ts";
import { type EventSurroundings, prepareEvent } from "../event-publisher/prepare.ts";
import type { Emission, RelaySubject } from "../relay/subject.ts";
import { byAge, eventIdStamp, fromDocument, isPending, publishedMark } from "./stored-event.ts";

/** Stored events, to be published as they are. */
export class StoredEvents implements RelaySubject {
  readonly lease: string;
  readonly collection: string;
  readonly pending = isPending;
  readonly sort = byAge;
  readonly #driver: DaoDriver;
  readonly #calls: DaoCalls;
  readonly #events: EventSurroundings;

  constructor(collection: string, driver: DaoDriver, calls: DaoCalls, events: EventSurroundings) {
    this.collection = collection;
    this.lease = `persistentPublisher:${collection}`;
    this.#driver = driver;
    this.#calls = calls;
    this.#events = events;
  }

  group({ topic, key }: StoredDocument): string {
    return `${String(topic).length}/${topic}${key}`;
  }

  revision(document: StoredDocument): string {
    return isUuid(document.event_id) ? document.event_id.text : "";
  }

  describe({ _id }: StoredDocument): string {
    return `event ${JSON.stringify(String(_id))} of ${this.collection}`;
  }

  async emit(found: StoredDocument, _sequence: string, signal: AbortSignal): Promise<Emission | undefined> {
    const document = isUuid(found.event_id) ? found : await this.#withEventId(found, signal);
    if (document === undefined) return undefined;
    const stored = fromDocument(document);
    if (stored === undefined) {
      throw new HexkitError(
        "ERR_HEXKIT_STORED_DOCUMENT_INVALID",
        "the document is no stored event: topic, key, type_ or event_id is missing",
      );
    }
    const event = withKnownCorrelationId(stored.correlationId, () => prepareEvent(stored.event, "publish", this.#events));
    return { id: document._id, revision: event.eventId, event, ...publishedMark(event.eventId) };
  }

  #withEventId(document: StoredDocument, signal: AbortSignal): Promise<StoredDocument | undefined> {
    const { filter, patch } = eventIdStamp(document);
    return this.#calls.run("stamp", this.collection, { signal }, (inCall) =>
      this.#driver.findAndPatch(this.collection, { filter }, patch, inCall),
    );
  }
}
