import { inspectConfig, type OpenOptions, openRegistry, type Registry } from "../core/index.ts";
import { plugin as memory } from "../plugins/memory/index.ts";

export { clearMemorySpace, type MemoryFaults, memoryFaults } from "../plugins/memory/index.ts";
export { type Chaos, chaos } from "./chaos/chaos.ts";
export type { Fault, Which } from "./chaos/fault.ts";
export type { Operation } from "./chaos/operations.ts";
export type { ChaosCall, ChaosPlan } from "./chaos/plan.ts";

export interface TestRegistryOptions extends Omit<OpenOptions, "config" | "env"> {
  /** The memory space of all bindings, for several registries that share events and for `memoryFaults`. Default: one of its own. */
  readonly space?: string;
}

/**
 * Opens a service's own configuration (a file's path or the object) with every binding moved to memory: settings stay,
 * providers are not connected, the environment is not read. Two registries share nothing, unless they name a `space`.
 * A plugin named `memory` among `plugins`, such as `chaos(plugin).plugin`, takes the place of ours.
 * @throws like `openRegistry`.
 */
export async function openTestRegistry(config?: string | object, { space, ...options }: TestRegistryOptions = {}): Promise<Registry> {
  const given = options.plugins ?? [];
  const plugins = given.some(({ name }) => name === memory.name) ? given : [memory, ...given];
  const sources = { ...options, ...(config !== undefined && { config }), plugins };
  // What is wrong with the providers does not matter here; what is wrong with the rest, opening says again.
  const { values } = await inspectConfig({ ...sources, env: {} });
  const bindings = values.filter(({ pointer }) => /^\/protocols\/[^/]+\/provider$/.test(pointer));
  const env = Object.fromEntries(bindings.flatMap(({ variable }) => (variable === undefined ? [] : [[variable, memory.name] as const])));
  return openRegistry({ ...sources, env: { ...env, ...(space !== undefined && { HEXKIT_MEMORY_SPACE: space }) } });
}
