import { HexkitError } from "../../errors.ts";
import { compileSchema, type Schema, type SchemaOutput, type Validator } from "../../schema.ts";
import type { AnyTranslator, BatchTranslator, EventContext, ReceivedEvent, Translator } from "./event-subscriber.ts";

/** One type of event: its payload's schema and what to do with it. */
export interface EventSpec<S extends Schema> {
  /** A Standard Schema (zod, valibot, …) or a JSON Schema. */
  readonly schema: S;
  /** Gets the payload as the schema gives it. */
  consume(event: ReceivedEvent<SchemaOutput<S>>, context: EventContext): void | Promise<void>;
}

/**
 * Makes a translator for events of one topic (or several) with a schema per type. A payload that does not fit its schema
 * fails the event with ERR_HEXKIT_PAYLOAD_INVALID, which names the fields; `consume` is then not called.
 */
export function eventTranslator<const Schemas extends Readonly<Record<string, Schema>>>(spec: {
  readonly topic: string | readonly string[];
  readonly events: { readonly [Type in keyof Schemas]: EventSpec<Schemas[Type]> };
}): Translator {
  const events = spec.events as unknown as Readonly<Record<string, EventSpec<Schema>>>;
  const validators = new Map<string, Validator>();
  return {
    topics: typeof spec.topic === "string" ? [spec.topic] : spec.topic,
    types: Object.keys(events),
    async prepare() {
      for (const [type, { schema }] of Object.entries(events)) validators.set(type, await compileSchema(schema, `events.${type}.schema`));
    },
    async consume(event, context) {
      const known = events[event.type] as EventSpec<Schema>;
      const validator = validators.get(event.type) ?? (await compileSchema(known.schema, `events.${event.type}.schema`));
      validators.set(event.type, validator);
      const result = await validator(event.payload);
      if (result.issues !== undefined) {
        throw new HexkitError(
          "ERR_HEXKIT_PAYLOAD_INVALID",
          `payload of event type ${JSON.stringify(event.type)} from topic ${JSON.stringify(event.topic)} does not fit: ${result.issues.join("; ")}`,
        );
      }
      await known.consume({ ...event, payload: result.value as never }, context);
    },
  };
}

/** Whether a translator takes batches. */
export function isBatchTranslator(translator: AnyTranslator): translator is BatchTranslator {
  return "consumeBatch" in translator;
}

/** Which translator takes which events. */
export interface Routes {
  readonly topics: readonly string[];
  /** Records without type or correlation id are taken as well, and undecodable content is no fault. */
  readonly takesEverything?: boolean;
  find(topic: string, type: string): AnyTranslator | undefined;
}

/**
 * Combines translators.
 * @throws ERR_HEXKIT_INVALID_ARGUMENT for one without topics, types or a handler; ERR_HEXKIT_TRANSLATOR_CLASH if two claim one (topic, type).
 */
export function combine(translators: readonly AnyTranslator[], refuse: (code: HexkitError["code"], fact: string) => HexkitError): Routes {
  if (translators.length === 0) throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", "no translator given");
  const routes = new Map<string, Map<string, { translator: AnyTranslator; index: number }>>();
  translators.forEach((translator, index) => {
    const which = translators.length === 1 ? "the translator" : `translator ${index}`;
    for (const list of ["topics", "types"] as const) {
      const names: unknown = translator?.[list];
      if (!Array.isArray(names) || names.length === 0 || names.some((name) => typeof name !== "string" || name === "")) {
        throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", `${which}: ${list} must be a list of at least one non-empty string`);
      }
    }
    const handlers = ["consume", "consumeBatch"].filter(
      (name) => typeof (translator as unknown as Record<string, unknown>)[name] === "function",
    );
    if (handlers.length !== 1)
      throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", `${which}: it needs the function consume or, for batches, consumeBatch`);
    for (const topic of new Set(translator.topics)) {
      const types = routes.get(topic) ?? new Map();
      routes.set(topic, types);
      for (const type of new Set(translator.types)) {
        const other = types.get(type);
        if (other !== undefined) {
          throw refuse(
            "ERR_HEXKIT_TRANSLATOR_CLASH",
            `translators ${other.index} and ${index} both claim type ${JSON.stringify(type)} of topic ${JSON.stringify(topic)}; leave it to one`,
          );
        }
        types.set(type, { translator, index });
      }
    }
  });
  return { topics: [...routes.keys()], find: (topic, type) => routes.get(topic)?.get(type)?.translator };
}
