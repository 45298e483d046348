import { randomUUID } from "node:crypto";
import { currentCorrelationId } from "../../correlation.ts";
import type { HexkitError } from "../../errors.ts";
import { parseUuid } from "../../uuid.ts";
import { encodePayload, isAscii, toAscii, Unencodable } from "../event-publisher/encode.ts";
import type { ProtocolContext } from "../index.ts";
import { count, type DeadLetters, failureHeaders, retryTopicOf } from "./dead-letters.ts";
import type { DeadLetter, DeadLetterContext, DeadLetterHandler, ReceivedEvent, RedriveChanges, Translator } from "./event-subscriber.ts";
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
      const redrive = (changes: RedriveChanges = {}): Promise<void> => sendBack(letter, changes, options);
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
  changes: RedriveChanges,
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
  const originalTopic = changes.originalTopic ?? letter.originalTopic;
  if (originalTopic === undefined) throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", "it has no original_topic; give `originalTopic`");
  if (letter.undecodable !== undefined && changes.payload === undefined) {
    throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", `it could not be decoded (${letter.undecodable}); give the mended \`payload\``);
  }
  const type = changes.type ?? letter.type;
  const key = changes.key ?? letter.key;
  for (const [name, text] of Object.entries({ type, key, originalTopic })) {
    if (!isAscii(text)) throw refuse("ERR_HEXKIT_NOT_ASCII", `${name} ${JSON.stringify(text)} has a character outside ASCII`);
  }
  const headers = new Map(Object.entries(letter.headers).filter(([name]) => !failureHeaders.includes(name)));
  const ours: Record<string, string> = {
    type,
    event_id: randomUUID(),
    correlation_id: currentCorrelationId() ?? parseUuid(letter.headers.correlation_id ?? "") ?? randomUUID(),
    original_topic: originalTopic,
    first_event_id: letter.firstEventId ?? letter.eventId,
    attempts: String(letter.attempts),
    redrives: String(letter.redrives + 1),
  };
  for (const [name, value] of Object.entries(ours)) headers.set(name, value);
  await writer.send({
    topic: retryTopicOf(letter.service),
    key,
    value: encode(changes.payload ?? letter.payload, refuse),
    headers: [...headers].map(([name, value]) => [toAscii(name), toAscii(value)]),
  });
}

function encode(payload: unknown, refuse: (code: HexkitError["code"], fact: string) => HexkitError): string {
  try {
    return encodePayload(payload);
  } catch (error) {
    throw refuse(
      "ERR_HEXKIT_PAYLOAD_INVALID",
      error instanceof Unencodable ? error.message : `payload cannot be written as JSON: ${error}`,
    );
  }
}
