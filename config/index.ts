export { readSources } from "./load.ts";
export { reservedNames } from "./names.ts";
export { describeValues } from "./print.ts";
export { resolveConfig } from "./resolve.ts";
export { configSchema } from "./schema.ts";
export type { Problem, Resolution, ResolvedBinding, ResolvedConfig, Vocabulary } from "./types.ts";
export { check as checkSettings } from "./validate.ts";
