import type { EventPublisher } from "hexkit";
import type { ResultEmitter } from "../ports/result-emitter.ts";

/** Outbound: the port `ResultEmitter` → events of the topic `calc_output`. */
export class EventResultEmitter implements ResultEmitter {
  readonly #publisher: EventPublisher;

  constructor(publisher: EventPublisher) {
    this.#publisher = publisher;
  }

  emitResult(problemId: string, result: number): Promise<void> {
    return this.#publisher.publish({
      topic: "calc_output",
      type: "calc_success",
      key: problemId,
      payload: { problem_id: problemId, result },
    });
  }

  emitFailure(problemId: string, reason: string): Promise<void> {
    return this.#publisher.publish({
      topic: "calc_output",
      type: "calc_failure",
      key: problemId,
      payload: { problem_id: problemId, reason },
    });
  }
}
