import type { CallOptions } from "../call.ts";
import type { Clock } from "../clock.ts";
import { type ErrorCode, HexkitError } from "../errors.ts";
import type { Logger } from "../logging.ts";
import { namePattern, type ServiceIdentity } from "../names.ts";
import { type OptionsOf, type OptionsSchema, optionsFault } from "../options.ts";
import type { DaoFactory } from "./dao/dao.ts";
import type { DaoDriver } from "./dao/driver.ts";
import type { EventPublisherDriver } from "./event-publisher/driver.ts";
import type { EventPublisher } from "./event-publisher/event-publisher.ts";
import type { EventSubscriberDriver } from "./event-subscriber/driver.ts";
import type { EventSubscriber } from "./event-subscriber/event-subscriber.ts";
import type { MigrationsDriver } from "./migrations/driver.ts";
import type { Migrations } from "./migrations/migrations.ts";
import type { ObjectStorageDriver } from "./object-storage/driver.ts";
import type { ObjectStorage } from "./object-storage/object-storage.ts";
import type { OutboxFactory } from "./outbox/outbox.ts";
import type { PersistentPublisher } from "./persistent-publisher/persistent-publisher.ts";

/** The types of one protocol: what services call, what plugins implement. */
export interface ProtocolTypes<Api, Driver> {
  readonly api: Api;
  readonly driver: Driver;
}

/**
 * Every protocol by name. A package that brings its own extends it:
 * `declare module "hexkit" { interface Protocols { mailer: ProtocolTypes<Mailer, MailerDriver> } }`.
 */
export interface Protocols {
  dao: ProtocolTypes<DaoFactory, DaoDriver>;
  eventPublisher: ProtocolTypes<EventPublisher, EventPublisherDriver>;
  eventSubscriber: ProtocolTypes<EventSubscriber, EventSubscriberDriver>;
  migrations: ProtocolTypes<Migrations, MigrationsDriver>;
  objectStorage: ProtocolTypes<ObjectStorage, ObjectStorageDriver>;
  outbox: ProtocolTypes<OutboxFactory, never>;
  persistentPublisher: ProtocolTypes<PersistentPublisher, never>;
}

export type ProtocolName = keyof Protocols & string;
/** What `registry.get` takes and what is injected: `eventPublisher`, or a named one such as `eventPublisher:audit`. */
export type Binding = ProtocolName | `${ProtocolName}:${string}`;
type ProtocolOf<B extends string> = B extends `${infer Name}:${string}` ? Name : B;
/** The portable object behind a binding. */
export type Api<B extends string> = ProtocolOf<B> extends ProtocolName ? Protocols[ProtocolOf<B>]["api"] : never;
export type DriverOf<Name extends ProtocolName> = Protocols[Name]["driver"];

/** The methods of a driver's type by name, without those that it may leave out. */
export type DriverMethods<Driver> = {
  readonly [Name in keyof Driver as undefined extends Driver[Name]
    ? never
    : Driver[Name] extends (...args: never[]) => unknown
      ? Name
      : never]: true;
};

/** When something is closed: earlier phases first; within one, all at once. */
export type ClosePhase = "subscriptions" | "relays" | "publishers" | "clients";

/** What a binding has still to do. */
export interface SettleReport {
  /** In words, each with its place; empty if nothing is open. */
  readonly open: readonly string[];
  /** Differs whenever something has happened since another report. */
  readonly mark: string;
}

/** Looks at what is still open. Rejects if it cannot come to an end by itself any more. */
export type SettleProbe = (signal: AbortSignal) => SettleReport | Promise<SettleReport>;

/** What a protocol's portable object is given besides its driver. */
export interface ProtocolContext<Settings = Record<string, unknown>> {
  readonly binding: string;
  /** Name of the plugin below, for telemetry; of a composed protocol, its own name. */
  readonly system: string;
  readonly settings: Settings;
  /**
   * The settings with some replaced for one call, under the same rules as in the configuration.
   * @throws ERR_HEXKIT_INVALID_ARGUMENT for an unknown setting or a bad value.
   */
  overlay(some: object): Settings;
  readonly service: ServiceIdentity;
  /** Redacts secrets and names the binding in each line. */
  readonly logger: Logger;
  readonly clock: Clock;
  /** Removes every known secret from a text that leaves the process. */
  redact(text: string): string;
  /**
   * Runs one operation on the driver: refuses it once clients close (what drains may still call), ends it on the caller's signal, and turns whatever the
   * driver throws into a `HexkitError` that names `operation` and `subject`, once.
   * @throws ERR_HEXKIT_CLOSED, ERR_HEXKIT_ABORTED, or the code by which the plugin classifies the driver's error.
   */
  call<Result>(
    operation: string,
    subject: string,
    options: CallOptions | undefined,
    work: (signal: AbortSignal | undefined) => Promise<Result>,
  ): Promise<Result>;
  /** Makes the `HexkitError` for an error of the driver; one that names its origin already is returned as it is. */
  mapError(error: unknown, operation: string, subject: string): HexkitError;
  /** Makes an error of our own, whose message begins with the binding and its provider. */
  error(code: ErrorCode, message: string, cause?: unknown): HexkitError;
  /**
   * The same provider's driver of another protocol: one that the definition lists in `companions` and the plugin provides, else `undefined`.
   */
  companion<Name extends ProtocolName>(protocol: Name): DriverOf<Name> | undefined;
  /** Another binding's driver and surroundings; `undefined` if nothing is bound so. Every binding is there once the registry is open. */
  peer(binding: string): ProtocolPart | undefined;
  /** Aborts when the registry begins to close: begin nothing new; what runs may go on, and call, until its phase is over. */
  readonly closing: AbortSignal;
  /** Registers what to do when the registry closes; `signal` aborts when the phase's time is over. */
  onClose(phase: ClosePhase, work: (signal: AbortSignal) => Promise<void>): void;
  /** Adds to the binding's part of `health()`. `ok: false` makes the whole report not ok. */
  onHealth(report: () => { readonly ok: boolean } & Readonly<Record<string, unknown>>): void;
  /** Adds to what the test kit's `settled` waits for. */
  onSettle(probe: SettleProbe): void;
  /** Tells `serve` that the service cannot go on. */
  fail(error: unknown): void;
}

/** What a protocol may look at when it judges the settings of a binding. */
export interface BindingFacts {
  /** The protocols that the binding's plugin has drivers for. */
  readonly provides: readonly string[];
  /** Everything that is bound. */
  readonly bindings: readonly string[];
}

/** One part of a composed protocol: the driver and surroundings of the binding that it is built on. */
export interface ProtocolPart<Driver = unknown> {
  readonly driver: Driver;
  readonly context: ProtocolContext;
}

/** A protocol as the registry knows it. Its types are checked by `defineProtocol` and erased here. */
export interface ProtocolDefinition {
  /** Lower camel case; what services ask for. */
  readonly name: string;
  /** Who defines it, such as `@acme/mailer`. Two protocols of one name with another `id` or `version` clash. */
  readonly id: string;
  readonly version: number;
  readonly summary: string;
  readonly settings: OptionsSchema;
  /** Whether a binding needs `service.name` in the configuration. */
  readonly needsServiceName?: boolean;
  /** Protocols whose drivers of the same provider it uses as well, where the plugin has them. */
  readonly companions?: readonly string[];
  /** The methods that every driver must have. A registry with one that lacks any does not open: ERR_HEXKIT_PLUGIN_INVALID names them. */
  readonly methods?: Readonly<Record<string, true>>;
  /** What is wrong with a binding's settings beyond their schema, each as `setting: reason`. Runs before anything connects. */
  check?(settings: never, facts: BindingFacts): readonly string[];
  /** For a composed protocol: the setting that names a binding → the protocol of that binding. */
  readonly composes?: Readonly<Record<string, string>>;
  create(driver: never, context: ProtocolContext<never>): unknown;
}

/**
 * Defines a protocol over a driver. Only checks and marks its argument.
 * @throws ERR_HEXKIT_PLUGIN_INVALID if the name is not lower camel case, or something else is missing.
 */
export function defineProtocol<Name extends ProtocolName, const Schema extends OptionsSchema>(definition: {
  readonly name: Name;
  readonly id: string;
  readonly version: number;
  readonly summary: string;
  readonly settings: Schema;
  readonly needsServiceName?: boolean;
  readonly companions?: readonly string[];
  readonly methods?: DriverMethods<DriverOf<Name>>;
  check?(settings: OptionsOf<Schema>, facts: BindingFacts): readonly string[];
  create(driver: DriverOf<Name>, context: ProtocolContext<OptionsOf<Schema>>): Protocols[Name]["api"];
}): ProtocolDefinition {
  return checked(definition);
}

/**
 * Defines a protocol that is built from bindings of other protocols and has no driver of its own.
 * `composes` gives each setting that names a binding its protocol; the setting's default is the unnamed binding.
 * @throws ERR_HEXKIT_PLUGIN_INVALID if the name is not lower camel case, or something else is missing.
 */
export function defineComposedProtocol<
  Name extends ProtocolName,
  const Schema extends OptionsSchema,
  Parts extends Readonly<Record<string, ProtocolName>>,
>(definition: {
  readonly name: Name;
  readonly id: string;
  readonly version: number;
  readonly summary: string;
  readonly settings: Schema;
  readonly needsServiceName?: boolean;
  readonly composes: Parts;
  check?(settings: OptionsOf<Schema>, facts: BindingFacts): readonly string[];
  create(
    parts: { readonly [Part in keyof Parts]: ProtocolPart<DriverOf<Parts[Part]>> },
    context: ProtocolContext<OptionsOf<Schema>>,
  ): Protocols[Name]["api"];
}): ProtocolDefinition {
  return checked(definition);
}

function checked(definition: Omit<ProtocolDefinition, "create"> & { create: unknown }): ProtocolDefinition {
  const { name, id, version, settings, create } = definition;
  const refuse = (fact: string): HexkitError => new HexkitError("ERR_HEXKIT_PLUGIN_INVALID", `protocol ${name}: ${fact}`);
  if (typeof name !== "string" || !namePattern.test(name)) {
    throw new HexkitError("ERR_HEXKIT_PLUGIN_INVALID", `protocol name ${JSON.stringify(name)}: use lower camel case, such as "mailer"`);
  }
  if (typeof id !== "string" || id === "" || typeof version !== "number") throw refuse("`id` must be text and `version` a number");
  const fault = optionsFault(settings);
  if (fault !== undefined) throw refuse(`\`settings\` ${fault}`);
  if (typeof create !== "function") throw refuse("`create` must be a function");
  return Object.freeze({ ...definition }) as ProtocolDefinition;
}

/** Whether plain JavaScript, too, gave something that can be a protocol. */
export function isProtocol(value: unknown): value is ProtocolDefinition {
  const { name, settings, create } = (value ?? {}) as Partial<ProtocolDefinition>;
  return typeof name === "string" && optionsFault(settings) === undefined && typeof create === "function";
}
