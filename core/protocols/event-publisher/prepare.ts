import { currentCorrelationId, newCorrelationId } from "../../correlation.ts";
import type { ErrorCode, HexkitError } from "../../errors.ts";
import { newUuid, parseUuid } from "../../uuid.ts";
import type { ProtocolContext } from "../index.ts";
import type { EventPublisherDriver, OutgoingRecord } from "./driver.ts";
import { encodeOrRefuse, isAscii } from "./encode.ts";
import type { OutgoingEvent } from "./event-publisher.ts";
import type { PublisherSettings } from "./settings.ts";

type Header = readonly [name: string, value: string];
type Context = ProtocolContext<PublisherSettings>;
type Refuse = (code: ErrorCode, fact: string) => HexkitError;

/** An event that has passed every check and needs only its trace headers. */
export interface PreparedEvent {
  readonly record: OutgoingRecord;
  readonly eventId: string;
}

export interface EventSurroundings {
  readonly driver: Pick<EventPublisherDriver, "maxRecordBytes">;
  readonly context: Context;
}

/**
 * Checks an event and writes it in wire format.
 * @throws as `EventPublisher`, before anything is sent.
 */
export function prepareEvent(event: OutgoingEvent, operation: string, { driver, context }: EventSurroundings): PreparedEvent {
  const refuse = (code: ErrorCode, fact: string): HexkitError => context.error(code, `${operation}: ${fact}`);
  if (typeof event !== "object" || event === null)
    throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", "an event is { topic, type, key, payload, … }");
  const eventId = event.eventId === undefined ? newUuid() : typeof event.eventId === "string" ? parseUuid(event.eventId) : undefined;
  if (eventId === undefined) throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", `eventId ${JSON.stringify(event.eventId)} is not a UUID`);
  const { topic, type, key } = event;
  checkName("topic", topic, refuse);
  checkName("type", type, refuse);
  checkName("key", key, refuse);
  const ours: readonly Header[] = [
    ["type", type],
    ["event_id", eventId],
    ["correlation_id", correlationId(context, refuse)],
  ];
  const headers = event.headers === undefined ? ours : withOurs(event.headers, ours, context, refuse);
  const value = encodeOrRefuse(event.payload, refuse);
  const sizeBytes = key.length + value.length;
  if (sizeBytes > driver.maxRecordBytes) {
    const limit = `${sizeBytes} bytes of key and payload for topic ${JSON.stringify(topic)} exceed the provider's limit of ${driver.maxRecordBytes}`;
    throw refuse(
      "ERR_HEXKIT_MESSAGE_TOO_LARGE",
      `${limit}; raise it on provider and broker, or store the content elsewhere and send its place`,
    );
  }
  return { record: { topic, key, value, headers }, eventId };
}

function checkName(name: "topic" | "type" | "key", value: unknown, refuse: Refuse): void {
  if (typeof value !== "string")
    throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", `${name} must be a string, not ${value === null ? "null" : typeof value}`);
  if (value === "" && name !== "key") throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", `${name} must not be empty`);
  if (!isAscii(value)) throw refuse("ERR_HEXKIT_NOT_ASCII", `${name} ${JSON.stringify(value)} has a character outside ASCII`);
}

function correlationId(context: Context, refuse: Refuse): string {
  const id = currentCorrelationId();
  if (id !== undefined) return id;
  if (context.settings.generateCorrelationId) return newCorrelationId();
  throw refuse(
    "ERR_HEXKIT_CORRELATION_ID_MISSING",
    "no correlation id is set and generateCorrelationId is off; publish inside withCorrelationId",
  );
}

/** The caller's headers first, then ours; one of ours that the caller gave keeps its place and loses its value. */
function withOurs(given: Readonly<Record<string, string>>, ours: readonly Header[], context: Context, refuse: Refuse): readonly Header[] {
  if (Object.prototype.toString.call(given) !== "[object Object]")
    throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", "headers must be an object of strings");
  const headers = new Map<string, string>();
  for (const [name, value] of Object.entries(given)) {
    if (typeof value !== "string")
      throw refuse(
        "ERR_HEXKIT_INVALID_ARGUMENT",
        `header ${JSON.stringify(name)} must be a string, not ${value === null ? "null" : typeof value}`,
      );
    if (!isAscii(name) || !isAscii(value))
      throw refuse("ERR_HEXKIT_NOT_ASCII", `header ${JSON.stringify(name)}: ${JSON.stringify(value)} has a character outside ASCII`);
    headers.set(name, value);
  }
  for (const [name, value] of ours) {
    const old = headers.get(name);
    if (old !== undefined) context.logger.warn({ header: name, old, new: value }, "a reserved header of a published event was replaced");
    headers.set(name, value);
  }
  return [...headers];
}
