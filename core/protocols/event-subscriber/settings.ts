import type { OptionsOf, OptionsSchema } from "../../options.ts";

export const subscriberSettings = {
  type: "object",
  additionalProperties: false,
  properties: {
    group: { type: "string", minLength: 1, description: "Consumer group. Default: the service's name." },
    concurrency: { type: "integer", minimum: 1, default: 16, description: "Handlers that run at once, over all keys and partitions." },
    maxRetries: {
      type: "integer",
      minimum: 0,
      default: 0,
      description: "Attempts after the first one. Only the event's key waits for them.",
    },
    retryDelayMs: {
      type: "integer",
      minimum: 0,
      maximum: 2_147_483_647,
      default: 100,
      description: "Milliseconds before the first retry; doubles with each, with 20 % of jitter.",
    },
    maxRetryDelayMs: {
      type: "integer",
      minimum: 0,
      maximum: 2_147_483_647,
      default: 30_000,
      description: "Upper bound of the milliseconds before a retry.",
    },
    handlerTimeoutMs: {
      type: "integer",
      minimum: 1,
      maximum: 2_147_483_647,
      description: "Milliseconds that one attempt may take; then it has failed and its signal aborts. Default: no limit.",
    },
    deadLetter: {
      type: ["boolean", "string"],
      minLength: 1,
      default: false,
      description:
        "Where events go that failed for good: `true` is the topic `<service>-dlq`, a text another topic. Also subscribes `retry-<service>`.",
    },
    deadLetterPublisher: {
      type: "string",
      minLength: 1,
      description: "Binding of the eventPublisher that dead letters go through. Default: the publisher of the same provider.",
    },
    maxRedrives: { type: "integer", minimum: 0, default: 5, description: "How often one dead letter may be sent back for another try." },
    onFailure: {
      type: "string",
      enum: ["stop", "skip"],
      default: "stop",
      description:
        "What a final failure does without dead letters: `stop` fails the subscription with nothing acknowledged past the event; `skip` logs, counts and goes on.",
    },
    from: { type: "string", enum: ["earliest", "latest"], default: "earliest", description: "Where a new group begins." },
    drainTimeoutMs: {
      type: "integer",
      minimum: 0,
      maximum: 2_147_483_647,
      default: 25_000,
      description: "Milliseconds that running handlers get to finish when the subscription stops.",
    },
    maxBatch: { type: "integer", minimum: 1, default: 100, description: "Most events that `consumeBatch` gets at once." },
    maxRestarts: {
      type: "integer",
      minimum: 0,
      default: 10,
      description:
        "How often in a row the group is joined again after the client gave up with a passing error; progress begins the count anew.",
    },
    stallTimeoutMs: {
      type: "integer",
      minimum: 1,
      maximum: 2_147_483_647,
      default: 60_000,
      description:
        "Milliseconds without progress (a handler that does not end, or a lag without deliveries) after which the subscription is degraded.",
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
