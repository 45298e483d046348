import type { OptionsOf, OptionsSchema } from "../../options.ts";

export const daoSettings = {
  type: "object",
  additionalProperties: false,
  properties: {
    timeoutMs: { type: "integer", minimum: 1, default: 30_000, description: "Milliseconds that one call may take; then it rejects." },
    transactionTimeoutMs: {
      type: "integer",
      minimum: 1,
      default: 30_000,
      description: "Milliseconds that a transaction may take, its repetitions included.",
    },
    batchSize: { type: "integer", minimum: 1, default: 200, description: "Documents that `find` fetches at a time." },
  },
} as const satisfies OptionsSchema;

export type DaoSettings = OptionsOf<typeof daoSettings>;
