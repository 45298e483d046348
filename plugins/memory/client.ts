import type { Clock, ProviderContext } from "../../core/index.ts";
import type { MemoryBroker } from "./broker.ts";
import type { MemoryOptions } from "./options.ts";
import { enterSpace } from "./spaces.ts";

/** One provider's view of its space. */
export interface MemoryClient {
  readonly broker: MemoryBroker;
  readonly options: MemoryOptions;
  readonly clock: Clock;
  close(): void;
}

export function openClient(options: MemoryOptions, context: ProviderContext): MemoryClient {
  const { broker, release } = enterSpace(options.space, context.scope);
  return { broker, options, clock: context.clock, close: release };
}
