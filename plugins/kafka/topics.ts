import type { Clock, Troubles } from "../../core/index.ts";
import type { Assignment } from "./assignment.ts";
import type { Cluster } from "./cluster.ts";
import { isPassing } from "./errors.ts";
import { leadersOf } from "./positions.ts";

/** A broker that creates a topic on demand is done within a fraction of this. */
const creationMs = 1_000;
/** For so long a topic that the broker may be creating is no trouble. */
const quietMs = 3_000;
const pollMs = { creating: 50, missing: 1_000, settled: 30_000 };

/** Asks for topics in a way that creates them, and waits a moment until they are there: to join before would be to join twice. */
export async function awaitTopics(cluster: Cluster, topics: readonly string[], clock: Clock, signal: AbortSignal): Promise<void> {
  for (const until = clock.now() + creationMs; !signal.aborted && clock.now() < until; ) {
    try {
      const found = await cluster.topics(topics, true);
      if (topics.every((topic) => found.get(topic)?.leaders.length && !found.get(topic)?.leaders.includes(-1))) return;
      if (topics.some((topic) => found.get(topic)?.error !== undefined && !isPassing(found.get(topic)?.error))) return;
    } catch {
      // Joining meets the same and says so.
      return;
    }
    await clock.sleep(pollMs.creating, signal);
  }
}

/** Watches the topics of an assignment: who leads them, whether they exist, whether partitions are added. */
export class TopicWatch {
  readonly #cluster: Cluster;
  readonly #wanted: readonly string[];
  readonly #creates: boolean;
  readonly #troubles: Troubles;
  readonly #clock: Clock;

  constructor(cluster: Cluster, wanted: readonly string[], creates: boolean, troubles: Troubles, clock: Clock) {
    this.#cluster = cluster;
    this.#wanted = wanted;
    this.#creates = creates;
    this.#troubles = troubles;
    this.#clock = clock;
  }

  /** Tells `lead` whenever it has looked; ends the assignment when the group must share anew. @throws what waiting does not mend. */
  async run(
    assignment: Assignment,
    counts: ReadonlyMap<string, number>,
    lead: (leaders: Map<string, readonly number[]>) => void,
  ): Promise<void> {
    const { signal } = assignment.fetching;
    const topics = assignment.leads ? [...counts.keys()] : this.#wanted;
    const quietUntil = this.#creates ? this.#clock.now() + quietMs : 0;
    while (!signal.aborted) {
      const quiet = this.#clock.now() < quietUntil;
      let settled = false;
      try {
        const found = await this.#cluster.topics(topics, this.#creates);
        if (signal.aborted) break;
        const leaders = leadersOf(found);
        const missing = this.#wanted.filter((topic) => (leaders.get(topic)?.length ?? 0) === 0);
        for (const topic of this.#wanted) {
          const error = found.get(topic)?.error;
          if (!missing.includes(topic)) this.#troubles.clear(`topic ${topic}`);
          else if (error !== undefined && !isPassing(error)) throw error;
          else if (!quiet) this.#troubles.raise(`topic ${topic}`, "does not exist", error);
        }
        const changed = topics.some((topic) => (leaders.get(topic)?.length ?? 0) > (counts.get(topic) ?? 0));
        if (assignment.leads && changed) assignment.end({ lost: false });
        else lead(leaders);
        settled = missing.length === 0 && ![...assignment.partitions.values()].some((owned) => owned.leader < 0);
      } catch (error) {
        if (!isPassing(error)) throw error;
      }
      await this.#clock.sleep(settled ? pollMs.settled : quiet ? pollMs.creating : pollMs.missing, signal);
    }
  }
}
