import type { ErrorCode } from "../../core/index.ts";

const awayCode = "MEMORY_BROKER_AWAY";

/** What everything fails with during an outage. Known by its `code`: two copies of this package may share a space. */
export class BrokerAwayError extends Error {
  override readonly name = "BrokerAwayError";
  readonly code = awayCode;

  constructor() {
    super("the broker in memory is away: memoryFaults(…).outage() lasts");
  }
}

/** Maps an error of this plugin to a code; what it does not know stays unclassified. */
export function classifyMemoryError(error: unknown): ErrorCode | undefined {
  return (error as { code?: unknown } | null | undefined)?.code === awayCode ? "ERR_HEXKIT_UNAVAILABLE" : undefined;
}
