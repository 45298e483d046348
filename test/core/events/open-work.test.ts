import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import type { TopicAccess } from "../../../core/protocols/event-subscriber/driver.ts";
import type { EngineWork } from "../../../core/protocols/event-subscriber/open-work.ts";
import { OpenWork } from "../../../core/protocols/event-subscriber/open-work.ts";

/** One subscription, one partition: what is looked at, to be changed by a test. */
function scene() {
  const facts = { start: 0, end: 5, position: 5 as number | undefined, received: 5, handled: 5, retried: 0, state: "running" as const };
  const work: { -readonly [Name in keyof EngineWork]: EngineWork[Name] } = { inFlight: 0, waiting: [], failure: undefined };
  const reads: number[] = [];
  const access: TopicAccess = {
    list: async () => ["t"],
    extents: async () => [{ topic: "t", partition: 0, start: facts.start, end: facts.end }],
    positions: async () => (facts.position === undefined ? [] : [{ topic: "t", partition: 0, offset: facts.position }]),
    read: ({ start }) => {
      reads.push(start);
      return Readable.from([]);
    },
    clear: async () => {},
  };
  const context = { call: (_: string, __: string, ___: unknown, run: () => unknown) => run(), error: () => new Error("no") };
  const openWork = new OpenWork(access, context as never);
  const subscription = {
    group: "g",
    topics: ["t"],
    get state() {
      return facts.state;
    },
    stats: () => ({ ...facts, trouble: undefined }) as never,
    work: async () => work,
  };
  const look = () => openWork.report([subscription], new AbortController().signal);
  return { facts, work, reads, look };
}

describe("what is open of a subscription", () => {
  it("is nothing where the group stands at the end", async () => {
    const { look, facts } = scene();
    assert.deepEqual((await look()).open, []);
    Object.assign(facts, { start: 5, position: undefined });
    assert.deepEqual((await look()).open, [], "nor where all has been deleted");
    Object.assign(facts, { start: 5, position: 2 });
    assert.deepEqual((await look()).open, [], "nor where what it had not read has been deleted");
  });

  it("is what lies behind the group's position, from the start without one", async () => {
    const { look, facts } = scene();
    facts.position = 3;
    assert.deepEqual((await look()).open, ['group "g": 2 unhandled from offset 3 of topic "t", partition 0']);
    Object.assign(facts, { start: 1, position: undefined });
    assert.deepEqual((await look()).open, ['group "g": 4 unhandled from offset 1 of topic "t", partition 0']);
  });

  it("is marked by whatever happens in between", async () => {
    const { look, facts } = scene();
    const marks = new Set([(await look()).mark]);
    for (const change of [{ received: 6 }, { handled: 6 }, { retried: 1 }, { end: 6, position: 6 }, { state: "degraded" }]) {
      Object.assign(facts, change);
      const before = marks.size;
      marks.add((await look()).mark);
      assert.equal(marks.size, before + 1, `${JSON.stringify(change)} makes another mark`);
    }
    assert.ok(marks.has((await look()).mark), "nothing makes none");
  });

  it("is not what holds no record, which is read once nothing moves, and once only", async () => {
    const { look, facts, work, reads } = scene();
    Object.assign(facts, { end: 6, position: 5 });
    work.inFlight = 1;
    for (const _ of [1, 2]) assert.notDeepEqual((await look()).open, [], "not while something is in flight");
    work.inFlight = 0;
    assert.deepEqual(reads, []);
    assert.deepEqual((await look()).open, [], "it has not moved since the last look");
    assert.deepEqual((await look()).open, []);
    assert.deepEqual(reads, [5]);
    Object.assign(facts, { end: 7 });
    assert.notDeepEqual((await look()).open, [], "what is new may be a record");
  });
});
