import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { type Deferred, deferred } from "../../../core/promise.ts";
import { Lanes, over, type TaskOutcome } from "../../../core/protocols/event-subscriber/lanes.ts";
import { turns } from "./bench.ts";

/** Tasks are named by lane and number: `a1`. */
class Yard {
  readonly begun: string[] = [];
  readonly batches: string[][] = [];
  readonly #running = new Map<string, Deferred<readonly TaskOutcome[]>>();
  readonly given = new Set<string>();
  closed = false;
  readonly lanes: Lanes<string>;

  constructor(concurrency = 16, maxBatch = 3, batchOf: (task: string) => object | undefined = () => undefined) {
    const run = async (tasks: readonly string[]): Promise<readonly TaskOutcome[]> => {
      this.begun.push(...tasks);
      this.batches.push([...tasks]);
      const running = deferred<readonly TaskOutcome[]>();
      this.#running.set(tasks.join(), running);
      return running.promise;
    };
    this.lanes = new Lanes({
      concurrency,
      maxBatch,
      batchOf,
      run: (task, ended) => void run([task]).then(([outcome]) => ended(outcome as TaskOutcome)),
      runBatch: run,
      keeps: (task) => !this.given.has(task),
      awaits: (task) => !this.closed && !this.given.has(task),
    });
  }

  get running(): string[] {
    return [...this.#running.keys()];
  }

  add(...tasks: string[]): void {
    for (const task of tasks) this.lanes.add(task[0] as string, task);
    this.lanes.start();
  }

  /** Ends a run, given as `a1` or `a1,b2`, with a pause per task: `undefined` is success. */
  async end(name: string, ...pauses: (number | undefined)[]): Promise<void> {
    const running = this.#running.get(name);
    assert.ok(running, `${name} is not running, but ${this.running}`);
    this.#running.delete(name);
    running.resolve(name.split(",").map((_, index) => (pauses[index] === undefined ? over : { retryInMs: pauses[index] as number })));
    await turns(1);
  }

  async tick(ms: number): Promise<void> {
    mock.timers.tick(ms);
    await turns(1);
  }
}

describe("lanes", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
  afterEach(() => mock.timers.reset());

  it("begin nothing before start", () => {
    const yard = new Yard();
    yard.lanes.add("a", "a1");
    assert.deepEqual(yard.running, []);
    yard.lanes.start();
    assert.deepEqual(yard.running, ["a1"]);
  });

  it("keep the order of a lane over attempts and pauses", async () => {
    const yard = new Yard();
    yard.add("a1", "a2", "a3");
    await yard.end("a1", 100);
    yard.add("a4");
    assert.deepEqual(yard.running, [], "nothing of the lane runs during the pause");
    await yard.tick(99);
    assert.deepEqual(yard.running, []);
    await yard.tick(1);
    assert.deepEqual(yard.running, ["a1"]);
    await yard.end("a1", 0);
    await yard.tick(0);
    await yard.tick(1);
    for (const name of ["a1", "a2", "a3", "a4"]) await yard.end(name);
    assert.deepEqual(yard.begun, ["a1", "a1", "a1", "a2", "a3", "a4"]);
    assert.equal(yard.lanes.size, 0);
  });

  it("give the place of a paused lane to others, and its turn back behind those that wait", async () => {
    const yard = new Yard(1);
    yard.add("a1", "b1", "c1", "b2");
    await yard.end("a1", 10);
    assert.deepEqual(yard.running, ["b1"]);
    await yard.tick(10);
    assert.deepEqual(yard.running, ["b1"], "the bound holds for the next attempt too");
    await yard.end("b1");
    await yard.end("c1");
    assert.deepEqual(yard.running, ["a1"]);
    await yard.end("a1");
    await yard.end("b2");
    assert.equal(yard.lanes.size, 0);
  });

  it("forget lanes without tasks, however often they are used", async () => {
    const yard = new Yard();
    for (let round = 0; round < 3; round += 1) {
      yard.add("a1", "b1");
      assert.equal(yard.lanes.size, 2);
      await yard.end("a1");
      await yard.end("b1", 5);
      assert.equal(yard.lanes.size, 1);
      await yard.tick(5);
      await yard.end("b1");
      assert.equal(yard.lanes.size, 0);
    }
  });

  it("drop what may not wait, with the timers of pauses, and leave the rest", async () => {
    const yard = new Yard();
    yard.add("a1", "a2", "b1", "b2", "c1");
    await yard.end("a1", 50);
    await yard.end("c1", 50);
    for (const task of ["a1", "a2", "b2"]) yard.given.add(task);
    yard.lanes.drop();
    assert.equal(yard.lanes.size, 2, "b runs and c is paused");
    await yard.tick(50);
    assert.deepEqual(yard.running, ["b1", "c1"]);
    await yard.end("b1");
    await yard.end("c1");
    assert.deepEqual(yard.begun, ["a1", "b1", "c1", "c1"]);
    assert.equal(yard.lanes.size, 0);
  });

  it("ask about every pause before they ask about what waits behind it", async () => {
    const asked: string[] = [];
    const lanes = new Lanes<string>({
      concurrency: 3,
      maxBatch: 1,
      batchOf: () => undefined,
      run: (task, ended) => task === "z1" && ended({ retryInMs: 10 }),
      runBatch: () => assert.fail(),
      keeps: (task) => asked.push(`keeps ${task}`) > 0,
      awaits: (task) => asked.push(`awaits ${task}`) > 0,
    });
    for (const task of ["a1", "a2", "z1", "z2"]) lanes.add(task[0] as string, task);
    lanes.start();
    await turns(1);
    asked.length = 0;
    lanes.drop();
    assert.deepEqual(asked, ["awaits z1", "keeps a2", "keeps z1", "keeps z2"]);
  });

  it("start no timer for what fails while it may not wait, and go on with what is kept behind it", async () => {
    const yard = new Yard();
    yard.add("a1", "a2");
    yard.closed = true;
    await yard.end("a1", 10_000);
    assert.deepEqual(yard.running, ["a2"]);
    await yard.end("a2", 10_000);
    assert.equal(yard.lanes.size, 0);
    await yard.tick(10_000);
    assert.deepEqual(yard.begun, ["a1", "a2"]);
  });

  it("wait no longer than a timer can", async () => {
    const yard = new Yard();
    yard.add("a1");
    await yard.end("a1", Number.MAX_SAFE_INTEGER);
    await yard.tick(1);
    assert.deepEqual(yard.running, []);
    await yard.tick(2 ** 31 - 2);
    assert.deepEqual(yard.running, ["a1"]);
  });

  it("stand tasks that add others while they begin", async () => {
    const begun: string[] = [];
    const lanes: Lanes<string> = new Lanes({
      concurrency: 2,
      maxBatch: 1,
      batchOf: () => undefined,
      run: (task, ended) => {
        begun.push(task);
        if (task === "a1") {
          lanes.add("b", "b1");
          lanes.start();
          begun.push("end of a1");
        }
        ended(over);
      },
      runBatch: () => assert.fail(),
      keeps: () => true,
      awaits: () => true,
    });
    lanes.add("a", "a1");
    lanes.start();
    assert.deepEqual(begun, ["a1", "end of a1", "b1"]);
    assert.equal(lanes.size, 0);
  });

  it("run tasks that end at once in turns and in order, however many", () => {
    const begun: string[] = [];
    const lanes: Lanes<string> = new Lanes({
      concurrency: 1,
      maxBatch: 1,
      batchOf: () => undefined,
      run: (task, ended) => {
        begun.push(task);
        ended(over);
      },
      runBatch: () => assert.fail("there are no batches"),
      keeps: () => true,
      awaits: () => true,
    });
    const expected = Array.from({ length: 10_000 }, (_, index) => [`a${index}`, `b${index}`]);
    for (const [first, second] of expected as [string, string][]) {
      lanes.add("a", first);
      lanes.add("b", second);
    }
    lanes.start();
    assert.deepEqual(begun, expected.flat());
    assert.equal(lanes.size, 0);
  });
});

describe("batches in lanes", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
  afterEach(() => mock.timers.reset());
  const all = {};

  it("gather what has been added together, up to maxBatch, and count as one run", async () => {
    const yard = new Yard(2, 3, () => all);
    yard.add("a1", "b1", "a2", "c1", "c2", "d1", "e1");
    assert.deepEqual(yard.batches, [
      ["a1", "a2", "b1"],
      ["c1", "c2", "d1"],
    ]);
    await yard.end("a1,a2,b1");
    assert.deepEqual(yard.running, ["c1,c2,d1", "e1"]);
    await yard.end("c1,c2,d1");
    await yard.end("e1");
    assert.equal(yard.lanes.size, 0);
  });

  it("leave a lane's rest for later when the batch is full, and take no lane that runs or pauses", async () => {
    const yard = new Yard(2, 3, () => all);
    yard.add("a1", "a2", "a3", "a4", "b1");
    assert.deepEqual(yard.running, ["a1,a2,a3", "b1"]);
    yard.add("b2", "c1");
    await yard.end("a1,a2,a3");
    assert.deepEqual(yard.running, ["b1", "c1,a4"], "b waits for b1");
    await yard.end("b1", 10);
    await yard.end("c1,a4");
    assert.deepEqual(yard.running, []);
    await yard.tick(10);
    assert.deepEqual(yard.running, ["b1,b2"]);
  });

  it("hold tasks of one batch only, in each lane up to the first of another", async () => {
    const [even, odd] = [{}, {}];
    const yard = new Yard(1, 5, (task) => (task.endsWith("0") ? undefined : Number(task.slice(1)) % 2 === 0 ? even : odd));
    yard.add("a1", "a2", "b3", "c2", "d0", "b5", "a3");
    assert.deepEqual(yard.running, ["a1,b3,b5"]);
    await yard.end("a1,b3,b5");
    assert.deepEqual(yard.running, ["c2,a2"]);
    await yard.end("c2,a2");
    assert.deepEqual(yard.running, ["d0"]);
    await yard.end("d0");
    assert.deepEqual(yard.running, ["a3"]);
  });

  it("run again what failed and what is held behind it, in order, after the longest pause of its lane", async () => {
    const yard = new Yard(4, 4, () => all);
    yard.add("a1", "a2", "a3", "b1");
    yard.add("a4");
    await yard.end("a1,a2,a3,b1", undefined, 40, 0, undefined);
    assert.equal(yard.lanes.size, 1);
    await yard.tick(39);
    assert.deepEqual(yard.running, []);
    await yard.tick(1);
    assert.deepEqual(yard.running, ["a2,a3,a4"]);
    await yard.end("a2,a3,a4");
    assert.equal(yard.lanes.size, 0);
  });

  it("pause each lane by itself", async () => {
    const yard = new Yard(4, 4, () => all);
    yard.add("a1", "b1", "c1");
    await yard.end("a1,b1,c1", 10, 20, undefined);
    await yard.tick(10);
    assert.deepEqual(yard.running, ["a1"]);
    await yard.tick(10);
    assert.deepEqual(yard.running, ["a1", "b1"]);
  });
});
