import type { Clock } from "./clock.ts";
import { type ErrorCode, HexkitError } from "./errors.ts";
import type { Logger } from "./logging.ts";
import { namePattern, type ServiceIdentity } from "./names.ts";
import { type OptionsOf, type OptionsSchema, optionsFault } from "./options.ts";
import { type DriverOf, isProtocol, type ProtocolDefinition, type ProtocolName } from "./protocols/index.ts";

/** The version of the plugin interface that this package speaks. */
export const apiVersion = 1;

/** What a provider learns about its surroundings. Drivers use this and no globals. */
export interface ProviderContext {
  /** The provider's name in the configuration. */
  readonly provider: string;
  readonly plugin: string;
  readonly service: ServiceIdentity;
  /** Redacts secrets and names the provider in each line. */
  readonly logger: Logger;
  readonly clock: Clock;
  /** Aborts when opening is cancelled or timed out, and when the registry has closed. */
  readonly signal: AbortSignal;
  /** One object per registry: the key under which providers of one registry may share state in memory. */
  readonly scope: object;
}

type Drivers<Client> = {
  readonly [Name in ProtocolName]?: (client: Client, context: ProviderContext) => DriverOf<Name> | Promise<DriverOf<Name>>;
};

/** What `definePlugin` takes. */
export interface PluginDefinition<Schema extends OptionsSchema, Client> {
  /** Lower camel case; the short name of a plugin of this package, the provider's name where none is given. */
  readonly name: string;
  /** The plugin interface it is written for: 1. */
  readonly apiVersion: number;
  /** One line: the technology and its versions. */
  readonly summary: string;
  readonly options: Schema;
  /** The npm package that `open` imports, if any: an optional peer dependency, named when it is missing. */
  readonly package?: { readonly name: string; readonly range: string };
  /** Connects; returns the client, or an empty object if nothing is held open. Runs within the open timeout; `context.signal` aborts when it is over. */
  open(options: OptionsOf<Schema>, context: ProviderContext): Client | Promise<Client>;
  /** Frees everything that `open` acquired. Called once, also when `check` failed. */
  close?(client: Client): void | Promise<void>;
  /** Resolves if the backing service answers. Part of opening, and the base of `health`. */
  check?(client: Client, signal: AbortSignal): void | Promise<void>;
  /** Maps an error of the client to a code; `undefined` for one it does not know. */
  classify?(error: unknown): ErrorCode | undefined;
  /** One driver factory per protocol. */
  readonly provides: Drivers<Client>;
  /** Protocols that the plugin brings along. */
  readonly protocols?: readonly ProtocolDefinition[];
}

/** A plugin, as `definePlugin` returns it. Its types are checked there and erased here. */
export interface Plugin {
  readonly name: string;
  readonly apiVersion: number;
  readonly summary: string;
  readonly options: OptionsSchema;
  readonly package?: { readonly name: string; readonly range: string };
  open(options: object, context: ProviderContext): unknown;
  close?(client: unknown): void | Promise<void>;
  check?(client: unknown, signal: AbortSignal): void | Promise<void>;
  classify?(error: unknown): ErrorCode | undefined;
  readonly provides: Readonly<Record<string, (client: never, context: ProviderContext) => unknown>>;
  readonly protocols?: readonly ProtocolDefinition[];
}

const brand = Symbol.for("hexkit.Plugin");

/**
 * Makes a plugin. Only checks and marks its argument; nothing is connected.
 * @throws ERR_HEXKIT_PLUGIN_INVALID if the name is not lower camel case, `apiVersion` is no number, `options` is no object schema,
 * `open` is no function, nor one of `close`, `check`, `classify` that is there, `provides` is empty or holds something else than functions,
 * or `protocols` holds what `defineProtocol` did not make.
 */
export function definePlugin<const Schema extends OptionsSchema, Client extends NonNullable<unknown>>(
  definition: PluginDefinition<Schema, Client>,
): Plugin {
  const { name, apiVersion: version, options, open, provides } = definition;
  const refuse = (fact: string): HexkitError => new HexkitError("ERR_HEXKIT_PLUGIN_INVALID", `plugin ${name}: ${fact}`);
  if (typeof name !== "string" || !namePattern.test(name)) {
    throw new HexkitError("ERR_HEXKIT_PLUGIN_INVALID", `plugin name ${JSON.stringify(name)}: use lower camel case, such as "kafka"`);
  }
  if (typeof version !== "number") throw refuse(`\`apiVersion\` must be a number; this hexkit speaks ${apiVersion}`);
  const fault = optionsFault(options);
  if (fault !== undefined) throw refuse(`\`options\` ${fault}`);
  if (typeof open !== "function") throw refuse("`open` must be a function");
  for (const name of ["close", "check", "classify"] as const) {
    if (definition[name] !== undefined && typeof definition[name] !== "function") throw refuse(`\`${name}\` must be a function`);
  }
  const drivers = Object.entries(provides ?? {});
  if (drivers.length === 0) throw refuse("`provides` names no protocol");
  for (const [protocol, create] of drivers) {
    if (typeof create !== "function") throw refuse(`\`provides.${protocol}\` must be a function that makes the driver`);
  }
  const protocols: readonly unknown[] = Array.isArray(definition.protocols ?? []) ? (definition.protocols ?? []) : [undefined];
  if (!protocols.every(isProtocol)) throw refuse("`protocols` must be a list of what defineProtocol made");
  return Object.freeze(Object.defineProperty({ ...definition }, brand, { value: true })) as unknown as Plugin;
}

/** Whether a value was made by `definePlugin`, also by another copy of this package. */
export function isPlugin(value: unknown): value is Plugin {
  return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[brand] === true;
}
