import type { EventPublisher } from "hexkit";
import type { ResultEmitter } from "../ports/result-emitter.ts";

/** Outbound: the port `ResultEmitter` → events of the topic of results. */
export class EventResultEmitter implements ResultEmitter {
  readonly #publisher: EventPublisher;
  readonly #topic: string;

  constructor(publisher: EventPublisher, topic: string) {
    this.#publisher = publisher;
    this.#topic = topic;
  }

  emitResult(problemId: string, result: number): Promise<void> {
    return this.#publisher.publish({
      topic: this.#topic,
      type: "calc_success",
      key: problemId,
      payload: { problem_id: problemId, result },
    });
  }

  emitFailure(problemId: string, reason: string): Promise<void> {
    return this.#publisher.publish({
      topic: this.#topic,
      type: "calc_failure",
      key: problemId,
      payload: { problem_id: problemId, reason },
    });
  }
}
