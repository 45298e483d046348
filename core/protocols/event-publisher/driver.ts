import type { CallOptions } from "../../call.ts";

/** An event in wire format, ready to be sent. */
export interface OutgoingRecord {
  readonly topic: string;
  /** ASCII; may be empty. Records with equal topic and key must be read in the order in which they were sent. */
  readonly key: string;
  /** JSON text, ASCII only. */
  readonly value: string;
  /** ASCII names and values, in wire order. Names may repeat. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** What became of one record: stored by all replicas that must have it, or the client's own error. */
export type SendOutcome = { readonly error?: undefined } | { readonly error: unknown };

/**
 * Sends records to a broker. Throws its client's own errors; the portable publisher gathers, checks
 * sizes, retries within a deadline and maps errors, so a driver does none of that. Every call settles in the end, also
 * if the broker never answers: a lane stands still until its batch is answered for.
 */
export interface EventPublisherDriver {
  /** Largest key plus value, in bytes before compression, that is worth sending. */
  readonly maxRecordBytes: number;
  /**
   * Makes `lane` answerable for the topic: looks up (or lets the broker create) it. Called before the
   * first record of a topic, and again after a failed send. Cheap when nothing has to be done.
   */
  prepare(topic: string, options: CallOptions): Promise<void>;
  /**
   * Names the ordered channel that a record belongs to, such as `topic/partition`. Equal topic and key
   * give the same lane. Records of one lane are sent one batch at a time, in order; lanes are independent.
   */
  lane(record: OutgoingRecord): string;
  /**
   * Sends records of one lane, in order, and resolves with one outcome per record once the broker has answered for all.
   * Once a record has failed, later ones of its topic and key are not stored either, so that repeating them keeps their order.
   * A record that is sent again is the same object: whoever knows it can tell the broker that it may have it already.
   */
  send(lane: string, records: readonly OutgoingRecord[], options: CallOptions): Promise<readonly SendOutcome[]>;
}
