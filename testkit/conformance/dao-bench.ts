import { randomUUID } from "node:crypto";
import {
  type Dao,
  type DaoCapabilities,
  type DaoDriver,
  type DaoFactory,
  type DaoIndex,
  type NativeType,
  openRegistry,
  type Plugin,
  type ProviderContext,
  type Registry,
  type StoredDocument,
  systemClock,
} from "../../core/index.ts";

/** A database under test: what the suite needs besides the plugin itself. Collections of all tests have unique names. */
export interface DaoDatabase {
  /** Options of a provider that reaches it. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Options of one that cannot be reached, or whose calls hang. */
  readonly unreachable?: Readonly<Record<string, unknown>>;
  /** What is stored, in the order of ids' text: past the plugin. Types are those of the database, not of the plugin: a UUID is a `Uuid`, a date a `Date`. */
  read(collection: string): Promise<readonly StoredDocument[]>;
  /** Stores documents as they are, past the plugin, as a peer in another language does. */
  write(collection: string, documents: readonly StoredDocument[]): Promise<void>;
  /** Each index besides that of the id: its fields with 1 or -1. */
  indexes(collection: string): Promise<readonly Readonly<Record<string, number>>[]>;
  close(): Promise<void>;
}

export interface DaoSubject {
  readonly name: string;
  /** Why it cannot run here, or false; the reason is printed with the skipped suite. */
  readonly skip?: string | false;
  readonly plugin: Plugin;
  /** Written by hand, not read from the driver: a driver that loses a capability fails. */
  readonly expects: DaoCapabilities & {
    /** Largest document, in bytes; about, the suite stays away from it by a tenth. */
    readonly maxDocumentBytes: number;
  };
  open(): Promise<DaoDatabase>;
}

export const personSchema = {
  type: "object",
  additionalProperties: false,
  required: ["id", "name"],
  properties: {
    id: { type: "string" },
    name: { type: "string" },
    age: { type: ["integer", "null"] },
    score: { type: "number" },
    isActive: { type: "boolean" },
    code: { type: "string", format: "uuid" },
    born: {},
    total: {},
    photo: {},
    tags: { type: "array", items: { type: "string" } },
    marks: { type: "array", items: { type: "number" } },
    home: {
      type: "object",
      additionalProperties: false,
      properties: { city: { type: "string" }, zip: { type: "integer" }, owner: { type: "string", format: "uuid" } },
    },
    pets: {
      type: "array",
      items: { type: "object", additionalProperties: false, properties: { name: { type: "string" }, age: { type: "integer" } } },
    },
    notes: { type: "object", additionalProperties: { type: "string" } },
  },
} as const;

export interface Person {
  id: string;
  name: string;
  age?: number | null;
  score?: number;
  isActive?: boolean;
  code?: string;
  born?: Date;
  total?: bigint;
  photo?: Uint8Array;
  tags?: string[];
  marks?: number[];
  home?: { city?: string; zip?: number; owner?: string };
  pets?: { name?: string; age?: number }[];
  notes?: Record<string, string>;
}

const personNative: Readonly<Record<string, NativeType>> = { born: "date", total: "bigint", photo: "bytes" };

/** An application's registry over the plugin under test. */
export interface DaoService extends AsyncDisposable {
  readonly registry: Registry;
  readonly factory: DaoFactory;
}

/** One database and one plugin, with the tools of the suite. */
export class DaoBench {
  readonly subject: DaoSubject;
  readonly database: DaoDatabase;

  constructor(subject: DaoSubject, database: DaoDatabase) {
    this.subject = subject;
    this.database = database;
  }

  async open(settings: object = {}, options: object = this.database.options): Promise<DaoService> {
    const { plugin } = this.subject;
    const registry = await openRegistry({
      config: {
        providers: { subject: { plugin: plugin.name, options }, second: { plugin: plugin.name, options } },
        protocols: { dao: { provider: "subject", ...settings }, "dao:same": "subject", "dao:other": "second" },
      },
      env: {},
      plugins: [plugin],
      logger: silent,
    });
    return { registry, factory: registry.get("dao"), [Symbol.asyncDispose]: () => registry.close() };
  }

  name(): string {
    return `c-${randomUUID()}`;
  }

  /** A collection of its own, of people. */
  async people({ factory }: DaoService, indexes: readonly DaoIndex<Person>[] = [], name = this.name()): Promise<Dao<Person>> {
    const spec = { name, schema: personSchema, idField: "id", native: personNative, indexes } as const;
    return (await factory.open(spec as never)) as unknown as Dao<Person>;
  }

  /** The plugin's own driver, without the portable DAO. */
  async driver(): Promise<{ driver: DaoDriver } & AsyncDisposable> {
    const { plugin } = this.subject;
    const context: ProviderContext = {
      provider: "subject",
      plugin: plugin.name,
      service: { name: "conformance", instance: "001" },
      logger: silent,
      clock: systemClock,
      signal: new AbortController().signal,
      scope: {},
    };
    const client = await plugin.open(this.database.options, context);
    const create = plugin.provides.dao as (client: unknown, context: ProviderContext) => DaoDriver | Promise<DaoDriver>;
    return { driver: await create(client, context), [Symbol.asyncDispose]: async () => plugin.close?.(client) };
  }
}

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/**
 * A test of the suite. One that is about a capability is named after it, and left out where that is not expected (`needs`) or where it is (`lacks`).
 * The bench is there once the suite has begun.
 */
export type DaoTest = (
  name: string,
  work: (bench: DaoBench) => Promise<void>,
  about?: { readonly needs?: keyof DaoCapabilities; readonly lacks?: keyof DaoCapabilities },
) => void;

export const ids = (people: readonly { id: string }[]): string[] => people.map(({ id }) => id);
