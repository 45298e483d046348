import { HexkitError } from "../../errors.ts";
import { compileSchema, type Schema, type SchemaOutput, type Validator } from "../../schema.ts";
import type { EventContext, Translator } from "./event-subscriber.ts";
import { LatestStates, sequenceHeader } from "./sequence.ts";

/** Event types of an outbox: the full state of a resource, and its end. Those of hexkit. */
const outboxTypes = { changed: "upserted", deleted: "deleted" } as const;

/**
 * Makes a translator for the events of an outbox: `upserted` carries a resource's full state, `deleted` nothing. The id is the event's key, always text.
 * A state that does not fit the schema fails the event with ERR_HEXKIT_PAYLOAD_INVALID; `changed` is then not called.
 * Both must stand repetition, and `deleted` ids that were never seen. A state that is older than one that this process has handled (by the event's header
 * `sequence`, where it has one) is passed over. Borrowed from hexkit's DAO subscriber.
 */
export function daoTranslator<S extends Schema>(spec: {
  readonly topic: string;
  /** Of the resource's state: a Standard Schema or a JSON Schema. */
  readonly schema: S;
  changed(id: string, state: SchemaOutput<S>, context: EventContext): void | Promise<void>;
  deleted(id: string, context: EventContext): void | Promise<void>;
}): Translator {
  let validator: Validator | undefined;
  const latest = new LatestStates();
  const compile = async (): Promise<Validator> => {
    validator ??= await compileSchema(spec.schema, "daoTranslator: schema");
    return validator;
  };
  return {
    topics: [spec.topic],
    types: Object.values(outboxTypes),
    async prepare() {
      await compile();
    },
    async consume(event, context) {
      const sequence = event.headers?.[sequenceHeader];
      if (latest.isOutdated(event.key, sequence)) {
        context.logger.info(
          { key: event.key, topic: event.topic, sequence },
          "a state that is older than one handled before was passed over",
        );
        return;
      }
      if (event.type === outboxTypes.deleted) {
        await spec.deleted(event.key, context);
        latest.handled(event.key, sequence);
        return;
      }
      const result = await (await compile())(event.payload);
      if (result.issues !== undefined) {
        const fact = `state of ${JSON.stringify(event.key)} from topic ${JSON.stringify(event.topic)} does not fit: ${result.issues.join("; ")}`;
        throw new HexkitError("ERR_HEXKIT_PAYLOAD_INVALID", fact);
      }
      await spec.changed(event.key, result.value as SchemaOutput<S>, context);
      latest.handled(event.key, sequence);
    },
  };
}
