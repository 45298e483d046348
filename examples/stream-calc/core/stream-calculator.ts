import type { ProblemHandler } from "../ports/problem-handler.ts";
import type { ResultEmitter } from "../ports/result-emitter.ts";

/** Solves problems as they come and emits one outcome for each. */
export class StreamCalculator implements ProblemHandler {
  readonly #results: ResultEmitter;

  constructor(results: ResultEmitter) {
    this.#results = results;
  }

  async multiply(problemId: string, multiplier: number, multiplicand: number): Promise<void> {
    await this.#results.emitResult(problemId, multiplier * multiplicand);
  }

  async divide(problemId: string, dividend: number, divisor: number): Promise<void> {
    if (divisor === 0) await this.#results.emitFailure(problemId, "The divisor may not be zero.");
    else await this.#results.emitResult(problemId, dividend / divisor);
  }
}
