import { randomUUID } from "node:crypto";
import { isVersion4, parseUuid } from "../../uuid.ts";
import type { SourceRecord } from "./driver.ts";
import type { ReceivedEvent, Translator } from "./event-subscriber.ts";
import type { Routes } from "./translator.ts";

export interface DecodedEvent {
  readonly kind: "event";
  readonly event: ReceivedEvent;
  readonly correlationId: string;
  readonly translator: Translator;
  /** The record had no usable event id, so this one is random and differs at every delivery. */
  readonly eventIdInvented: boolean;
}

/** What a record turned out to be. `ignored` ones are acknowledged unseen, `undecodable` ones go the way of failures. */
export type Decoded =
  | DecodedEvent
  | { readonly kind: "ignored"; readonly reason: string }
  | { readonly kind: "undecodable"; readonly reason: string };

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Reads a record by the wire format of hexkit. What Python hexkit ignores (no type, no correlation id, a type that nobody
 * wants) is ignored here, before key and value are looked at. Valid UTF-8 is read although only ASCII is ever written.
 */
export function decode(record: SourceRecord, routes: Routes): Decoded {
  const headers: Record<string, string> = {};
  // The last of equal names wins; foreign bytes in a header are no reason to refuse a record.
  for (const [name, value] of record.headers) if (value !== null) headers[name] = lenient.decode(value);
  const { type, correlation_id: correlationText } = headers;
  if (!type) return { kind: "ignored", reason: "it has no type" };
  const translator = routes.find(record.topic, type);
  if (translator === undefined) return { kind: "ignored", reason: `no translator takes type ${JSON.stringify(type)}` };
  if (!correlationText) return { kind: "ignored", reason: "it has no correlation_id" };
  const correlationId = parseUuid(correlationText);
  if (correlationId === undefined || !isVersion4(correlationId)) {
    return { kind: "undecodable", reason: `correlation_id ${JSON.stringify(correlationText)} is not a UUID of version 4` };
  }
  if (record.key === null) return { kind: "undecodable", reason: "its key is null" };
  if (record.value === null) return { kind: "undecodable", reason: "its value is null" };
  let key: string;
  let text: string;
  try {
    key = strict.decode(record.key);
    text = strict.decode(record.value);
  } catch {
    return { kind: "undecodable", reason: "its key or value is not UTF-8 text" };
  }
  let payload: unknown;
  try {
    payload = JSON.parse(text);
  } catch (error) {
    return { kind: "undecodable", reason: `its value is not JSON: ${(error as Error).message}` };
  }
  const eventId = parseUuid(headers.event_id ?? "");
  return {
    kind: "event",
    event: { topic: record.topic, type, key, payload, eventId: eventId ?? randomUUID(), headers, timestamp: new Date(record.timestampMs) },
    correlationId,
    translator,
    eventIdInvented: eventId === undefined,
  };
}
