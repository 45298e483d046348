export { readSources, type Sources } from "./load.ts";
export { describeValues } from "./print.ts";
export { resolveConfig } from "./resolve.ts";
export { configSchema } from "./schema.ts";
export type {
  EffectiveValue,
  ObjectSchema,
  PluginReference,
  PluginVocabulary,
  Problem,
  PropertySchema,
  ProtocolVocabulary,
  ReadInput,
  Resolution,
  ResolvedBinding,
  ResolvedConfig,
  ResolvedProvider,
  Vocabulary,
} from "./types.ts";
export { check as checkSettings } from "./validate.ts";
