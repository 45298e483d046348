import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { type Registry, withCorrelationId } from "hexkit";
import { expectEvents, openTestRegistry, publishEvents, recordEvents, settled } from "hexkit/testkit";
import { config, startStreamCalc } from "../service.ts";

const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
// On a broker that is shared, no test sees the events of another.
const newTopics = () => ({ problems: `problems-${randomUUID()}`, results: `results-${randomUUID()}` });
// In memory; on whatever the environment binds otherwise.
const open = (): Promise<Registry> => openTestRegistry(config, { env: process.env, logger });

const multiplication = (problem_id: string, multiplier: number, multiplicand: number) => ({
  type: "multiplication_problem",
  payload: { problem_id, multiplier, multiplicand },
});
const division = (problem_id: string, dividend: number, divisor: number) => ({
  type: "division_problem",
  payload: { problem_id, dividend, divisor },
});
const success = (problem_id: string, result: number) => ({ type: "calc_success", key: problem_id, payload: { problem_id, result } });

describe("stream_calc", () => {
  it("multiplies and divides", async () => {
    await using registry = await open();
    const topics = newTopics();
    startStreamCalc(registry, topics);
    await expectEvents(registry, topics.results, [success("m1", 42), success("d1", 0.25), success("m2", 0)], async () => {
      await publishEvents(registry, topics.problems, [multiplication("m1", 6, 7), division("d1", 1, 4), multiplication("m2", 0, 9)]);
      await settled(registry);
    });
  });

  it("says why it cannot divide by zero, and goes on", async () => {
    await using registry = await open();
    const topics = newTopics();
    startStreamCalc(registry, topics);
    const failure = { type: "calc_failure", key: "d1", payload: { problem_id: "d1", reason: "The divisor may not be zero." } };
    await expectEvents(registry, topics.results, [failure, success("d2", 2)], async () => {
      await publishEvents(registry, topics.problems, [division("d1", 1, 0), division("d2", 4, 2)]);
      await settled(registry);
    });
  });

  it("emits one result per problem, in the order of the problems of one key", async () => {
    await using registry = await open();
    const topics = newTopics();
    startStreamCalc(registry, topics);
    const numbers = Array.from({ length: 50 }, (_, n) => n);
    const expected = numbers.map((n) => success("same", n * n));
    await expectEvents(registry, topics.results, expected, async () => {
      await publishEvents(
        registry,
        topics.problems,
        numbers.map((n) => multiplication("same", n, n)),
      );
      await settled(registry);
    });
  });

  it("hands on the correlation id of a problem", async () => {
    await using registry = await open();
    const topics = newTopics();
    startStreamCalc(registry, topics);
    const results = await recordEvents(registry, topics.results, { captureHeaders: true });
    const correlationId = randomUUID();
    await withCorrelationId(correlationId, () => publishEvents(registry, topics.problems, multiplication("m1", 2, 3)));
    await settled(registry);
    expectEvents(await results.stop(), [{ ...success("m1", 6), headers: { correlation_id: correlationId } }]);
  });

  it("passes over what is no problem", async () => {
    await using registry = await open();
    const topics = newTopics();
    startStreamCalc(registry, topics);
    await expectEvents(registry, topics.results, [success("m1", 6)], async () => {
      await publishEvents(registry, topics.problems, [{ type: "weather", payload: { sunny: true } }, multiplication("m1", 2, 3)]);
      await settled(registry);
    });
  });

  it("stops at a problem that it cannot read, and emits nothing for it", async () => {
    await using registry = await open();
    const topics = newTopics();
    startStreamCalc(registry, topics);
    await expectEvents(registry, topics.results, [], async () => {
      await publishEvents(registry, topics.problems, { type: "division_problem", payload: { problem_id: "d1", dividend: "one" } });
      await assert.rejects(settled(registry), { code: "ERR_HEXKIT_NOT_SETTLED", message: /payload.*does not fit/ });
    });
  });
});
