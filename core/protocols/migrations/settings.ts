import type { OptionsOf, OptionsSchema } from "../../options.ts";

export const migrationsSettings = {
  type: "object",
  additionalProperties: false,
  properties: {
    collection: {
      type: "string",
      minLength: 1,
      default: "db_versions",
      description:
        "Collection that holds the version records and the lock. Services in Python name the same one as `db_version_collection`.",
    },
    waitIntervalMs: {
      type: "integer",
      minimum: 1,
      default: 1_000,
      description: "Milliseconds between two looks at whether another instance has finished.",
    },
    maxWaitMs: {
      type: "integer",
      minimum: 0,
      default: 0,
      description: "Milliseconds to wait for another instance at most. 0: without end.",
    },
    lockTtlMs: {
      type: "integer",
      minimum: 100,
      default: 30_000,
      description: "Milliseconds after which the lock of an instance that died is free. It is prolonged at each third of it.",
    },
    batchSize: { type: "integer", minimum: 1, default: 1_000, description: "Documents that are read and written at a time." },
  },
} as const satisfies OptionsSchema;

export type MigrationsSettings = OptionsOf<typeof migrationsSettings>;
