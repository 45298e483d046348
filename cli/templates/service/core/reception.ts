import type { Greeter } from "../ports/greeter.ts";
import type { VisitorWatcher } from "../ports/visitor-watcher.ts";

/** What the service is about. It knows its ports, and neither events nor hexkit. */
export class Reception implements VisitorWatcher {
  readonly #greeter: Greeter;

  constructor(greeter: Greeter) {
    this.#greeter = greeter;
  }

  async visitorArrived(visitorId: string, name: string): Promise<void> {
    await this.#greeter.greet(visitorId, `Welcome, ${name}!`);
  }
}
