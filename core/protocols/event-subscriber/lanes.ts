import { longestTimerMs } from "../../promise.ts";

/** What became of a task: it is over, or it is to be run again after a pause. */
export interface TaskOutcome {
  readonly retryInMs?: number;
}

export const over: TaskOutcome = Object.freeze({});

export interface LanesOptions<Task> {
  /** Runs at once, a batch counted as one. */
  readonly concurrency: number;
  /** Most tasks of one batch. */
  readonly maxBatch: number;
  /** Tasks with one (defined) batch may run together; others run alone. */
  batchOf(task: Task): object | undefined;
  /** Runs one task and calls `ended` once, at once if nothing is to be waited for. Never throws. */
  run(task: Task, ended: (outcome: TaskOutcome) => void): void;
  /** Runs a batch, in which the tasks of one lane are in order, and gives an outcome for each. Never rejects. */
  runBatch(tasks: readonly Task[]): Promise<readonly TaskOutcome[]>;
  /** Whether a task may go on waiting for its turn. Asked by `drop`. */
  keeps(task: Task): boolean;
  /** Whether a task may wait for its next attempt. Asked when it failed, and by `drop`. */
  awaits(task: Task): boolean;
}

interface Lane<Task> {
  readonly name: string;
  waiting: Task[];
  /** Set while the lane waits for the next attempt of its first task. */
  pause: NodeJS.Timeout | undefined;
}

/** The tasks that a batch takes from one lane. */
interface Share<Task> {
  readonly lane: Lane<Task>;
  readonly tasks: Task[];
}

/**
 * Runs tasks concurrently, but those of one lane one after the other and in order. Lanes take turns, so that a busy one does not
 * starve the others. A task that is to be run again holds back its own lane only, and no place among the running.
 */
export class Lanes<Task> {
  readonly #options: LanesOptions<Task>;
  readonly #lanes = new Map<string, Lane<Task>>();
  /** Lanes with something to do of which nothing is running, in order of their turn. */
  #ready: Lane<Task>[] = [];
  #running = 0;
  #pumping = false;

  constructor(options: LanesOptions<Task>) {
    this.#options = options;
  }

  /** Lanes with something to do, running or waiting. */
  get size(): number {
    return this.#lanes.size;
  }

  /** The tasks that wait for their next attempt. */
  get paused(): readonly Task[] {
    return [...this.#lanes.values()].flatMap(({ pause, waiting }) => (pause === undefined ? [] : waiting.slice(0, 1)));
  }

  /** Puts a task at the end of its lane. Nothing begins before `start`, so that what is added together may run as one batch. */
  add(name: string, task: Task): void {
    const known = this.#lanes.get(name);
    if (known !== undefined) {
      known.waiting.push(task);
      return;
    }
    const lane: Lane<Task> = { name, waiting: [task], pause: undefined };
    this.#lanes.set(name, lane);
    this.#ready.push(lane);
  }

  /** Begins as much as may run at once. */
  start(): void {
    // A task that adds others while it begins must not recurse into here.
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#running < this.#options.concurrency && this.#ready.length > 0) this.#begin(this.#ready.shift() as Lane<Task>);
    this.#pumping = false;
  }

  /** Forgets the tasks that may not wait any more. Those that run are not asked for. */
  drop(): void {
    const { awaits, keeps } = this.#options;
    // All of these first: what they say may decide about the others.
    for (const { pause, waiting } of this.#lanes.values()) if (pause !== undefined) awaits(waiting[0] as Task);
    for (const lane of this.#lanes.values()) {
      lane.waiting = lane.waiting.filter((task) => keeps(task));
      if (lane.pause !== undefined && lane.waiting.length === 0) {
        clearTimeout(lane.pause);
        this.#lanes.delete(lane.name);
      }
    }
  }

  #begin(lane: Lane<Task>): void {
    const first = lane.waiting.shift();
    if (first === undefined) {
      this.#lanes.delete(lane.name);
      return;
    }
    this.#running += 1;
    const batch = this.#options.batchOf(first);
    if (batch === undefined) {
      this.#options.run(first, (outcome) => {
        this.#running -= 1;
        if (outcome.retryInMs === undefined) this.#free(lane);
        else this.#end({ lane, tasks: [first] }, [outcome]);
        this.start();
      });
      return;
    }
    const shares = this.#gather(lane, first, batch);
    void this.#options.runBatch(shares.flatMap(({ tasks }) => tasks)).then((outcomes) => {
      this.#running -= 1;
      let at = 0;
      for (const share of shares) {
        this.#end(share, outcomes.slice(at, at + share.tasks.length));
        at += share.tasks.length;
      }
      this.start();
    });
  }

  /** A batch: what waits behind `first`, then the lanes whose turn is next. */
  #gather(lane: Lane<Task>, first: Task, batch: object): Share<Task>[] {
    const shares: Share<Task>[] = [{ lane, tasks: [first] }];
    let room = this.#options.maxBatch - 1;
    const take = ({ lane: from, tasks }: Share<Task>): void => {
      while (room > 0 && from.waiting.length > 0 && this.#options.batchOf(from.waiting[0] as Task) === batch) {
        tasks.push(from.waiting.shift() as Task);
        room -= 1;
      }
    };
    take(shares[0] as Share<Task>);
    this.#ready = this.#ready.filter((next) => {
      if (room === 0 || next.waiting.length === 0 || this.#options.batchOf(next.waiting[0] as Task) !== batch) return true;
      const share: Share<Task> = { lane: next, tasks: [] };
      take(share);
      shares.push(share);
      return false;
    });
    return shares;
  }

  #end({ lane, tasks }: Share<Task>, outcomes: readonly TaskOutcome[]): void {
    const again = tasks.filter((task, index) => outcomes[index]?.retryInMs !== undefined && this.#options.awaits(task));
    if (again.length === 0) {
      this.#free(lane);
      return;
    }
    lane.waiting.unshift(...again);
    const pauseMs = Math.min(longestTimerMs, Math.max(...outcomes.map(({ retryInMs = 0 }) => retryInMs)));
    lane.pause = setTimeout(() => {
      lane.pause = undefined;
      this.#ready.push(lane);
      this.start();
    }, pauseMs);
  }

  /** Nothing of this lane is running any more. */
  #free(lane: Lane<Task>): void {
    if (lane.waiting.length > 0) this.#ready.push(lane);
    else this.#lanes.delete(lane.name);
  }
}
