import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Run } from "../../faults/journal.ts";
import { judge } from "../../faults/verdict.ts";

/** Runs of one key, each as `event attempt begin–end` with `!` for failure and no end for one that has none: `2 1 10-20!`. */
function runsOf(...texts: readonly string[]): Run[] {
  return texts.map((text) => {
    const [, n, attempt, begin, end, failed] = /^(\d+) (\d+) (\d+)-(\d*)(!?)$/.exec(text) ?? assert.fail(`${text} is no run`);
    const run: Run = { id: `event ${n}`, key: "k", n: Number(n), attempt: Number(attempt), member: "m", beginMs: Number(begin) };
    return { ...run, ...(end && { endMs: Number(end) }), ...(failed && { failed: true }) };
  });
}

describe("order violations in the verdict on faults", () => {
  for (const [what, violations, runs] of [
    ["events in order, with a retry", 0, ["1 1 0-1", "2 1 1-2!", "2 2 5-6", "3 1 6-7"]],
    ["an event that is given up after its retries", 0, ["1 1 0-1!", "1 2 2-3!", "2 1 3-4"]],
    ["a repetition of what has succeeded", 0, ["1 1 0-1", "2 1 1-2", "1 1 3-4", "2 1 4-5"]],
    ["a repetition of what has failed, from its predecessor on", 0, ["1 1 0-1", "2 1 1-2!", "1 1 3-4", "2 1 4-5", "3 1 5-6"]],
    ["a later event first", 1, ["2 1 0-1", "1 1 1-2"]],
    ["a retry that a later event overtakes", 1, ["1 1 0-1!", "2 1 1-2", "1 2 3-4"]],
    ["a retry that two later events overtake", 1, ["1 1 0-1!", "2 1 1-2", "3 1 2-3", "1 2 3-4"]],
    ["two retries that a later event overtakes", 2, ["1 1 0-1!", "2 1 1-2!", "3 1 2-3", "1 2 3-4", "2 2 4-5"]],
    ["an overtaken retry that is repeated", 1, ["1 1 0-1!", "2 1 1-2", "1 2 3-4", "1 1 5-6"]],
    ["an event beside another", 1, ["1 1 0-5", "2 1 3-6"]],
    ["an event beside one that never ends", 1, ["1 1 0-", "2 1 3-6"]],
  ] as const) {
    it(`${violations === 0 ? "are none" : `are ${violations}`} for ${what}`, () => {
      assert.equal(judge([], runsOf(...runs)).orderViolations, violations);
      assert.equal(judge([], runsOf(...runs).reverse()).orderViolations, violations, "in whatever order the runs were read");
    });
  }
});
