import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { OffsetTracker } from "../../../core/index.ts";
import { randomFrom } from "../random.ts";

describe("OffsetTracker", () => {
  it("has no position before the first record is settled", () => {
    const tracker = new OffsetTracker();
    tracker.delivered(7);
    assert.equal(tracker.position, undefined);
    assert.equal(tracker.pending, 1);
  });

  it("moves to one past the contiguous settled prefix, over gaps", () => {
    const tracker = new OffsetTracker();
    for (const offset of [3, 4, 10, 11]) tracker.delivered(offset);
    assert.equal(tracker.settle(4), false);
    assert.equal(tracker.settle(11), false);
    assert.equal(tracker.position, undefined);
    assert.equal(tracker.settle(3), true);
    assert.equal(tracker.position, 5);
    assert.equal(tracker.pending, 2);
    assert.equal(tracker.settle(10), true);
    assert.equal(tracker.position, 12);
    assert.equal(tracker.pending, 0);
  });

  it("does not mind repetitions, before and behind the position", () => {
    const tracker = new OffsetTracker();
    for (const offset of [0, 1, 1, 0, 2]) tracker.delivered(offset);
    assert.equal(tracker.pending, 3);
    for (const offset of [1, 1, 0, 0, 1]) tracker.settle(offset);
    assert.equal(tracker.position, 2);
    assert.equal(tracker.settle(0), false);
    assert.equal(tracker.settle(2), true);
    assert.equal(tracker.pending, 0);
  });

  it("passes over what has not been delivered, also when it is delivered later", () => {
    const tracker = new OffsetTracker();
    assert.equal(tracker.settle(5), false);
    tracker.delivered(4);
    tracker.settle(5);
    tracker.delivered(5);
    assert.equal(tracker.settle(4), true);
    assert.equal(tracker.position, 5, "5 was delivered after it was said to be settled, so it is not");
  });

  it("agrees with a plain search for any order, with gaps, repetitions and deliveries in between", () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const random = randomFrom(seed);
      const tracker = new OffsetTracker();
      const delivered: number[] = [];
      const settled = new Set<number>();
      let next = Math.floor(random() * 1_000);
      for (let step = 0; step < 300; step += 1) {
        if (random() < 0.4) {
          next += 1 + (random() < 0.2 ? Math.floor(random() * 50) : 0);
          delivered.push(next);
          tracker.delivered(next);
        } else if (delivered.length > 0) {
          const offset = delivered[Math.floor(random() * delivered.length)] as number;
          const before = tracker.position;
          settled.add(offset);
          const moved = tracker.settle(offset);
          assert.equal(moved, tracker.position !== before);
        }
        const open = delivered.findIndex((offset) => !settled.has(offset));
        const prefix = open === -1 ? delivered.length : open;
        assert.equal(tracker.position, prefix === 0 ? undefined : (delivered[prefix - 1] as number) + 1, `seed ${seed}, step ${step}`);
        assert.equal(tracker.pending, delivered.length - prefix, `seed ${seed}, step ${step}`);
      }
    }
  });

  it("stays small over a long run in which a window of records is settled in random order", () => {
    const random = randomFrom(42);
    const tracker = new OffsetTracker();
    const open: number[] = [];
    const run = (count: number, from: number): void => {
      for (let offset = from; offset < from + count; offset += 1) {
        tracker.delivered(offset);
        open.push(offset);
        if (open.length < 100) continue;
        const [settled] = open.splice(Math.floor(random() * open.length), 1);
        tracker.settle(settled as number);
      }
    };
    run(100_000, 0);
    gc();
    const before = process.memoryUsage().heapUsed;
    run(1_000_000, 100_000);
    gc();
    const grown = process.memoryUsage().heapUsed - before;
    // A million numbers would be eight million bytes. The oldest may lag behind for long, so that the window itself varies.
    assert.ok(grown < 2_000_000, `${grown} bytes more`);
    for (const offset of open) tracker.settle(offset);
    assert.equal(tracker.position, 1_100_000);
    assert.equal(tracker.pending, 0);
  });
});

/** Collects garbage without a flag of the command line. */
function gc(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}
