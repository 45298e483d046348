import type { CallOptions } from "../../call.ts";

/** What the database says of its own version. */
export interface VersionRecord {
  readonly version: number;
  readonly completed: Date;
  /** Whether a higher version was left. */
  readonly backward: boolean;
  readonly durationMs: number;
}

/**
 * What migrations need of a document database beyond `DaoDriver`, which the same provider must offer too. Throws its client's own errors.
 * Version records are documents `{ version, completed, backward, total_duration_ms }` with an id of the database's own making; the
 * document with the id 0 in the same collection is the lock and no record.
 */
export interface MigrationsDriver {
  /** The record with the greatest `completed`, then the greatest version; `undefined` if there is none. */
  latest(collection: string, options: CallOptions): Promise<VersionRecord | undefined>;
  record(collection: string, record: VersionRecord, options: CallOptions): Promise<void>;
  exists(collection: string, options: CallOptions): Promise<boolean>;
  /** Makes an empty collection with the settings of another one, its indexes and rules excepted. */
  createLike(collection: string, model: string, options: CallOptions): Promise<void>;
  /** Makes the indexes of one collection on another one, with names and options. */
  copyIndexes(from: string, to: string, options: CallOptions): Promise<void>;
  /** Gives a collection the name of another one, which is dropped, in one step. Resolves to false if it is not there. */
  replace(from: string, to: string, options: CallOptions): Promise<boolean>;
  /** A missing one is no error. */
  drop(collection: string, options: CallOptions): Promise<void>;
  /** The client's own face of the database. */
  readonly native: unknown;
}
