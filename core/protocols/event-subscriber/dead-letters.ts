import { randomUUID } from "node:crypto";
import { newCorrelationId } from "../../correlation.ts";
import { isHexkitError } from "../../errors.ts";
import type { EventPublisherDriver, OutgoingRecord } from "../event-publisher/driver.ts";
import { toAscii } from "../event-publisher/encode.ts";
import { SendQueue } from "../event-publisher/send-queue.ts";
import type { ProtocolContext } from "../index.ts";
import { type DecodedEvent, decodeHeaders, rawContent, type Undecodable } from "./decode.ts";
import type { SourceRecord } from "./driver.ts";

/** An event that failed for good. */
export interface Failure {
  readonly record: SourceRecord;
  readonly decoded: DecodedEvent | Undecodable;
  /** What the first attempt threw, as hexkit records it. */
  readonly error: unknown;
  /** All attempts of this delivery. */
  readonly attempts: number;
}

/** Headers that describe a failure, not the event: they do not go along when it is sent back for another try. */
export const failureHeaders: readonly string[] = [
  "exc_class",
  "exc_msg",
  "exc_stack",
  "failed_at",
  "service",
  "original_event_id",
  "original_partition",
  "original_offset",
  "original_timestamp",
  "undecodable",
];

/** The topic of dead letters that a `deadLetter` setting means, if any. */
export function deadLetterTopic(deadLetter: boolean | string, service: string): string | undefined {
  if (typeof deadLetter === "string") return deadLetter;
  return deadLetter ? `${service}-dlq` : undefined;
}

/** Where dead letters of a service are sent back to for another try. */
export function retryTopicOf(service: string): string {
  return `retry-${service}`;
}

/** How much of a failure a dead letter carries: less, if the broker refuses more. */
type Detail = "full" | "short" | "bare";
const details: readonly Detail[] = ["full", "short", "bare"];
/** Longest texts, in characters. Headers count towards the size that a broker accepts. */
const limits: Readonly<Record<Detail, { readonly message: number; readonly stack: number }>> = {
  full: { message: 2_000, stack: 8_000 },
  short: { message: 500, stack: 0 },
  bare: { message: 500, stack: 0 },
};

/** Writes events that failed for good to the dead-letter topic, by the publisher's queue: with retries until its deadline. */
export class DeadLetters {
  readonly #context: ProtocolContext;
  readonly #queue: SendQueue;

  constructor(
    driver: EventPublisherDriver,
    context: ProtocolContext,
    publisher: Pick<ProtocolContext, "mapError">,
    deliveryTimeoutMs: number,
  ) {
    this.#context = context;
    this.#queue = new SendQueue({
      driver,
      clock: context.clock,
      logger: context.logger,
      deliveryTimeoutMs,
      mapError: (error, operation, subject) => publisher.mapError(error, operation, subject),
      error: (code, message, cause) => context.error(code, message, cause),
    });
  }

  /** Resolves when the dead letter is stored. A record too large for the broker is written with less around it, at last without its content. */
  async write(failure: Failure, topic: string): Promise<void> {
    for (const detail of details) {
      try {
        return await this.#queue.add(this.#record(failure, topic, detail), undefined);
      } catch (error) {
        if (!isHexkitError(error, "ERR_HEXKIT_MESSAGE_TOO_LARGE") || detail === "bare") throw error;
      }
    }
  }

  /** Sends any record, such as one for the retry topic. */
  send(record: OutgoingRecord): Promise<void> {
    return this.#queue.add(record, undefined);
  }

  flush(signal: AbortSignal): Promise<void> {
    return this.#queue.flush(signal);
  }

  #record({ record, decoded, error, attempts }: Failure, topic: string, detail: Detail): OutgoingRecord {
    const original = decodeHeaders(record);
    const isEvent = decoded.kind === "event";
    const eventId = isEvent ? decoded.event.eventId : (original.event_id ?? "");
    const { message, stack } = limits[detail];
    const facts = describe(error);
    const headers = new Map(Object.entries(original));
    // In the order of hexkit's contract, our own behind them.
    const added: Record<string, string> = {
      type: original.type ?? "",
      event_id: randomUUID(),
      correlation_id: isEvent ? decoded.correlationId : newCorrelationId(),
      exc_class: facts.class,
      exc_msg: this.#context.redact(facts.message).slice(0, message),
      original_topic: isEvent ? decoded.event.topic : decoded.topic,
      original_event_id: eventId,
      service: this.#context.service.name,
      exc_stack: this.#context.redact(facts.stack).slice(0, stack),
      attempts: String(count(original.attempts) + attempts),
      failed_at: new Date(this.#context.clock.now()).toISOString(),
      original_partition: String(record.partition),
      original_offset: String(record.offset),
      original_timestamp: new Date(record.timestampMs).toISOString(),
      first_event_id: original.first_event_id || eventId,
      redrives: String(count(original.redrives)),
      ...(!isEvent && { undecodable: decoded.reason }),
      ...(detail === "bare" && { undecodable: "its content was too large for a dead letter; it lies at its original offset" }),
    };
    for (const [name, value] of Object.entries(added)) headers.set(name, value);
    return {
      topic,
      key: isEvent ? toAscii(decoded.event.key) : readableKey(record.key),
      // ASCII JSON in any case, so that a Python reader survives it.
      value:
        isEvent && detail !== "bare"
          ? toAscii(Buffer.from(record.value as Uint8Array).toString("utf8"))
          : JSON.stringify(rawContent(detail === "bare" ? { ...record, value: null } : record)),
      headers: [...headers].map(([name, value]) => [toAscii(name), toAscii(value)]),
    };
  }
}

/** The number in a header of ours; 0 for anything else. */
export function count(text: string | undefined): number {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : 0;
}

function describe(error: unknown): { readonly class: string; readonly message: string; readonly stack: string } {
  if (!(error instanceof Error)) return { class: typeof error, message: String(error), stack: "" };
  return { class: error.constructor?.name || error.name, message: error.message, stack: error.stack ?? "" };
}

function readableKey(key: Uint8Array | null): string {
  return key === null ? "" : toAscii(Buffer.from(key).toString("utf8"));
}
