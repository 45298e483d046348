import assert from "node:assert/strict";
import { test } from "node:test";
import { Troubles } from "../../../core/index.ts";

test("of several troubles the newest is told, and the last one left when it is over; nothing once silent", () => {
  const told: (string | undefined)[] = [];
  const troubles = new Troubles({ trouble: (trouble) => void told.push(trouble?.reason) });
  troubles.raise("a", "one");
  troubles.raise("b", "two");
  troubles.raise("b", "two");
  troubles.clear("b");
  troubles.clear("b");
  troubles.clear("a");
  assert.deepEqual(told, ["a: one", "b: two", "a: one", undefined]);
  troubles.silence();
  troubles.raise("c", "three");
  troubles.clear("c");
  assert.equal(told.length, 4);
});

test("an error is told with its trouble, in the words of the driver", () => {
  const told: unknown[] = [];
  const sink = { trouble: (trouble: unknown) => void told.push(trouble) };
  const error = new Error("refused");
  new Troubles(sink).raise("topic a", "cannot be read", error);
  new Troubles(sink, () => "no leader").raise("topic a", "cannot be read", error);
  assert.deepEqual(told, [
    { reason: "topic a: cannot be read: refused", error },
    { reason: "topic a: cannot be read: no leader", error },
  ]);
});
