import assert from "node:assert/strict";
import { test } from "node:test";
import { type Assignment, assignPartitions } from "../../../plugins/kafka/assigner.ts";

const plain = (assignments: ReadonlyMap<string, Assignment>): Record<string, Record<string, number[]>> =>
  Object.fromEntries([...assignments].map(([member, assignment]) => [member, { ...assignment }]));
const sizes = (assignments: ReadonlyMap<string, Assignment>): number[] =>
  [...assignments.values()].map((assignment) => Object.values(assignment).flat().length);

test("only members that subscribed to a topic get its partitions", () => {
  const members = [
    { memberId: "b", topics: ["one", "two"] },
    { memberId: "a", topics: ["one"] },
  ];
  const counts = new Map([
    ["one", 3],
    ["two", 2],
  ]);
  assert.deepEqual(plain(assignPartitions(members, counts)), { a: { one: [0, 1, 2] }, b: { two: [0, 1] } });
});

test("members that want the same get equal shares, every partition once", () => {
  for (const [memberCount, partitions] of [
    [1, 5],
    [2, 5],
    [3, 7],
    [5, 3],
  ] as const) {
    const members = Array.from({ length: memberCount }, (_, index) => ({ memberId: `m${index}`, topics: ["t", "u"] }));
    const assignments = assignPartitions(
      members,
      new Map([
        ["t", partitions],
        ["u", 1],
      ]),
    );
    assert.ok(Math.max(...sizes(assignments)) - Math.min(...sizes(assignments)) <= 1);
    const all = [...assignments.values()].flatMap((assignment) =>
      Object.entries(assignment).flatMap(([topic, numbers]) => numbers.map((number) => `${topic}/${number}`)),
    );
    assert.equal(all.length, partitions + 1);
    assert.equal(new Set(all).size, all.length);
  }
});

test("every member decides alike, in whatever order the members are named", () => {
  const members = ["c", "a", "b"].map((memberId) => ({ memberId, topics: ["t"] }));
  const counts = new Map([["t", 8]]);
  assert.deepEqual(plain(assignPartitions(members, counts)), plain(assignPartitions([...members].reverse(), counts)));
});

test("a topic that does not exist yet, or has a strange name, is no obstacle", () => {
  const assignments = assignPartitions([{ memberId: "a", topics: ["missing", "__proto__"] }], new Map([["__proto__", 1]]));
  assert.deepEqual(Object.entries(assignments.get("a") ?? {}), [["__proto__", [0]]]);
});
