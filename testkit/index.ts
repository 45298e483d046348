import { inspectConfig, type OpenOptions, openRegistry, type Registry } from "../core/index.ts";
import { plugin as memory } from "../plugins/memory/index.ts";

export { clearMemorySpace } from "../plugins/memory/index.ts";

/**
 * Opens a service's own configuration (a file's path or the object) with every binding moved to memory: settings stay,
 * providers are not connected, the environment is not read. Two registries share nothing.
 * @throws like `openRegistry`.
 */
export async function openTestRegistry(config?: string | object, options: Omit<OpenOptions, "config" | "env"> = {}): Promise<Registry> {
  const sources = { ...options, ...(config !== undefined && { config }), plugins: [memory, ...(options.plugins ?? [])] };
  // What is wrong with the providers does not matter here; what is wrong with the rest, opening says again.
  const { values } = await inspectConfig({ ...sources, env: {} });
  const bindings = values.filter(({ pointer }) => /^\/protocols\/[^/]+\/provider$/.test(pointer));
  const env = Object.fromEntries(bindings.flatMap(({ variable }) => (variable === undefined ? [] : [[variable, memory.name] as const])));
  return openRegistry({ ...sources, env });
}
