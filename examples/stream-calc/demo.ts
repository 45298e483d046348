import { eventTranslator, openRegistry, type Subscription, withNewCorrelationId } from "hexkit";
import { config, run, startStreamCalc } from "./service.ts";

const problems = [
  { text: "24 × 38", type: "multiplication_problem", payload: { problem_id: "m001", multiplier: 24, multiplicand: 38 } },
  { text: "24 ÷ 38", type: "division_problem", payload: { problem_id: "d001", dividend: 24, divisor: 38 } },
  { text: "1 ÷ 0", type: "division_problem", payload: { problem_id: "d002", dividend: 1, divisor: 0 } },
] as const;
const waitMs = 30_000;

const success = {
  type: "object",
  required: ["problem_id", "result"],
  properties: { problem_id: { type: "string" }, result: { type: "number" } },
} as const;
const failure = {
  type: "object",
  required: ["problem_id", "reason"],
  properties: { problem_id: { type: "string" }, reason: { type: "string" } },
} as const;

await run(async () => {
  await using registry = await openRegistry({ config });
  const service = startStreamCalc(registry);
  await withNewCorrelationId(async (correlationId) => {
    const outcomes = new Map<string, string>();
    // On a broker that outlives this program the topic also holds results of earlier runs.
    const note = (id: string, outcome: string, from: string): void => {
      if (from === correlationId) outcomes.set(id, outcome);
      if (outcomes.size === problems.length) void results.stop();
    };
    const results: Subscription = registry.get("eventSubscriber").subscribe(
      eventTranslator({
        topic: "calc_output",
        events: {
          calc_success: {
            schema: success,
            consume: ({ payload }, { correlationId: from }) => note(payload.problem_id, `= ${payload.result}`, from),
          },
          calc_failure: {
            schema: failure,
            consume: ({ payload }, { correlationId: from }) => note(payload.problem_id, `failed: ${payload.reason}`, from),
          },
        },
      }),
      { group: "stream_calc_demo" },
    );
    const publisher = registry.get("eventPublisher");
    for (const { type, payload } of problems)
      await publisher.publish({ topic: "arithmetic_problems", type, key: "test_examples", payload });

    const timeout = setTimeout(() => void results.stop(), waitMs);
    await Promise.race([results.done, service.done]).finally(() => clearTimeout(timeout));
    for (const { text, payload } of problems)
      console.log(`${payload.problem_id}  ${text.padEnd(7)}  ${outcomes.get(payload.problem_id) ?? "no result"}`);
    if (outcomes.size < problems.length)
      throw new Error(`only ${outcomes.size} of ${problems.length} results came within ${waitMs / 1000} s`);
  });
});
