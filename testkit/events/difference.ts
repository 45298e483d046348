import { HexkitError } from "../../core/index.ts";
import type { RecordedEvent } from "./recording.ts";

/** What is expected of an event. What is left out (or null) is not compared. */
export interface ExpectedEvent {
  readonly type: string;
  /** Compared with the payload that came after it went through JSON: a `Date` is its text, what is `undefined` is not there. Nothing more may be in it. */
  readonly payload: unknown;
  readonly key?: string | null | undefined;
  readonly eventId?: string | null | undefined;
  readonly topic?: string | null | undefined;
  /** Each of these must be there; others may be. Needs a recording with `captureHeaders`. */
  readonly headers?: Readonly<Record<string, string>> | null | undefined;
}

/** More of one event says nothing that the first do not. */
const mostDifferences = 20;
const longestText = 400;

/** An event that is expected, its payload as JSON gives it back. @throws ERR_HEXKIT_PAYLOAD_INVALID */
export function normalised(event: ExpectedEvent, index: number): ExpectedEvent {
  try {
    return { ...event, payload: JSON.parse(JSON.stringify(event.payload)) as unknown };
  } catch (error) {
    throw new HexkitError(
      "ERR_HEXKIT_PAYLOAD_INVALID",
      `expectEvents: the payload of expected event ${index + 1} cannot be written as JSON`,
      {
        cause: error,
      },
    );
  }
}

/** In what an event that came is not the expected one, each as a line; none if it is. */
export function differencesOf(expected: ExpectedEvent, came: RecordedEvent): string[] {
  const lines: string[] = [];
  const compare = (what: string, wanted: string | null | undefined, found: string): void => {
    if (wanted !== undefined && wanted !== null && wanted !== found)
      lines.push(`${what}: ${show(wanted)} was expected, ${show(found)} came`);
  };
  compare("topic", expected.topic, came.topic);
  compare("type", expected.type, came.type);
  compare("key", expected.key, came.key);
  compare("eventId", expected.eventId, came.eventId);
  if (expected.headers !== undefined && expected.headers !== null) {
    if (came.headers === undefined) lines.push("headers: they were not captured; record with { captureHeaders: true }");
    else for (const [name, value] of Object.entries(expected.headers)) compareValues(`headers.${name}`, value, came.headers[name], lines);
  }
  compareValues("payload", expected.payload, came.payload, lines);
  return lines.length > mostDifferences ? [...lines.slice(0, mostDifferences), `and ${lines.length - mostDifferences} more`] : lines;
}

function compareValues(path: string, wanted: unknown, found: unknown, lines: string[]): void {
  if (Array.isArray(wanted) && Array.isArray(found)) {
    for (let index = 0; index < Math.max(wanted.length, found.length); index += 1)
      compareValues(`${path}[${index}]`, wanted[index], found[index], lines);
    return;
  }
  if (isRecord(wanted) && isRecord(found)) {
    for (const name of new Set([...Object.keys(wanted), ...Object.keys(found)])) {
      const step = /^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
      compareValues(path + step, own(wanted, name), own(found, name), lines);
    }
    return;
  }
  if (!Object.is(wanted, found)) lines.push(`${path}: ${show(wanted)} was expected, ${show(found)} came`);
}

function own(record: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value as a text on one line. */
function show(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length <= longestText ? text : `${text.slice(0, longestText)}… (${text.length} characters)`;
}

/** What matters of an event, on one line. */
export function describeEvent({ topic, type, key, eventId, headers, payload }: Partial<ExpectedEvent>, withTopic: boolean): string {
  const facts = [
    type,
    withTopic && topic !== undefined && topic !== null && `topic ${show(topic)}`,
    key !== undefined && key !== null && `key ${show(key)}`,
    eventId && `eventId ${eventId}`,
    headers !== undefined && headers !== null && `headers ${show(headers)}`,
    `payload ${show(payload)}`,
  ];
  return facts.filter(Boolean).join(", ");
}
