import type { EventPublisher } from "hexkit";
import type { Greeter } from "../ports/greeter.ts";

/** Outbound: the port `Greeter` → events of the topic `greetings`. */
export class GreetingEvents implements Greeter {
  readonly #publisher: EventPublisher;

  constructor(publisher: EventPublisher) {
    this.#publisher = publisher;
  }

  greet(visitorId: string, text: string): Promise<void> {
    return this.#publisher.publish({ topic: "greetings", type: "greeting_due", key: visitorId, payload: { text } });
  }
}
