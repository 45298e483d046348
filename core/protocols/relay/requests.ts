import type { HexkitError } from "../../errors.ts";
import { type Deferred, deferred } from "../../promise.ts";
import type { Round } from "./pipeline.ts";

/** Somebody who wants all that is pending to be published now. */
export interface Request {
  readonly answer: Deferred<void>;
  readonly failures: HexkitError[];
}

/** Who wants all that is pending to be published now. */
export class Requests {
  #open: Request[] = [];

  get size(): number {
    return this.#open.length;
  }

  add(): Request {
    const request: Request = { answer: deferred(), failures: [] };
    this.#open.push(request);
    return request;
  }

  /** Those whose turn it is; they are put back or answered. */
  take(): readonly Request[] {
    return this.#open.splice(0);
  }

  putBack(requests: readonly Request[]): void {
    this.#open.push(...requests);
  }

  withdraw(request: Request): void {
    this.#open = this.#open.filter((other) => other !== request);
  }

  /** After a round that was made for them; if some of it was not done, they have to wait for another. */
  advance(requests: readonly Request[], round: Round, isDone: boolean): void {
    for (const request of requests) {
      request.failures.push(...round.failures);
      if (isDone) request.answer.resolve();
      else this.#open.push(request);
    }
  }

  satisfyAll(): void {
    for (const { answer } of this.take()) answer.resolve();
  }

  failAll(error: HexkitError): void {
    for (const { answer } of this.take()) answer.reject(error);
  }
}
