import { randomUUID } from "node:crypto";
import {
  type DaoDriver,
  type MigrationContext,
  type MigrationPlan,
  type MigrationStep,
  type Migrations,
  openRegistry,
  type Plugin,
  type Registry,
  type StoredDocument,
  systemClock,
} from "../../../core/index.ts";

/** A database in which migrations are tested, past them. */
export interface MigrationsDatabase {
  readonly plugin: Plugin;
  readonly options: Readonly<Record<string, unknown>>;
  /** Stored documents, ordered by id, whatever their ids are. */
  read(collection: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  write(collection: string, documents: readonly StoredDocument[]): Promise<void>;
  remove(collection: string, id: number): Promise<void>;
  /** What collections there are, those of the plugin's own excepted. */
  collections(): Promise<readonly string[]>;
  /** Name and fields of each index besides that of the id. */
  indexes(collection: string): Promise<readonly { readonly name: string; readonly unique: boolean }[]>;
  close(): Promise<void>;
}

export interface Service extends AsyncDisposable {
  readonly registry: Registry;
  readonly migrations: Migrations;
  readonly lines: readonly { level: string; message: string }[];
}

/** One instance of a service whose database is migrated. */
export async function openService(database: MigrationsDatabase, settings: object = {}): Promise<Service> {
  const lines: { level: string; message: string }[] = [];
  const log =
    (level: string) =>
    (...args: unknown[]): void =>
      void lines.push({ level, message: String(args.find((arg) => typeof arg === "string")) });
  const registry = await openRegistry({
    config: {
      service: { name: "migrated", instance: "001" },
      providers: { db: { plugin: database.plugin.name, options: database.options } },
      protocols: { dao: "db", migrations: { provider: "db", waitIntervalMs: 20, lockTtlMs: 20_000, ...settings } },
    },
    env: {},
    plugins: [database.plugin],
    logger: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
  });
  return { registry, migrations: registry.get("migrations"), lines, [Symbol.asyncDispose]: () => registry.close() };
}

/** A step that adds one to the field `n` of each document of a collection, and takes it away on the way back. */
export function counting(version: number, collection: string, options: Parameters<MigrationContext["transform"]>[2] = {}): MigrationStep {
  const add = (by: number) => async (context: MigrationContext) => {
    await context.transform(collection, (document) => ({ ...document, n: Number(document.n ?? 0) + by }), options);
  };
  return { version, apply: add(1), unapply: add(-1) };
}

export function plan(target: number, ...steps: readonly MigrationStep[]): MigrationPlan {
  return { target, steps };
}

/** The version records in order, without what differs from run to run. */
export async function records(database: MigrationsDatabase, collection = "db_versions"): Promise<[number, boolean][]> {
  const found = (await database.read(collection)).filter(({ _id }) => _id !== 0) as unknown as {
    version: number;
    backward: boolean;
    completed: Date;
  }[];
  return found.sort((a, b) => a.completed.getTime() - b.completed.getTime()).map(({ version, backward }) => [version, backward]);
}

/** A signal and what gives it. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Tells that it is there, and stays until it may go. */
export async function passing(inside: { open(): void }, go: { readonly opened: Promise<void> }): Promise<void> {
  inside.open();
  await go.opened;
}

/** Opens a database of its own for the work of one test. */
export async function withDatabase(
  open: () => Promise<MigrationsDatabase>,
  work: (database: MigrationsDatabase) => Promise<void>,
): Promise<void> {
  const database = await open();
  try {
    await work(database);
  } finally {
    await database.close();
  }
}

export const documents = (count: number): StoredDocument[] => Array.from({ length: count }, (_, n) => ({ _id: n + 1, n: 0 }));

export const uniqueName = (): string => `c_${randomUUID().replaceAll("-", "")}`;

/** The driver of the same database, as another instance has it. */
export async function daoDriver(database: MigrationsDatabase): Promise<{ driver: DaoDriver } & AsyncDisposable> {
  const { plugin, options } = database;
  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const context = {
    provider: "db",
    plugin: plugin.name,
    service: { name: "other", instance: "002" },
    logger: quiet,
    clock: systemClock,
    signal: new AbortController().signal,
    scope: {},
  };
  const client = await plugin.open(options, context);
  const create = plugin.provides.dao as unknown as (client: unknown, given: typeof context) => DaoDriver;
  return { driver: create(client, context), [Symbol.asyncDispose]: async () => plugin.close?.(client) };
}
