import type * as Mongo from "mongodb";
import { type Clock, type DaoCapabilities, HexkitError, type ProviderContext, untilAborted } from "../../core/index.ts";
import { NoServerError } from "./errors.ts";
import type { MongodbOptions } from "./options.ts";

export type Document = Mongo.Document;
export type ClientSession = Mongo.ClientSession;
export type Timestamp = Mongo.Timestamp;

/** A document as the npm driver has it. */
export interface RawDocument extends Document {
  _id: string | number | Mongo.UUID;
}
export type RawCollection = Mongo.Collection<RawDocument>;

/** What is used of the npm driver's BSON types. */
export interface Bson {
  readonly UUID: new (text: string) => Mongo.UUID;
  readonly Long: { fromNumber(value: number): Mongo.Long };
}

/** One provider's connection, shared by everything that uses it. */
export interface MongodbClient {
  readonly options: MongodbOptions;
  readonly clock: Clock;
  readonly bson: Bson;
  /** As far as the kind of server decides them. */
  readonly capabilities: DaoCapabilities;
  collection(name: string): RawCollection;
  /** A command on the provider's database. */
  command(command: Document, options?: { signal?: AbortSignal | undefined; session?: ClientSession }): Promise<Document>;
  /** A command on the server's own database. */
  adminCommand(command: Document, options?: { signal?: AbortSignal | undefined }): Promise<Document>;
  startSession(): ClientSession;
  /** The npm driver's own face of the database, for those who need more than ours. */
  readonly native: unknown;
  ping(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/**
 * Connects, and asks what kind of server it is.
 * @throws ERR_HEXKIT_CONFIG_INVALID for a connection string that cannot be read; else the npm driver's errors.
 */
export async function connect(options: MongodbOptions, context: ProviderContext): Promise<MongodbClient> {
  const mongodb = await import("mongodb");
  const mongo = create(mongodb.MongoClient, options, context);
  const failures = new Map<string, string>();
  mongo.on("serverHeartbeatFailed", ({ connectionId, failure }) => failures.set(connectionId, failure.message));
  mongo.on("serverHeartbeatSucceeded", ({ connectionId }) => failures.delete(connectionId));
  const database = mongo.db(options.database);
  const timeLimit = new AbortController();
  const timer = setTimeout(
    () => timeLimit.abort(new NoServerError(mongo.options.hosts.map(String), failures, mongo.options.replicaSet)),
    options.connectTimeoutMs,
  );
  const signal = AbortSignal.any([context.signal, timeLimit.signal]);
  try {
    await untilAborted(mongo.connect(), signal);
    // Without credentials a server that wants them says hello all the same, and refuses the first thing that matters.
    await database.command({ listCollections: 1, nameOnly: true, authorizedCollections: true, filter: { name: "" } }, { signal });
    const hello = await database.admin().command({ hello: 1 }, { signal });
    const replicated = hello.setName !== undefined || hello.msg === "isdbgrid";
    const collections = new Map<string, RawCollection>();
    return {
      options,
      clock: context.clock,
      bson: { UUID: mongodb.UUID, Long: mongodb.Long },
      capabilities: { transactions: replicated, watch: replicated, leases: true },
      collection: (name) => {
        let collection = collections.get(name);
        if (collection === undefined) {
          collection = database.collection<RawDocument>(name);
          collections.set(name, collection);
        }
        return collection;
      },
      command: (command, { signal, session } = {}) => database.command(command, { ...(signal && { signal }), ...(session && { session }) }),
      adminCommand: (command, { signal } = {}) => database.admin().command(command, signal && { signal }),
      startSession: () => mongo.startSession(),
      native: database,
      ping: async (signal) => {
        await database.command({ ping: 1 }, { signal });
      },
      close: () => mongo.close(),
    };
  } catch (error) {
    await mongo.close().catch(() => undefined);
    throw signal.aborted ? signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}

function create(Client: typeof Mongo.MongoClient, options: MongodbOptions, { service, provider }: ProviderContext): Mongo.MongoClient {
  const { dsn } = options;
  // What the connection string says itself is not overruled by a default of ours.
  const unless = <Value>(name: string, value: Value): Record<string, Value> =>
    new RegExp(`[?&]${name}=`, "i").test(dsn) ? {} : { [name]: value };
  try {
    return new Client(dsn, {
      ...unless("connectTimeoutMS", options.connectTimeoutMs),
      ...unless("serverSelectionTimeoutMS", options.serverSelectionTimeoutMs),
      ...unless("socketTimeoutMS", options.socketTimeoutMs),
      ...unless("waitQueueTimeoutMS", options.waitQueueTimeoutMs),
      ...unless("maxPoolSize", options.maxPoolSize),
      ...unless("minPoolSize", options.minPoolSize),
      ...unless("appName", options.appName ?? `${service.name}/${service.instance}`.slice(0, 128)),
    });
  } catch (error) {
    // Its message names options and never the string itself, but quotes values of options.
    const fact = error instanceof Error ? error.message : "it cannot be read";
    throw new HexkitError("ERR_HEXKIT_CONFIG_INVALID", `provider "${provider}": option dsn: ${fact}`, {
      cause: error,
      problems: [{ place: `provider "${provider}", option dsn`, message: fact }],
    });
  }
}
