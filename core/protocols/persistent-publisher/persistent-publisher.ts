import type { CallOptions } from "../../call.ts";
import type { EventPublisher } from "../event-publisher/event-publisher.ts";

/**
 * An event publisher that stores each event before it publishes it, so that what the broker does not take is not lost, and everything can be
 * published again. A relay publishes what is stored, in this process or another, also after a crash; events of one topic and key in the order in which they
 * were stored. An event that can never be published (too large, say) holds up no other.
 *
 * `publish` resolves when the event has been published and marked so. It rejects as `EventPublisher` does; whatever fails after the event was
 * stored leaves it to the relay, which goes on trying: do not publish it again. Given up because of `publishWaitMs` it rejects with
 * ERR_HEXKIT_TIMEOUT; with `publishWaitMs` 0 it resolves as soon as the event is stored. A correlation id is generated where none is set.
 *
 * Events of `topicsNotStored` go straight to the publisher. Of `compactedTopics` only the last event of each key is stored, and one that is followed by
 * another before it was published is left out. Stored again under the same event id, an event is published again.
 *
 * @throws besides what `EventPublisher` throws: ERR_HEXKIT_INVALID_ARGUMENT for an event id that is not of version 4, ERR_HEXKIT_PAYLOAD_INVALID for a payload that cannot
 * be stored, ERR_HEXKIT_DOCUMENT_TOO_LARGE, ERR_HEXKIT_UNSUPPORTED if the database has no leases, ERR_HEXKIT_UNAVAILABLE: nothing is published then.
 */
export interface PersistentPublisher extends EventPublisher {
  /**
   * Publishes what is stored and was not published yet, oldest first. Resolves when all of it is published, by whichever process.
   * @throws when each has been tried and some failed: the first one's error, with all in `failures`. ERR_HEXKIT_TIMEOUT if another process publishes and
   * makes no progress for 30 s, or the database is away as long; ERR_HEXKIT_ABORTED, ERR_HEXKIT_CLOSED.
   */
  publishPending(options?: CallOptions): Promise<void>;
  /**
   * Publishes every stored event again, oldest first, each as it was: type, key, payload, headers, event id, correlation id. Marks all as pending, a few at a time,
   * and then does as `publishPending`.
   */
  republish(options?: CallOptions): Promise<void>;
}
