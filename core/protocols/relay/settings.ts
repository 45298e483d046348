import type { OptionSchema } from "../../options.ts";

/** Settings of every protocol that has a relay. */
export const relaySettings = {
  relayIntervalMs: {
    type: "integer",
    minimum: 1,
    default: 500,
    description:
      "Milliseconds after which the relay looks for pending documents although nothing woke it, and a standby asks for the lease.",
  },
  leaseMs: {
    type: "integer",
    minimum: 100,
    default: 10_000,
    description: "Milliseconds that one process may publish without renewing its lease: how long the others wait after it was killed.",
  },
  relayBatchSize: { type: "integer", minimum: 1, default: 200, description: "Pending documents that the relay reads at a time." },
  maxInFlight: {
    type: "integer",
    minimum: 1,
    default: 1_000,
    description: "Documents that the relay publishes at once; one of each id (or key) at a time. Bounds its memory.",
  },
  publishWaitMs: {
    type: "integer",
    minimum: 0,
    default: 5_000,
    description: "Milliseconds that a write waits for its event to be published. 0: it does not wait.",
  },
} as const satisfies Record<string, OptionSchema>;
