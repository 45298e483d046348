import type { ObjectSchema } from "./types.ts";

const identity = { type: "string", pattern: "^[ -~]*[!-~][ -~]*$", "x-message": "must be printable ASCII text and not empty" } as const;
const milliseconds = { type: "integer", minimum: 1, maximum: 2147483647 } as const;

/** The sections with settings of the service as a whole. */
export const sections = {
  service: {
    type: "object",
    additionalProperties: false,
    properties: {
      name: { ...identity, description: "The service's name, shared by its instances: consumer group, dead-letter topic, logs." },
      instance: { ...identity, description: "Tells the instances of the service apart. Default: the host's name." },
    },
  },
  log: {
    type: "object",
    additionalProperties: false,
    properties: {
      level: {
        type: "string",
        enum: ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
        default: "info",
        description: "The least severe level that is written.",
      },
    },
  },
  lifecycle: {
    type: "object",
    additionalProperties: false,
    properties: {
      connectTimeoutMs: { ...milliseconds, default: 10_000, description: "Milliseconds that each provider has to open." },
      closeTimeoutMs: { ...milliseconds, default: 30_000, description: "Milliseconds that closing may take in all." },
    },
  },
} as const satisfies Readonly<Record<string, ObjectSchema>>;

export type SectionName = keyof typeof sections;
export const sectionNames = Object.keys(sections) as SectionName[];
/** Every key that the configuration may have at its top. */
export const topLevelKeys: readonly string[] = ["$schema", ...sectionNames, "providers", "protocols"];
