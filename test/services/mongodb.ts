import { randomBytes } from "node:crypto";
import { Binary, Long, MongoClient, UUID } from "mongodb";
import { type DocumentValue, isUuid, type ProviderContext, type StoredDocument, systemClock, Uuid } from "../../core/index.ts";
import { type MongodbOptions, mongodbOptions } from "../../plugins/mongodb/options.ts";
import type { DaoDatabase } from "../../testkit/conformance/index.ts";
import { variable } from "./servers.ts";

/** A database that no other test has. */
export const databaseName = (): string => `t${randomBytes(8).toString("hex")}`;

export const mongodbDsn = (): string => variable("MONGODB_DSN");

/** The npm driver itself, past the plugin. Gone when it is disposed of, the database with it. */
export async function openMongo(database: string, dsn = mongodbDsn()): Promise<{ client: MongoClient } & AsyncDisposable> {
  const client = await new MongoClient(dsn, { appName: "test" }).connect();
  return {
    client,
    [Symbol.asyncDispose]: async () => {
      await client.db(database).dropDatabase();
      await client.close();
    },
  };
}

export function providerContext(): ProviderContext {
  return {
    provider: "db",
    plugin: "mongodb",
    service: { name: "tested", instance: "001" },
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    clock: systemClock,
    signal: new AbortController().signal,
    scope: {},
  };
}

/** As the configuration would hand them over. */
export function withDefaults(options: { readonly dsn: string; readonly database: string } & Partial<MongodbOptions>): MongodbOptions {
  const defaults = Object.entries(mongodbOptions.properties).flatMap(([name, schema]) =>
    "default" in schema ? [[name, schema.default]] : [],
  );
  return { ...Object.fromEntries(defaults), ...options };
}

/** A database of its own for the conformance suite. */
export async function openMongodbDatabase(): Promise<DaoDatabase> {
  const database = databaseName();
  const mongo = await openMongo(database);
  const collection = (name: string) => mongo.client.db(database).collection<{ _id: never }>(name);
  return {
    options: withDefaults({ dsn: mongodbDsn(), database }),
    unreachable: { dsn: "mongodb://127.0.0.1:1/", database, connectTimeoutMs: 500 },
    read: async (name) => {
      const documents = (await collection(name).find().toArray()).map((document) => neutral(document) as StoredDocument);
      return documents.sort((a, b) => (String(a._id) < String(b._id) ? -1 : 1));
    },
    write: async (name, documents) => {
      await collection(name).insertMany(documents.map((document) => native(document as unknown as DocumentValue) as never));
    },
    indexes: async (name) =>
      (await collection(name).indexes()).map(({ key }) => key as Record<string, number>).filter((key) => Object.keys(key).join() !== "_id"),
    close: async () => mongo[Symbol.asyncDispose](),
  };
}

function native(value: DocumentValue): unknown {
  if (isUuid(value)) return new UUID(value.text);
  if (typeof value === "bigint") return Long.fromBigInt(value);
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (value instanceof Uint8Array) return new Binary(value, 0);
  if (Array.isArray(value)) return value.map(native);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, native(each)]));
}

function neutral(value: unknown): unknown {
  if (value instanceof UUID) return new Uuid(value.toHexString());
  if (value instanceof Binary) return new Uint8Array(value.value());
  if (value instanceof Long) return value.toBigInt();
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (Array.isArray(value)) return value.map(neutral);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, neutral(each)]));
}
