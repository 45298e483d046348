/**
 * Runs tasks concurrently, but those of one lane one after the other and in order. At most `concurrency` run at once;
 * lanes take turns, so that a busy one does not starve the others.
 */
export class Lanes<Task> {
  readonly #run: (task: Task) => Promise<void>;
  readonly #concurrency: number;
  readonly #waiting = new Map<string, Task[]>();
  /** Lanes with something to do of which nothing is running, in order of their turn. */
  readonly #ready: string[] = [];
  #running = 0;
  #pumping = false;

  /** `run` never rejects. */
  constructor(concurrency: number, run: (task: Task) => Promise<void>) {
    this.#concurrency = concurrency;
    this.#run = run;
  }

  add(lane: string, task: Task): void {
    const waiting = this.#waiting.get(lane);
    if (waiting !== undefined) {
      waiting.push(task);
      return;
    }
    this.#waiting.set(lane, [task]);
    this.#ready.push(lane);
    this.#pump();
  }

  /** Forgets the tasks that have not begun and that `doomed` picks. */
  drop(doomed: (task: Task) => boolean): void {
    for (const [lane, tasks] of this.#waiting) {
      this.#waiting.set(
        lane,
        tasks.filter((task) => !doomed(task)),
      );
    }
  }

  #pump(): void {
    // A task that ends at once must not recurse into here.
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#running < this.#concurrency && this.#ready.length > 0) {
      const lane = this.#ready.shift() as string;
      const task = this.#waiting.get(lane)?.shift();
      if (task === undefined) {
        this.#waiting.delete(lane);
        continue;
      }
      this.#running += 1;
      void this.#run(task).then(() => {
        this.#running -= 1;
        this.#ready.push(lane);
        this.#pump();
      });
    }
    this.#pumping = false;
  }
}
