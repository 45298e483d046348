import type { OptionsOf, OptionsSchema } from "../../options.ts";
import { relaySettings } from "../relay/settings.ts";

export const outboxSettings = {
  type: "object",
  additionalProperties: false,
  properties: relaySettings,
} as const satisfies OptionsSchema;

export type OutboxSettings = OptionsOf<typeof outboxSettings>;
