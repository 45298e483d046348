import type { Logger } from "../../logging.ts";
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
  /** Events whose translator failed. */
  readonly failed: number;
  /** Failed events and undecodable records that `onFailure: "skip"` passed over. */
  readonly skipped: number;
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
   * Ends the subscription: nothing new is begun, running handlers get `drainTimeoutMs`, what finished is acknowledged,
   * the rest is delivered again later. Resolves when it has ended, also if it had failed. Safe twice: a later call may shorten `drainTimeoutMs`.
   */
  stop(options?: { readonly drainTimeoutMs?: number }): Promise<void>;
}

/** Reads events as a member of a consumer group. */
export interface EventSubscriber {
  /**
   * Begins to consume and returns at once; follow it by `state` and `done`.
   * Events of one topic, partition and key are handled one after the other, others concurrently.
   * @throws ERR_HEXKIT_INVALID_ARGUMENT for a translator without topics or types or a bad setting;
   * ERR_HEXKIT_TRANSLATOR_CLASH if two claim one (topic, type); ERR_HEXKIT_SUBSCRIPTION_EXISTS if the group is
   * already subscribed by this binding; ERR_HEXKIT_CLOSED.
   */
  subscribe(translators: Translator | readonly Translator[], options?: Partial<SubscriberSettings>): Subscription;
}
