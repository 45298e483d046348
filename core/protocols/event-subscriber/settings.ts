import type { OptionsOf, OptionsSchema } from "../../options.ts";

export const subscriberSettings = {
  type: "object",
  additionalProperties: false,
  properties: {
    group: { type: "string", minLength: 1, description: "Consumer group. Default: the service's name." },
    concurrency: { type: "integer", minimum: 1, default: 16, description: "Handlers that run at once, over all keys and partitions." },
    onFailure: {
      type: "string",
      enum: ["stop", "skip"],
      default: "stop",
      description:
        "After a failure: `stop` fails the subscription with nothing acknowledged past the event; `skip` logs, counts and goes on.",
    },
    from: { type: "string", enum: ["earliest", "latest"], default: "earliest", description: "Where a new group begins." },
    drainTimeoutMs: {
      type: "integer",
      minimum: 0,
      maximum: 2_147_483_647,
      default: 25_000,
      description: "Milliseconds that running handlers get to finish when the subscription stops.",
    },
    maxInFlight: {
      type: "integer",
      minimum: 1,
      default: 1_000,
      description: "Records per partition that may be delivered and unsettled; at the bound the partition pauses until half.",
    },
    maxBufferedBytes: {
      type: "integer",
      minimum: 1,
      default: 16_777_216,
      description:
        "Bytes of keys and values per partition that may be delivered and unsettled; at the bound the partition pauses until half.",
    },
    commitIntervalMs: {
      type: "integer",
      minimum: 1,
      maximum: 2_147_483_647,
      default: 1_000,
      description: "Milliseconds after which settled records are acknowledged to the broker at the latest.",
    },
    commitEvery: {
      type: "integer",
      minimum: 1,
      default: 500,
      description: "Settled records after which they are acknowledged without waiting for the interval.",
    },
  },
} as const satisfies OptionsSchema;

export type SubscriberSettings = OptionsOf<typeof subscriberSettings>;
