import type { OptionsOf, OptionsSchema } from "../../core/index.ts";

export const memoryOptions = {
  type: "object",
  additionalProperties: false,
  properties: {
    space: {
      type: "string",
      minLength: 1,
      description:
        "Name of a space shared by everything in the process that names it. Default: one of the registry's own, gone when it closes.",
    },
    partitions: { type: "integer", minimum: 1, default: 3, description: "Partitions of a topic that is created by its first use." },
    maxDocumentBytes: { type: "integer", minimum: 1, default: 16_777_216, description: "Largest document of a DAO, in bytes of BSON." },
    maxMessageBytes: { type: "integer", minimum: 1, default: 1_048_576, description: "Largest key plus value of an event, in bytes." },
  },
} as const satisfies OptionsSchema;

export type MemoryOptions = OptionsOf<typeof memoryOptions>;
