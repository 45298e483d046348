import type { CallOptions } from "../../call.ts";

/** A value that an event's payload may hold. A `Date` is sent as ISO 8601 text in UTC; a property that is `undefined` is left out. */
export type PayloadValue =
  | string
  | number
  | boolean
  | null
  | undefined
  | Date
  | readonly PayloadValue[]
  | { readonly [key: string]: PayloadValue };
/** An event's payload: an object that can be written as JSON. */
export type Payload = { readonly [key: string]: PayloadValue };

/** An event to be published. `topic`, `type`, `key` and headers are ASCII. */
export interface OutgoingEvent {
  readonly topic: string;
  /** What happened; consumers choose by it. Not empty. */
  readonly type: string;
  /** Events of one topic with equal keys stay in order. May be empty. */
  readonly key: string;
  readonly payload: Payload;
  /** A UUID of any version; default: a new one of version 4. */
  readonly eventId?: string | undefined;
  /** Further headers. The names `type`, `event_id` and `correlation_id` are ours: given here, they are replaced with a warning. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/**
 * Publishes events. The correlation id of the running context goes along, or a new one is generated.
 *
 * Concurrent calls are gathered into one request without waiting; events of one topic and key are stored in the order
 * of the calls. Retriable failures are retried until `deliveryTimeoutMs` is over, so an event may be stored twice, never
 * half. When an event fails for good or runs out of time, those of its topic and key that were already waiting behind it
 * fail too, with ERR_HEXKIT_EVENT_ORDER. One that its signal aborts takes none along.
 *
 * @throws before anything is sent: ERR_HEXKIT_INVALID_ARGUMENT, ERR_HEXKIT_NOT_ASCII, ERR_HEXKIT_PAYLOAD_INVALID,
 * ERR_HEXKIT_MESSAGE_TOO_LARGE, ERR_HEXKIT_CORRELATION_ID_MISSING (with `generateCorrelationId` off), ERR_HEXKIT_CLOSED,
 * ERR_HEXKIT_ABORTED; afterwards: ERR_HEXKIT_TIMEOUT and ERR_HEXKIT_ABORTED (then the event may or may not have been
 * stored), ERR_HEXKIT_MESSAGE_TOO_LARGE, ERR_HEXKIT_TOPIC_NOT_FOUND, ERR_HEXKIT_PERMISSION_DENIED, ERR_HEXKIT_EVENT_ORDER, ERR_HEXKIT_PROVIDER_FAILED.
 */
export interface EventPublisher {
  /** Resolves when the broker has stored the event on all replicas that must have it. */
  publish(event: OutgoingEvent, options?: CallOptions): Promise<void>;
  /** Publishes all, in order per key. Bad input in one refuses all before anything is sent. Rejects with the first failure once every event is settled. */
  publishAll(events: readonly OutgoingEvent[], options?: CallOptions): Promise<void>;
}
