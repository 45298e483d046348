import type { TopicPartition } from "./driver.ts";
import { Partition, type Window } from "./partition.ts";

/** The partitions that are assigned to a subscription, those that are being given up among them. */
export class Partitions {
  readonly #window: Window;
  readonly #byPlace = new Map<string, Partition>();

  constructor(window: Window) {
    this.#window = window;
  }

  get all(): readonly Partition[] {
    return [...this.#byPlace.values()];
  }

  get inFlight(): number {
    return this.all.reduce((sum, { inFlight }) => sum + inFlight, 0);
  }

  find(ref: TopicPartition): Partition | undefined {
    return this.#byPlace.get(keyOf(ref));
  }

  /** One that was lost may come back before its loss has been dealt with; one that is open stays as it is. */
  assign(ref: TopicPartition): void {
    if (this.find(ref)?.state !== "open") this.#byPlace.set(keyOf(ref), new Partition(ref, this.#window));
  }

  /** Forgets this assignment of a partition, not a later one. */
  remove(partition: Partition): void {
    if (this.find(partition.ref) === partition) this.#byPlace.delete(keyOf(partition.ref));
  }

  clear(): void {
    this.#byPlace.clear();
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
