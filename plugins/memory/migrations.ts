import { randomUUID } from "node:crypto";
import { type CallOptions, type MigrationsDriver, Uuid, type VersionRecord } from "../../core/index.ts";
import type { MemoryClient } from "./client.ts";
import { idKey } from "./collection.ts";
import type { MemoryDatabase } from "./database.ts";

export class MemoryMigrationsDriver implements MigrationsDriver {
  readonly #client: MemoryClient;

  constructor(client: MemoryClient) {
    this.#client = client;
  }

  get native(): unknown {
    return this.#client.database;
  }

  async latest(collection: string, options: CallOptions): Promise<VersionRecord | undefined> {
    const records = [...this.#database(options).documents(collection)].flatMap((document): VersionRecord[] => {
      const { _id, version, completed, backward, total_duration_ms: durationMs } = document;
      if (_id === 0 || typeof version !== "number" || !(completed instanceof Date)) return [];
      return [{ version, completed: new Date(completed.getTime()), backward: backward === true, durationMs: Number(durationMs) }];
    });
    return records.sort((a, b) => b.completed.getTime() - a.completed.getTime() || b.version - a.version)[0];
  }

  async record(collection: string, { version, completed, backward, durationMs }: VersionRecord, options: CallOptions): Promise<void> {
    const _id = new Uuid(randomUUID());
    const at = new Date(completed.getTime());
    this.#database(options).put(collection, idKey(_id), { _id, version, completed: at, backward, total_duration_ms: durationMs });
  }

  async exists(collection: string, options: CallOptions): Promise<boolean> {
    return this.#database(options).has(collection);
  }

  async createLike(collection: string, _model: string, options: CallOptions): Promise<void> {
    this.#database(options).collection(collection);
  }

  async copyIndexes(from: string, to: string, options: CallOptions): Promise<void> {
    const database = this.#database(options);
    if (database.has(from)) database.addIndexes(to, database.collection(from).indexes);
  }

  async replace(from: string, to: string, options: CallOptions): Promise<boolean> {
    return this.#database(options).rename(from, to);
  }

  async drop(collection: string, options: CallOptions): Promise<void> {
    this.#database(options).drop(collection);
  }

  #database({ signal }: CallOptions): MemoryDatabase {
    signal?.throwIfAborted();
    this.#client.broker.demandPresence();
    return this.#client.database;
  }
}
