import { isUtf8 } from "node:buffer";
import { randomUUID } from "node:crypto";
import { isVersion4, parseUuid } from "../../uuid.ts";
import type { RecordText, SourceRecord } from "./driver.ts";
import type { AnyTranslator, ReceivedEvent } from "./event-subscriber.ts";
import type { Routes } from "./translator.ts";

export interface DecodedEvent {
  readonly kind: "event";
  readonly event: ReceivedEvent;
  readonly correlationId: string;
  readonly translator: AnyTranslator;
  /** The record had no usable event id, so this one is random and differs at every delivery. */
  readonly eventIdInvented: boolean;
}

/** `topic` is where the event was published first, also if it comes from the retry topic. */
export interface Undecodable {
  readonly kind: "undecodable";
  readonly reason: string;
  readonly topic: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What a record turned out to be. `ignored` ones are acknowledged unseen, `undecodable` ones go the way of failures. */
export type Decoded = DecodedEvent | Undecodable | { readonly kind: "ignored"; readonly reason: string };

/** By Buffer, which takes a third of the time of a TextDecoder on short texts. */
function textOf(bytes: Uint8Array): string {
  return bufferOf(bytes).toString("utf8");
}

/** The same bytes with the methods of a Buffer. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** All headers as text. The last of equal names wins; foreign bytes in a header are no reason to refuse a record. */
export function decodeHeaders(record: SourceRecord): Record<string, string> {
  const headers: Record<string, string> = {};
  if (record.text !== undefined) for (const [name, value] of record.text.headers) headers[name] = value;
  else for (const [name, value] of record.headers) if (value !== null) headers[name] = textOf(value);
  return headers;
}

/** One header as text, the last of equal names; empty if there is none. */
export function decodeHeader({ headers, text }: SourceRecord, name: string): string {
  if (text !== undefined) return text.headers.findLast(([header]) => header === name)?.[1] ?? "";
  return headerText(headers.findLast(([header]) => header === name)?.[1] ?? null);
}

/** Bytes as text, whatever they are. */
export function headerText(value: Uint8Array | null): string {
  return value === null ? "" : textOf(value);
}

/** A key as text where it is text; else empty, so that whoever reads it does not take garbage for a key. */
export function readableKey(key: Uint8Array | null): string {
  return key !== null && isUtf8(key) ? textOf(key) : "";
}

/** Key and payload as the wire format has them, or why they are not. */
function decodeContent(record: SourceRecord): { readonly key: string; readonly payload: unknown } | { readonly reason: string } {
  let { text }: { readonly text?: Pick<RecordText, "key" | "value"> | undefined } = record;
  if (text === undefined) {
    const { key, value } = record;
    if (key === null) return { reason: "its key is null" };
    if (value === null) return { reason: "its value is null" };
    if (!isUtf8(key) || !isUtf8(value)) return { reason: "its key or value is not UTF-8 text" };
    text = { key: textOf(key), value: textOf(value) };
  }
  try {
    return { key: text.key, payload: JSON.parse(text.value) };
  } catch (error) {
    return { reason: `its value is not JSON: ${(error as Error).message}` };
  }
}

/**
 * Reads a record by the wire format of hexkit. What Python hexkit ignores (no type, no correlation id, a type that nobody
 * wants) is ignored here, before key and value are looked at. Valid UTF-8 is read although only ASCII is ever written.
 * A record of `retryTopic` counts as one of its `original_topic`.
 */
export function decode(record: SourceRecord, routes: Routes, retryTopic?: string): Decoded {
  const headers = decodeHeaders(record);
  if (routes.takesEverything) return decodeAnything(record, headers, routes);
  let { topic } = record;
  if (topic === retryTopic) {
    const { original_topic: original } = headers;
    if (!original || original === retryTopic) return { kind: "ignored", reason: "a record of the retry topic names no original_topic" };
    topic = original;
    delete headers.original_topic;
  }
  const { type, correlation_id: correlationText } = headers;
  if (!type) return { kind: "ignored", reason: "it has no type" };
  const translator = routes.find(topic, type);
  if (translator === undefined) return { kind: "ignored", reason: `no translator takes type ${JSON.stringify(type)}` };
  if (!correlationText) return { kind: "ignored", reason: "it has no correlation_id" };
  const undecodable = (reason: string): Undecodable => ({ kind: "undecodable", reason, topic, headers });
  const correlationId = parseUuid(correlationText);
  if (correlationId === undefined || !isVersion4(correlationId)) {
    return undecodable(`correlation_id ${JSON.stringify(correlationText.slice(0, 100))} is not a UUID of version 4`);
  }
  const content = decodeContent(record);
  if ("reason" in content) return undecodable(content.reason);
  const eventId = parseUuid(headers.event_id ?? "");
  const { key, payload } = content;
  return {
    kind: "event",
    event: { topic, type, key, payload, eventId: eventId ?? randomUUID(), headers, timestamp: new Date(record.timestampMs) },
    correlationId,
    translator,
    eventIdInvented: eventId === undefined,
  };
}

const records = new WeakMap<ReceivedEvent, SourceRecord>();

/** The record of an event that a reader of everything got. */
export function recordOf(event: ReceivedEvent): SourceRecord | undefined {
  return records.get(event);
}

/** A record as an event whatever it is, for readers that must see all: what is missing is made up, what cannot be read is given in base64. */
function decodeAnything(record: SourceRecord, headers: Record<string, string>, routes: Routes): Decoded {
  const { topic } = record;
  const type = headers.type ?? "";
  const translator = routes.find(topic, type);
  if (translator === undefined) return { kind: "ignored", reason: "no translator takes it" };
  const read = decodeContent(record);
  const content = "reason" in read ? { key: readableKey(record.key), payload: rawContent(record) } : read;
  if ("reason" in read) headers.undecodable ||= read.reason;
  const correlation = parseUuid(headers.correlation_id ?? "");
  const eventId = parseUuid(headers.event_id ?? "");
  const event = { topic, type, ...content, eventId: eventId ?? randomUUID(), headers, timestamp: new Date(record.timestampMs) };
  records.set(event, record);
  return {
    kind: "event",
    event,
    correlationId: correlation !== undefined && isVersion4(correlation) ? correlation : randomUUID(),
    translator,
    eventIdInvented: eventId === undefined,
  };
}

/** Key and value in base64, null where they are null. */
export function rawContent({ key, value }: Pick<SourceRecord, "key" | "value">): {
  readonly raw_key: string | null;
  readonly raw_value: string | null;
} {
  const base64 = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString("base64"));
  return { raw_key: base64(key), raw_value: base64(value) };
}
