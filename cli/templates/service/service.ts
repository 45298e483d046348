import type { Registry, Subscription } from "hexkit";
import { Reception } from "./core/reception.ts";
import { GreetingEvents } from "./translators/greetings.ts";
import { visitTranslator } from "./translators/visits.ts";

/** Puts core, ports and translators together and begins to consume. */
export function startService(registry: Registry): Subscription {
  const reception = new Reception(new GreetingEvents(registry.get("eventPublisher")));
  return registry.get("eventSubscriber").subscribe(visitTranslator(reception));
}
