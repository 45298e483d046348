import type { OptionsOf, OptionsSchema } from "../../options.ts";

export const publisherSettings = {
  type: "object",
  additionalProperties: false,
  properties: {
    generateCorrelationId: {
      type: "boolean",
      default: true,
      description: "Whether an event published outside any correlation context gets a new correlation id; otherwise it is refused.",
    },
    deliveryTimeoutMs: {
      type: "integer",
      minimum: 1,
      default: 30_000,
      description: "Milliseconds within which an event must be acknowledged, retries included; then its call rejects.",
    },
  },
} as const satisfies OptionsSchema;

export type PublisherSettings = OptionsOf<typeof publisherSettings>;
