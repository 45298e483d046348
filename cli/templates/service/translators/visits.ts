import { eventTranslator, type Translator } from "hexkit";
import type { VisitorWatcher } from "../ports/visitor-watcher.ts";

// JSON Schema here; a Standard Schema (zod, valibot, arktype …) does as well.
const visitorArrived = {
  type: "object",
  required: ["name"],
  properties: { name: { type: "string", minLength: 1 } },
} as const;

/** Inbound: events of the topic `visits` → the port `VisitorWatcher`. */
export function visitTranslator(watcher: VisitorWatcher): Translator {
  return eventTranslator({
    topic: "visits",
    events: {
      visitor_arrived: {
        schema: visitorArrived,
        consume: ({ key, payload }) => watcher.visitorArrived(key, payload.name),
      },
    },
  });
}
