import { settlesWithin } from "../../promise.ts";
import type { Lanes } from "./lanes.ts";
import { farewellMs } from "./membership.ts";
import type { Partition, Task } from "./partition.ts";

export interface DrainOptions {
  readonly lanes: Pick<Lanes<Task>, "drop">;
  /** Acknowledges what is settled, for the last time. */
  readonly acknowledge: () => Promise<void>;
  /** Without one, all is given up at once and nothing is acknowledged. */
  readonly timeoutMs: number | undefined;
  /** Aborts when handlers have had their time. */
  readonly drained: AbortSignal;
  /** Aborts when nothing is waited for any more, not even the broker. */
  readonly abandoned: AbortSignal;
  readonly reason: string;
}

/**
 * Lets running handlers end within the time given, and what lies before them begin; acknowledges what is settled, and gives up the rest.
 */
export async function drain(partitions: readonly Partition[], options: DrainOptions): Promise<void> {
  const { lanes, acknowledge, timeoutMs, drained, abandoned, reason } = options;
  for (const partition of partitions) partition.drain();
  if (timeoutMs !== undefined) {
    if (timeoutMs > 0) {
      lanes.drop();
      await settlesWithin(Promise.all(partitions.map((partition) => partition.idle())), timeoutMs, drained);
    }
    for (const partition of partitions) partition.drained();
    await settlesWithin(acknowledge(), farewellMs, abandoned);
  }
  for (const partition of partitions) partition.close(reason);
  lanes.drop();
}
