import { randomUUID } from "node:crypto";
import { newCorrelationId } from "../../correlation.ts";
import { isHexkitError } from "../../errors.ts";
import type { EventPublisherDriver, OutgoingRecord } from "../event-publisher/driver.ts";
import { toAscii } from "../event-publisher/encode.ts";
import { SendQueue } from "../event-publisher/send-queue.ts";
import type { ProtocolContext } from "../index.ts";
import { type DecodedEvent, decodeHeaders, headerText, rawContent, readableKey, type Undecodable } from "./decode.ts";
import type { SourceRecord } from "./driver.ts";
import { describeThrown } from "./thrown.ts";

/** An event that failed for good. */
export interface Failure {
  readonly record: SourceRecord;
  readonly decoded: DecodedEvent | Undecodable;
  /** What the first attempt threw, as hexkit records it. */
  readonly error: unknown;
  /** All attempts of this delivery. */
  readonly attempts: number;
}

/** Where a record lay in the topic that it was published to. */
export const placeHeaders: readonly string[] = ["original_partition", "original_offset", "original_timestamp"];

/** Headers that describe a failure, not the event: they do not go along when it is sent back for another try. */
export const failureHeaders: readonly string[] = [
  "exc_class",
  "exc_msg",
  "exc_stack",
  "failed_at",
  "service",
  "original_event_id",
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

/** How much of a failure a dead letter carries: less, if the broker refuses more. `bare` is without content and foreign headers. */
type Detail = "full" | "short" | "bare";
const details: readonly Detail[] = ["full", "short", "bare"];
/** Longest texts, in characters. Headers count towards the size that a broker accepts. */
const limits: Readonly<Record<Detail, { readonly message: number; readonly stack: number }>> = {
  full: { message: 2_000, stack: 8_000 },
  short: { message: 500, stack: 0 },
  bare: { message: 500, stack: 0 },
};
/** The longest key and event id that a bare dead letter carries. */
const bareLength = 1_000;

/** Writes events that failed for good to the dead-letter topic, by the publisher's queue: with retries until its deadline. */
export class DeadLetters {
  readonly #driver: EventPublisherDriver;
  readonly #context: ProtocolContext;
  readonly #queue: SendQueue;
  /** The last write under way per topic and key. */
  readonly #tails = new Map<string, Promise<unknown>>();
  #closed = false;

  constructor(
    driver: EventPublisherDriver,
    context: ProtocolContext,
    publisher: Pick<ProtocolContext, "mapError">,
    deliveryTimeoutMs: number,
  ) {
    this.#driver = driver;
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

  /**
   * Resolves when the dead letter is stored. A record too large for the broker is written with less around it, at last without its content.
   * Once `signal` aborts, it is not written, if that is still possible.
   */
  async write(failure: Failure, topic: string, signal: AbortSignal): Promise<void> {
    for (const detail of details) {
      const record = this.#record(failure, topic, detail);
      const fits = record.key.length + record.value.length <= this.#driver.maxRecordBytes;
      if (!fits && detail !== "bare") continue;
      try {
        return await this.send(record, signal);
      } catch (error) {
        if (!isHexkitError(error, "ERR_HEXKIT_MESSAGE_TOO_LARGE") || detail === "bare") throw error;
      }
    }
  }

  /** Sends any record, such as one for the retry topic. One at a time per topic and key: the failure of one would take along those behind it. */
  async send(record: OutgoingRecord, signal: AbortSignal): Promise<void> {
    const name = `${record.topic.length}/${record.topic}${record.key}`;
    const sending = this.#after(this.#tails.get(name), record, signal);
    this.#tails.set(name, sending);
    try {
      await sending;
    } finally {
      if (this.#tails.get(name) === sending) this.#tails.delete(name);
    }
  }

  async #after(before: Promise<unknown> | undefined, record: OutgoingRecord, signal: AbortSignal): Promise<void> {
    await before?.catch(() => undefined);
    if (this.#closed)
      throw this.#context.error("ERR_HEXKIT_CLOSED", `publish to topic ${JSON.stringify(record.topic)}: the registry closed`);
    if (signal.aborted) {
      const fact = `publish to topic ${JSON.stringify(record.topic)}: aborted by its signal; it was not sent`;
      throw this.#context.error("ERR_HEXKIT_ABORTED", fact, signal.reason);
    }
    await this.#queue.add(record, signal);
  }

  async flush(signal: AbortSignal): Promise<void> {
    this.#closed = true;
    await this.#queue.flush(signal);
  }

  #record({ record, decoded, error, attempts }: Failure, topic: string, detail: Detail): OutgoingRecord {
    const isEvent = decoded.kind === "event";
    const original = decodeHeaders(record);
    const originalTopic = isEvent ? decoded.event.topic : decoded.topic;
    // Headers of these names mean something only if we wrote them, which we do on the way to the retry topic.
    const history = originalTopic === record.topic ? {} : original;
    const eventId = isEvent ? decoded.event.eventId : (original.event_id ?? "").slice(0, bareLength);
    const { message, stack } = limits[detail];
    const facts = describeThrown(error);
    // In the order of hexkit's contract, our own behind them.
    const ours: Record<string, string> = {
      type: original.type ?? "",
      event_id: randomUUID(),
      correlation_id: isEvent ? decoded.correlationId : newCorrelationId(),
      exc_class: facts.class,
      exc_msg: this.#context.redact(facts.message).slice(0, message),
      original_topic: originalTopic,
      original_event_id: eventId,
      service: this.#context.service.name,
      exc_stack: this.#context.redact(facts.stack).slice(0, stack),
      attempts: String(count(history.attempts) + attempts),
      failed_at: new Date(this.#context.clock.now()).toISOString(),
      ...originalPlace(record, originalTopic, history),
      first_event_id: history.first_event_id || eventId,
      redrives: String(count(history.redrives)),
      ...(!isEvent && { undecodable: decoded.reason }),
      ...(detail === "bare" && { undecodable: `it was too large for a dead letter; it lies at ${placeOf(record)}` }),
    };
    const foreign = ([name]: readonly [string, unknown]): boolean => !Object.hasOwn(ours, name) && !failureHeaders.includes(name);
    const kept = detail === "bare" ? [] : record.headers.filter(foreign).map(([name, value]) => [name, headerText(value)] as const);
    const key = isEvent ? decoded.event.key : readableKey(record.key);
    const content = detail === "bare" ? { key: (record.key?.length ?? 0) > bareLength ? null : record.key, value: null } : record;
    return {
      topic,
      key: toAscii(detail === "bare" ? key.slice(0, bareLength) : key),
      // ASCII JSON in any case, so that a Python reader survives it.
      value: isEvent && detail !== "bare" ? asciiValue(record) : JSON.stringify(rawContent(content)),
      headers: [...kept, ...Object.entries(ours)].map(([name, value]) => [toAscii(name), toAscii(value)]),
    };
  }
}

/** The content of an event as it came, in ASCII. */
export function asciiValue({ value }: Pick<SourceRecord, "value">): string {
  return toAscii(headerText(value));
}

/** An event that comes back from the retry topic has its place with it, unless somebody else sent it back. */
function originalPlace(record: SourceRecord, originalTopic: string, history: Readonly<Record<string, string>>): Record<string, string> {
  if (originalTopic === record.topic) {
    return {
      original_partition: String(record.partition),
      original_offset: String(record.offset),
      original_timestamp: isoTime(record.timestampMs),
    };
  }
  return Object.fromEntries(placeHeaders.flatMap((name) => (history[name] === undefined ? [] : [[name, history[name]]])));
}

function placeOf({ topic, partition, offset }: SourceRecord): string {
  return `topic ${JSON.stringify(topic)}, partition ${partition}, offset ${offset}`;
}

/** Producers may write any number as their time. */
function isoTime(ms: number): string {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? "" : time.toISOString();
}

/** The number in a header of ours; 0 for anything else. */
export function count(text: string | undefined): number {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : 0;
}
