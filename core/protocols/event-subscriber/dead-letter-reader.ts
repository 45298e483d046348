import { randomUUID } from "node:crypto";
import type { HexkitError } from "../../errors.ts";
import { encodeOrRefuse, isAscii, toAscii } from "../event-publisher/encode.ts";
import type { ProtocolContext } from "../index.ts";
import { asciiValue, count, type DeadLetters, failureHeaders, placeHeaders, retryTopicOf } from "./dead-letters.ts";
import { headerText, recordOf } from "./decode.ts";
import type { SourceRecord } from "./driver.ts";
import type {
  DeadLetter,
  DeadLetterContext,
  DeadLetterHandler,
  EventContext,
  ReceivedEvent,
  RedriveChanges,
  Translator,
} from "./event-subscriber.ts";
import type { Routes } from "./translator.ts";

interface ReaderOptions {
  readonly topic: string;
  readonly maxRedrives: number;
  readonly writer: DeadLetters;
  readonly context: Pick<ProtocolContext, "error" | "service">;
}

/** The routes of a reader: every type of its topic. */
export function deadLetterRoutes(
  topic: string,
  handler: DeadLetterHandler,
  options: ReaderOptions,
): { routes: Routes; translator: Translator } {
  const translator: Translator = {
    topics: [topic],
    types: ["*"],
    consume: (event, context) => {
      const letter = readDeadLetter(event, options.context.service.name);
      const redrive = (changes: RedriveChanges = {}): Promise<void> => sendBack(letter, recordOf(event), changes, context, options);
      const given: DeadLetterContext = { ...context, redrive };
      return handler(letter, given);
    },
  };
  return { translator, routes: { topics: [topic], find: () => translator, takesEverything: true } };
}

function readDeadLetter(event: ReceivedEvent, ownService: string): DeadLetter {
  const { headers } = event;
  const optional = (name: string): string | undefined => headers[name] || undefined;
  return {
    ...event,
    originalTopic: optional("original_topic"),
    originalEventId: optional("original_event_id"),
    firstEventId: optional("first_event_id") ?? optional("original_event_id"),
    service: headers.service || ownService,
    error: { class: headers.exc_class ?? "", message: headers.exc_msg ?? "", stack: headers.exc_stack ?? "" },
    attempts: count(headers.attempts),
    redrives: count(headers.redrives),
    undecodable: optional("undecodable"),
  };
}

/** Publishes a dead letter to the retry topic of its service, where it counts as an event of its original topic again. */
async function sendBack(
  letter: DeadLetter,
  record: SourceRecord | undefined,
  changes: RedriveChanges,
  { signal, correlationId }: EventContext,
  { maxRedrives, writer, context, topic }: ReaderOptions,
): Promise<void> {
  const about = `redrive of event ${letter.eventId} from ${JSON.stringify(topic)}`;
  const refuse = (code: HexkitError["code"], fact: string): HexkitError => context.error(code, `${about}: ${fact}`);
  if (letter.redrives >= maxRedrives) {
    throw refuse(
      "ERR_HEXKIT_REDRIVE_LIMIT",
      `it has been sent back ${letter.redrives} times, the limit is ${maxRedrives} (maxRedrives); mend its cause or discard it`,
    );
  }
  if (letter.undecodable !== undefined && changes.payload === undefined) {
    throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", `it could not be decoded (${letter.undecodable}); give the mended \`payload\``);
  }
  const retryTopic = retryTopicOf(letter.service);
  const type = changes.type ?? letter.type;
  const key = changes.key ?? letter.key;
  const originalTopic = changes.originalTopic ?? letter.originalTopic ?? "";
  // Whoever reads the retry topic would pass these over in silence.
  if (originalTopic === "") throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", "it has no original_topic; give `originalTopic`");
  if (originalTopic === retryTopic)
    throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", `originalTopic ${JSON.stringify(retryTopic)} is the retry topic itself`);
  if (type === "") throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", "it has no type; give `type`");
  for (const [name, text] of Object.entries({ type, key, originalTopic, service: letter.service })) {
    if (typeof text !== "string") throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", `${name} must be a string, not ${typeof text}`);
    if (!isAscii(text)) throw refuse("ERR_HEXKIT_NOT_ASCII", `${name} ${JSON.stringify(text)} has a character outside ASCII`);
  }
  const ours: Record<string, string> = {
    type,
    event_id: randomUUID(),
    correlation_id: correlationId,
    original_topic: originalTopic,
    first_event_id: letter.firstEventId ?? letter.eventId,
    attempts: String(letter.attempts),
    redrives: String(letter.redrives + 1),
  };
  const dropped = originalTopic === letter.originalTopic ? failureHeaders : [...failureHeaders, ...placeHeaders];
  const kept = (record?.headers ?? []).filter(([name]) => !dropped.includes(name) && !Object.hasOwn(ours, name));
  const value =
    changes.payload === undefined && record !== undefined ? asciiValue(record) : encodeOrRefuse(changes.payload ?? letter.payload, refuse);
  await writer.send(
    {
      topic: retryTopic,
      key,
      value,
      headers: [...kept.map(([name, bytes]) => [name, headerText(bytes)] as const), ...Object.entries(ours)].map(([name, text]) => [
        toAscii(name),
        toAscii(text),
      ]),
    },
    signal,
  );
}
