import type { OptionsOf, OptionsSchema } from "../../options.ts";

export const storageSettings = {
  type: "object",
  additionalProperties: false,
  properties: {
    partSizeBytes: {
      type: "integer",
      minimum: 8_388_608,
      maximum: 4_294_967_296,
      default: 8_388_608,
      description:
        "Bytes of one part of an upload, and the largest object that is stored in one request. Larger where an object of known size would have more than 10,000 parts.",
    },
    uploadConcurrency: {
      type: "integer",
      minimum: 1,
      maximum: 64,
      default: 4,
      description: "Parts of one upload or copy that are under way at the same time; times `partSizeBytes`, the memory that it needs.",
    },
    maxSingleCopyBytes: {
      type: "integer",
      minimum: 8_388_608,
      maximum: 5_368_709_120,
      default: 67_108_864,
      description: "Largest object that is copied in one request, in bytes; larger ones are copied in parts, where the provider can.",
    },
    narrowKeys: {
      type: "boolean",
      default: false,
      description: "Whether keys must fit Python hexkit: 3 to 255 letters, digits, `-`, `_` and `.`, no `-` or `.` at either end.",
    },
    maxRetries: {
      type: "integer",
      minimum: 0,
      default: 2,
      description: "How often a request is repeated that failed for a passing reason, where that can do no harm.",
    },
    retryDelayMs: {
      type: "integer",
      minimum: 1,
      default: 100,
      description: "Milliseconds before the first repetition; doubles each time.",
    },
  },
} as const satisfies OptionsSchema;

export type StorageSettings = OptionsOf<typeof storageSettings>;
