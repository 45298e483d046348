import { HexkitError, inspectConfig, type OpenOptions, openRegistry, type Registry } from "../core/index.ts";
import { plugin as memory } from "../plugins/memory/index.ts";

export interface TestRegistryOptions extends Omit<OpenOptions, "config" | "env"> {
  /**
   * Variables that say which bindings are not moved: `HEXKIT_EVENT_PUBLISHER=kafka` leaves that one on Kafka, and the rest goes to memory. All other
   * variables count as well. Give `process.env` to run the same tests on real servers. Default: none.
   */
  readonly env?: OpenOptions["env"];
  /** The memory space of all bindings, for several registries that share events and for `memoryFaults`. Default: one of its own. */
  readonly space?: string;
}

const testKey = Symbol.for("hexkit.registry.test");

/**
 * Opens a service's own configuration (a file's path or the object) with every binding moved to memory that `env` does not bind: settings stay,
 * providers are not connected. Two registries share nothing, unless they name a `space`.
 * A plugin named `memory` among `plugins`, such as `chaos(plugin).plugin`, takes the place of ours.
 * @throws like `openRegistry`.
 */
export async function openTestRegistry(
  config?: string | object,
  { space, env: bound = {}, ...options }: TestRegistryOptions = {},
): Promise<Registry> {
  const given = options.plugins ?? [];
  const plugins = given.some(({ name }) => name === memory.name) ? given : [memory, ...given];
  const sources = { ...options, ...(config !== undefined && { config }), plugins };
  // What is wrong with the providers does not matter here; what is wrong with the rest, opening says again.
  const { values } = await inspectConfig({ ...sources, env: bound });
  const bindings = values.filter(({ pointer }) => /^\/protocols\/[^/]+\/provider$/.test(pointer));
  const moved = Object.fromEntries(bindings.flatMap(({ variable }) => (variable === undefined ? [] : [[variable, memory.name] as const])));
  const chosen = Object.fromEntries(Object.entries(bound).filter(([, value]) => value !== undefined && value !== ""));
  const env = { ...moved, ...chosen, ...(space !== undefined && { HEXKIT_MEMORY_SPACE: space }) };
  const registry = await openRegistry({ ...sources, env });
  Object.defineProperty(registry, testKey, { value: true });
  return registry;
}

/** What destroys data asks this first. @throws ERR_HEXKIT_INVALID_ARGUMENT */
export function demandTestRegistry(registry: Registry, operation: string): void {
  if ((registry as { readonly [testKey]?: true } | undefined)?.[testKey] === true) return;
  const way = "open it by openTestRegistry, with `env` to reach a real server";
  throw new HexkitError("ERR_HEXKIT_INVALID_ARGUMENT", `${operation}: it deletes data, and takes test registries only; ${way}`);
}
