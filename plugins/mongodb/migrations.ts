import type { CallOptions, MigrationsDriver, VersionRecord } from "../../core/index.ts";
import type { Document, MongodbClient } from "./client.ts";
import { IndexError, isDuplicate, withoutValues } from "./errors.ts";

const namespaceNotFound = 26;
const namespaceExists = 48;

export class MongodbMigrationsDriver implements MigrationsDriver {
  readonly #client: MongodbClient;

  constructor(client: MongodbClient) {
    this.#client = client;
  }

  get native(): unknown {
    return this.#client.native;
  }

  async latest(collection: string, { signal }: CallOptions): Promise<VersionRecord | undefined> {
    const found = await this.#client
      .collection(collection)
      .findOne({ _id: { $ne: 0 } }, { sort: { completed: -1, version: -1 }, ...(signal && { signal }) });
    if (found === null) return undefined;
    return { version: found.version, completed: found.completed, backward: found.backward, durationMs: found.total_duration_ms };
  }

  async record(collection: string, { version, completed, backward, durationMs }: VersionRecord, _options: CallOptions): Promise<void> {
    const record = { version, completed, backward, total_duration_ms: durationMs };
    // The id is an ObjectId, as in Python.
    await this.#client.collection(collection).insertOne(record as never, { writeConcern: { w: "majority" } });
  }

  async exists(collection: string, { signal }: CallOptions): Promise<boolean> {
    return (await this.#facts(collection, signal)) !== undefined;
  }

  async createLike(collection: string, model: string, { signal }: CallOptions): Promise<void> {
    const { validator: _, validationLevel: __, validationAction: ___, ...settings } = (await this.#facts(model, signal))?.options ?? {};
    await unless(namespaceExists, this.#client.command({ create: collection, ...settings }));
  }

  async copyIndexes(from: string, to: string, { signal }: CallOptions): Promise<void> {
    const found = await unless(namespaceNotFound, this.#client.command({ listIndexes: from, cursor: { batchSize: 1_000 } }, { signal }));
    const indexes = ((found?.cursor.firstBatch ?? []) as Document[])
      .filter(({ name }) => name !== "_id_")
      .map(({ v: _, ns: __, ...index }) => index);
    if (indexes.length === 0) return;
    try {
      await this.#client.command({ createIndexes: to, indexes });
    } catch (error) {
      if (isDuplicate(error)) throw new IndexError("changed documents agree in a unique index", { cause: withoutValues(error) });
      throw error;
    }
  }

  async replace(from: string, to: string, _options: CallOptions): Promise<boolean> {
    const { database } = this.#client.options;
    const command = { renameCollection: `${database}.${from}`, to: `${database}.${to}`, dropTarget: true };
    return (await unless(namespaceNotFound, this.#client.adminCommand(command))) !== undefined;
  }

  async drop(collection: string, _options: CallOptions): Promise<void> {
    await unless(namespaceNotFound, this.#client.command({ drop: collection }));
  }

  async #facts(collection: string, signal: AbortSignal | undefined): Promise<Document | undefined> {
    const found = await this.#client.command({ listCollections: 1, filter: { name: collection } }, { signal });
    return found.cursor.firstBatch[0];
  }
}

/** `undefined` if the server answers with that number. */
async function unless<Result>(code: number, answer: Promise<Result>): Promise<Result | undefined> {
  try {
    return await answer;
  } catch (error) {
    if ((error as { code?: unknown }).code === code) return undefined;
    throw error;
  }
}
