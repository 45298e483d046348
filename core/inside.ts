import { HexkitError } from "./errors.ts";
import type { ProtocolContext, SettleProbe } from "./protocols/index.ts";

/** A protocol over a provider, whether or not the configuration binds it: what its plugin drives, and the portable object over that. */
export interface ProtocolBeside<Driver = unknown, Api = unknown> {
  readonly driver: Driver;
  readonly context: ProtocolContext;
  readonly api: Api;
}

/** What hexkit's own test kit sees of an opened registry; services have no use for it. */
export interface RegistryInside {
  readonly bindings: readonly { readonly binding: string; readonly protocol: string }[];
  /** Tell what bindings have still to do. */
  readonly probes: readonly { readonly binding: string; readonly probe: SettleProbe }[];
  readonly isClosed: boolean;
  /** A protocol over the provider of a binding, made when it is first asked for; `undefined` if the plugin does not have it. */
  beside(binding: string, protocol: string): Promise<ProtocolBeside | undefined>;
}

/** By a registered symbol, because two copies of this package in one process must understand each other. */
export const insideKey = Symbol.for("hexkit.registry.inside");

/** @throws ERR_HEXKIT_INVALID_ARGUMENT if it is no registry. */
export function insideOf(registry: unknown, operation: string): RegistryInside {
  const inside = (registry as { readonly [insideKey]?: RegistryInside } | null | undefined)?.[insideKey];
  if (inside === undefined)
    throw new HexkitError("ERR_HEXKIT_INVALID_ARGUMENT", `${operation}: it takes a registry, as openRegistry or openTestRegistry give it`);
  return inside;
}
