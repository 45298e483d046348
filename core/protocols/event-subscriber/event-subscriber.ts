import type { Logger } from "../../logging.ts";
import type { Payload } from "../event-publisher/event-publisher.ts";
import type { SubscriberSettings } from "./settings.ts";

/** An event as a translator sees it. */
export interface ReceivedEvent<EventPayload = unknown> {
  readonly topic: string;
  readonly type: string;
  /** May be empty. */
  readonly key: string;
  /** Parsed JSON; its own copy per attempt. */
  readonly payload: EventPayload;
  /** A UUID; random where the record had none or a bad one. */
  readonly eventId: string;
  /** All headers as text, the last of equal names; `type`, `event_id` and `correlation_id` among them. */
  readonly headers: Readonly<Record<string, string>>;
  /** When the event was produced. */
  readonly timestamp: Date;
}

export interface EventContext {
  /** Aborts when the subscription stops and its drain time is over, or the partition is lost. Pass it on. */
  readonly signal: AbortSignal;
  /** 1 for the first. */
  readonly attempt: number;
  readonly logger: Logger;
  readonly correlationId: string;
}

/**
 * The service's code behind a subscription. Returning is success; throwing is failure.
 * Delivery is at least once: `consume` must stand a repetition.
 */
export interface Translator {
  readonly topics: readonly string[];
  /** Events of other types are passed over. Not empty. */
  readonly types: readonly string[];
  /** Runs once before the group is joined; its rejection fails the subscription. */
  prepare?(): Promise<void>;
  consume(event: ReceivedEvent, context: EventContext): void | Promise<void>;
}

// biome-ignore lint/suspicious/noConfusingVoidType: a handler may be a function that returns nothing, async or not
type BatchResult = readonly BatchOutcome[] | undefined | void;

export interface BatchContext {
  /** Aborts when the subscription stops and its drain time is over, a partition of the batch is lost, or `handlerTimeoutMs` is over. */
  readonly signal: AbortSignal;
  /** Per event of the batch, 1 for the first. */
  readonly attempts: readonly number[];
  readonly logger: Logger;
}

/** What became of one event of a batch: nothing for success, or its error. */
export type BatchOutcome = undefined | { readonly error: unknown };

/**
 * A translator that takes what is there at once, at most `maxBatch` events, without waiting for more. Events of one key are in order within a
 * batch and between batches. The guarantees are those of `Translator`, for each event by itself: what failed is tried again, and so is what came
 * after it with the same key.
 */
export interface BatchTranslator {
  readonly topics: readonly string[];
  readonly types: readonly string[];
  prepare?(): Promise<void>;
  /**
   * Returning nothing is success for all, throwing is failure for all; a list of outcomes, one per event, tells them apart.
   * No correlation id is set: each event's is in its headers.
   */
  consumeBatch(events: readonly ReceivedEvent[], context: BatchContext): BatchResult | Promise<BatchResult>;
}

export type AnyTranslator = Translator | BatchTranslator;

/**
 * `starting` joining the group · `running` · `degraded` running, but something is in the way (`stats().trouble`) ·
 * `stopping` draining · `stopped` ended by `stop` or `close` · `failed` ended by an error (`done` rejects with it).
 */
export type SubscriptionState = "starting" | "running" | "degraded" | "stopping" | "stopped" | "failed";

export interface SubscriptionStats {
  /** Records that came from the broker. */
  readonly received: number;
  /** Events that a translator finished. */
  readonly handled: number;
  /** Records without type or correlation id, or of a type or topic that no translator claims: acknowledged unseen. */
  readonly ignored: number;
  /** Attempts that failed and were followed by another. */
  readonly retried: number;
  /** Events and undecodable records that failed for good. */
  readonly failed: number;
  /** Those of them that went to the dead letters. */
  readonly deadLettered: number;
  /** Those of them that `onFailure: "skip"` passed over. */
  readonly skipped: number;
  /** How often the group was joined again because the client had given up or stalled. */
  readonly restarts: number;
  /** Delivered, not yet settled. */
  readonly inFlight: number;
  /** Records still in the broker behind the last one delivered; `undefined` if the driver cannot tell. */
  readonly lag: number | undefined;
  /** Why the subscription is `degraded`. */
  readonly trouble: string | undefined;
}

export interface Subscription {
  readonly group: string;
  readonly topics: readonly string[];
  readonly state: SubscriptionState;
  /** Resolves when the subscription has stopped; rejects with the `HexkitError` that failed it. Leaving it alone is safe. */
  readonly done: Promise<void>;
  stats(): SubscriptionStats;
  /**
   * Ends the subscription: running handlers get `drainTimeoutMs`, what finished is acknowledged, the rest is delivered again later.
   * Of what waits, only events that lie before running or handled ones are begun, since a log remembers no gaps. Resolves when it has ended, also if it had failed. Safe twice: a later call may shorten `drainTimeoutMs`.
   */
  stop(options?: { readonly drainTimeoutMs?: number }): Promise<void>;
}

/** An event that failed for good, as it lies in the dead-letter topic. What its writer did not say is `undefined`, empty or 0. */
export interface DeadLetter extends ReceivedEvent {
  /** The topic that the event was published to. */
  readonly originalTopic: string | undefined;
  /** The id under which it failed. */
  readonly originalEventId: string | undefined;
  /** The id under which it was published at first; redrives do not change it. */
  readonly firstEventId: string | undefined;
  /** The service that failed on it; where a redrive sends it. */
  readonly service: string;
  /** What the first attempt threw. */
  readonly error: { readonly class: string; readonly message: string; readonly stack: string };
  /** All attempts so far, over all redrives. */
  readonly attempts: number;
  /** How often it has been sent back. */
  readonly redrives: number;
  /** Why the record was no event; its payload is then `{ raw_key, raw_value }` in base64, null where they were null. */
  readonly undecodable: string | undefined;
}

/** What a redrive changes about an event. */
export interface RedriveChanges {
  readonly payload?: Payload;
  readonly type?: string;
  readonly key?: string;
  readonly originalTopic?: string;
}

export interface DeadLetterContext extends EventContext {
  /**
   * Sends the event back to the retry topic of the service that failed on it, with a new event id and everything else kept. Resolves when
   * it is stored; return after that, and the dead letter is done with.
   * @throws ERR_HEXKIT_REDRIVE_LIMIT after `maxRedrives`; ERR_HEXKIT_INVALID_ARGUMENT if it was undecodable and no payload is given, or has no
   * type or original topic; ERR_HEXKIT_NOT_ASCII, ERR_HEXKIT_PAYLOAD_INVALID for bad changes; what publishing throws.
   */
  redrive(changes?: RedriveChanges): Promise<void>;
}

/** Deals with one dead letter: returning is done with it (redriven or discarded), throwing is failure. */
export type DeadLetterHandler = (letter: DeadLetter, context: DeadLetterContext) => void | Promise<void>;

/** Reads events as a member of a consumer group. */
export interface EventSubscriber {
  /**
   * Begins to consume and returns at once; follow it by `state` and `done`.
   * Events of one topic, partition and key are handled one after the other, others concurrently.
   * @throws ERR_HEXKIT_INVALID_ARGUMENT for a translator without topics or types or a bad setting;
   * ERR_HEXKIT_TRANSLATOR_CLASH if two claim one (topic, type); ERR_HEXKIT_SUBSCRIPTION_EXISTS if the group is
   * already subscribed by this binding; ERR_HEXKIT_CLOSED.
   */
  subscribe(translators: AnyTranslator | readonly AnyTranslator[], options?: Partial<SubscriberSettings>): Subscription;
  /**
   * Reads the dead-letter topic: that of `deadLetter` in the settings or options, else `<service>-dlq`. Group: `<service>-dlq-reader`. Takes every record,
   * whatever its type; failures follow `maxRetries` and `onFailure`, and are not dead-lettered again.
   * @throws like `subscribe`; ERR_HEXKIT_UNSUPPORTED if there is no publisher to redrive with.
   */
  subscribeDeadLetters(handler: DeadLetterHandler, options?: Partial<SubscriberSettings>): Subscription;
}
