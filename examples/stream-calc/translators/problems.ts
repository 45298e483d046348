import { eventTranslator, type Translator } from "hexkit";
import type { ProblemHandler } from "../ports/problem-handler.ts";

const multiplication = {
  type: "object",
  required: ["problem_id", "multiplier", "multiplicand"],
  properties: { problem_id: { type: "string" }, multiplier: { type: "number" }, multiplicand: { type: "number" } },
} as const;

const division = {
  type: "object",
  required: ["problem_id", "dividend", "divisor"],
  properties: { problem_id: { type: "string" }, dividend: { type: "number" }, divisor: { type: "number" } },
} as const;

/** Inbound: events of the topic of problems → the port `ProblemHandler`. */
export function problemTranslator(handler: ProblemHandler, topic: string): Translator {
  return eventTranslator({
    topic,
    events: {
      multiplication_problem: {
        schema: multiplication,
        consume: ({ payload }) => handler.multiply(payload.problem_id, payload.multiplier, payload.multiplicand),
      },
      division_problem: {
        schema: division,
        consume: ({ payload }) => handler.divide(payload.problem_id, payload.dividend, payload.divisor),
      },
    },
  });
}
