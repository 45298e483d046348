import type { CallOptions } from "../../call.ts";
import type { Logger } from "../../logging.ts";
import type { DaoSpec } from "../dao/dao.ts";
import type { DaoDriver, StoredDocument } from "../dao/driver.ts";

export interface TransformOptions {
  /**
   * What the documents must be afterwards: each must read, and be written again, as it is. Checked in the last step of a run only, because
   * earlier results are not what the code of today expects. Documents that an outbox has marked as deleted are left alone.
   */
  readonly validate?: Omit<DaoSpec, "name" | "idField" | "indexes"> & { readonly idField: string };
  /** Check also where it is not the last step. Default: false. */
  readonly alwaysValidate?: boolean;
  /** Whether the new collection gets the indexes of the old one, with names and options, before it takes its place. Default: true. */
  readonly copyIndexes?: boolean;
}

/** What a step works with. All of it ends with the step, or as soon as the lock is lost. */
export interface MigrationContext {
  /** The version that the step leads to; on the way back, the one that it leaves. */
  readonly version: number;
  readonly isBackward: boolean;
  /** Whether the run ends with this step. */
  readonly isLast: boolean;
  /** Aborts when the lock is lost, the caller has given up or the registry closes. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /**
   * Makes each document of a collection anew, in a collection beside it which takes the old one's place once the whole step has succeeded. Until
   * then, and if anything fails, nothing changes for anybody. `change` gets a copy, as it is stored, and gives what is to be stored;
   * `undefined` leaves it out. A missing collection is passed over. Resolves to the number of documents that were written.
   * @throws ERR_HEXKIT_MIGRATION_FAILED if the documents became more or fewer meanwhile; ERR_HEXKIT_STORED_DOCUMENT_INVALID;
   * ERR_HEXKIT_MIGRATION_INVALID if the step has transformed the collection before.
   */
  transform(
    collection: string,
    change: (document: StoredDocument) => StoredDocument | undefined | Promise<StoredDocument | undefined>,
    options?: TransformOptions,
  ): Promise<number>;
  /** All documents of a collection, as they are stored. */
  documents(collection: string): AsyncIterable<StoredDocument>;
  /** Whatever else is to be done. It happens at once, is not taken back if the step fails, and is done again if the step is. */
  readonly driver: DaoDriver;
  /** The client's own face of the database: with `mongodb`, a `Db`. As `driver`. */
  readonly native: unknown;
}

/** The way from the version before to this one, and back. */
export interface MigrationStep {
  /** 2 or higher. */
  readonly version: number;
  /** May run again from its beginning after a crash. */
  apply(context: MigrationContext): Promise<void>;
  /** Without it, there is no way back. */
  unapply?(context: MigrationContext): Promise<void>;
}

export interface MigrationPlan {
  /** The version that this program works with: 1 or higher. An empty or unversioned database becomes version 1. */
  readonly target: number;
  readonly steps: readonly MigrationStep[];
}

export interface MigrationReport {
  /** The version found; 0 for none. */
  readonly from: number;
  readonly to: number;
  /** The versions that were recorded by this run, in order; none if there was nothing to do, or another instance did it. */
  readonly recorded: readonly number[];
}

/**
 * The version of a document database. One instance migrates at a time, under a lock with an owner that ends by itself when the owner dies; each step is
 * recorded as it is done, so that a run that was broken off goes on where it stopped. Speaks the version collection of Python's hexkit: neither
 * runs while the other does.
 */
export interface Migrations {
  /** The recorded version; 0 if there is none. */
  version(options?: CallOptions): Promise<number>;
  /**
   * Does nothing if the database has that version. For services that must not migrate by themselves.
   * @throws ERR_HEXKIT_MIGRATION_VERSION if it has another one.
   */
  check(target: number, options?: CallOptions): Promise<void>;
  /**
   * Brings the database to the target, up or down, or waits until another instance has.
   * @throws ERR_HEXKIT_INVALID_ARGUMENT for a bad plan; ERR_HEXKIT_MIGRATION_INVALID if a step is missing or has no way back, before any of them runs;
   * ERR_HEXKIT_MIGRATION_FAILED if a step fails (nothing of its `transform`s has happened) or the lock is lost; ERR_HEXKIT_MIGRATION_LOCKED if
   * another instance takes longer than `maxWaitMs`; ERR_HEXKIT_ABORTED.
   */
  run(plan: MigrationPlan, options?: CallOptions): Promise<MigrationReport>;
}
