import type { OptionsOf, OptionsSchema } from "../../options.ts";
import { relaySettings } from "../relay/settings.ts";

const topics = { type: "array", items: { type: "string", minLength: 1 }, default: [] } as const;

export const persistentPublisherSettings = {
  type: "object",
  additionalProperties: false,
  properties: {
    ...relaySettings,
    publishWaitMs: { ...relaySettings.publishWaitMs, default: 30_000 },
    collection: {
      type: "string",
      default: "",
      description: "The collection of stored events. Empty: `<service name>PersistedEvents`.",
    },
    compactedTopics: {
      ...topics,
      description: "Topics of which only the last event of each key is stored, as a compacted topic keeps it.",
    },
    topicsNotStored: { ...topics, description: "Topics whose events are published without being stored." },
  },
} as const satisfies OptionsSchema;

export type PersistentPublisherSettings = OptionsOf<typeof persistentPublisherSettings>;
