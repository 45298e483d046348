import type { Clock, ProviderContext } from "../../core/index.ts";
import type { MemoryBroker } from "./broker.ts";
import type { MemoryDatabase } from "./database.ts";
import type { MemoryLinks } from "./links.ts";
import type { MemoryObjectStore } from "./object-store.ts";
import type { MemoryOptions } from "./options.ts";
import { enterSpace } from "./spaces.ts";

/** One provider's view of its space. */
export interface MemoryClient {
  readonly broker: MemoryBroker;
  readonly database: MemoryDatabase;
  readonly objects: MemoryObjectStore;
  readonly links: MemoryLinks;
  readonly options: MemoryOptions;
  readonly clock: Clock;
  close(): Promise<void>;
}

export function openClient(options: MemoryOptions, context: ProviderContext): MemoryClient {
  const { broker, database, objects, links, release } = enterSpace(options.space, context.scope);
  return { broker, database, objects, links, options, clock: context.clock, close: release };
}
