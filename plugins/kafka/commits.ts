import type { Assignment } from "./assignment.ts";
import type { Attempts } from "./attempts.ts";
import { isPassing } from "./errors.ts";
import { type Group, meansLost, meansRebalance } from "./group.ts";

/** Commits the positions of one assignment, one commit at a time; what is settled meanwhile shares the next. */
export class Commits {
  readonly #assignment: Assignment;
  readonly #group: Group;
  readonly #attempts: Attempts;
  readonly #leaving: AbortSignal;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(assignment: Assignment, group: Group, attempts: Attempts, leaving: AbortSignal) {
    this.#assignment = assignment;
    this.#group = group;
    this.#attempts = attempts;
    this.#leaving = leaving;
  }

  /** Resolves once what is settled by now is remembered, or the assignment is over. */
  soon(): Promise<void> {
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        this.#running = this.#commit();
        return this.#running;
      });
    return this.#next;
  }

  async #commit(): Promise<void> {
    const { memberId, generationId, partitions, owning } = this.#assignment;
    while (!owning.signal.aborted) {
      const due = [...partitions.values()].filter(
        ({ tracker, committed }) => tracker.position !== undefined && tracker.position !== committed,
      );
      if (due.length === 0) return;
      const positions = due.map(({ at, tracker }) => ({ ...at, offset: tracker.position as number }));
      try {
        await this.#group.commit(memberId, generationId, positions);
        due.forEach((owned, index) => {
          owned.committed = positions[index]?.offset;
        });
        this.#attempts.succeeded();
        return;
      } catch (error) {
        if (meansLost(error)) this.#assignment.end({ lost: true });
        else if (meansRebalance(error)) return this.#assignment.end({ lost: false });
        else if (!isPassing(error)) throw error;
        else await this.#attempts.failed(error, owning.signal);
      }
    }
    // Passed over if the partitions are another member's now; a source that left cannot say so.
    if (this.#leaving.aborted) throw new Error("the source left its group before the broker remembered what was acknowledged");
  }
}
