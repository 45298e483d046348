import type { DaoSpec } from "../dao/dao.ts";
import type { DaoDriver, StoredDocument } from "../dao/driver.ts";
import { isSame } from "../dao/encode.ts";
import { DaoModel, metadataField } from "../dao/model.ts";
import type { ProtocolContext } from "../index.ts";
import type { MigrationsDriver } from "./driver.ts";
import type { Progress } from "./lock.ts";
import type { MigrationContext, TransformOptions } from "./migrations.ts";
import type { MigrationsSettings } from "./settings.ts";

type Change = Parameters<MigrationContext["transform"]>[1];

/** The collections that one step makes anew, each beside the one whose place it is to take. */
export class Transforms {
  readonly #dao: DaoDriver;
  readonly #driver: MigrationsDriver;
  readonly #context: ProtocolContext<MigrationsSettings>;
  readonly #step: Pick<MigrationContext, "version" | "isBackward" | "isLast" | "signal">;
  readonly #made = new Map<string, string>();

  constructor(
    dao: DaoDriver,
    driver: MigrationsDriver,
    context: ProtocolContext<MigrationsSettings>,
    step: Pick<MigrationContext, "version" | "isBackward" | "isLast" | "signal">,
  ) {
    this.#dao = dao;
    this.#driver = driver;
    this.#context = context;
    this.#step = step;
  }

  get swaps(): Progress["swaps"] {
    return [...this.#made].map(([to, from]) => ({ from, to }));
  }

  async make(collection: string, change: Change, options: TransformOptions): Promise<number> {
    const { signal } = this.#step;
    if (this.#made.has(collection)) {
      throw this.#context.error("ERR_HEXKIT_MIGRATION_INVALID", `${this.#name()}: ${collection} is transformed twice; do it in one go`);
    }
    const made = this.#temporary(collection);
    this.#made.set(collection, made);
    const check = await this.#check(collection, options);
    await this.#driver.drop(made, { signal });
    if (!(await this.#driver.exists(collection, { signal }))) {
      this.#context.logger.warn({ collection, version: this.#step.version }, "a migration passes over a collection that is not there");
      this.#made.delete(collection);
      return 0;
    }
    await this.#driver.createLike(made, collection, { signal });
    const { read, written } = await this.#fill(collection, made, change, check);
    if (options.copyIndexes ?? true) await this.#driver.copyIndexes(collection, made, { signal });
    const now = await this.#dao.count(collection, { op: "and", filters: [] }, { signal });
    if (now !== read) {
      const fact = `${collection} had ${read} documents and has ${now} now: somebody writes to it; stop them and run again`;
      throw this.#context.error("ERR_HEXKIT_MIGRATION_FAILED", `${this.#name()}: ${fact}`);
    }
    return written;
  }

  /** Drops what was made. */
  async discard(): Promise<void> {
    for (const made of this.#made.values()) await this.#driver.drop(made, {});
  }

  async *documents(collection: string): AsyncGenerator<StoredDocument, undefined> {
    for await (const batch of this.#batches(collection)) yield* batch;
    return undefined;
  }

  async #fill(collection: string, made: string, change: Change, check: Check): Promise<{ read: number; written: number }> {
    const { signal } = this.#step;
    let [read, written] = [0, 0];
    for await (const batch of this.#batches(collection)) {
      const changed: StoredDocument[] = [];
      for (const document of batch) {
        const { _id } = document;
        const result = await change(document);
        signal.throwIfAborted();
        if (result === undefined) continue;
        if (result?._id === undefined) {
          throw this.#context.error(
            "ERR_HEXKIT_MIGRATION_FAILED",
            `${this.#name()}: what became of document ${String(_id)} of ${collection} has no _id`,
          );
        }
        await check(result);
        changed.push(result);
      }
      read += batch.length;
      written += changed.length;
      if (changed.length > 0) await this.#dao.insertMany(made, changed, { signal });
    }
    return { read, written };
  }

  #batches(collection: string): AsyncIterable<readonly StoredDocument[]> {
    const { signal } = this.#step;
    return this.#dao.find(collection, { filter: { op: "and", filters: [] } }, { signal, batchSize: this.#context.settings.batchSize });
  }

  async #check(collection: string, { validate, alwaysValidate = false }: TransformOptions): Promise<Check> {
    if (validate === undefined) return async () => undefined;
    const context = this.#context;
    const model = await DaoModel.open({ ...validate, name: collection } as DaoSpec, (code, message, cause) =>
      context.error(code, message, cause),
    );
    if (!this.#step.isLast && !alwaysValidate) return async () => undefined;
    return async (document) => {
      const { [metadataField]: metadata, ...fields } = document;
      if ((metadata as { deleted?: unknown } | undefined)?.deleted === true) return;
      const again = await model.encode(await model.decode(document, this.#name()), this.#name());
      if (isSame(again as never, fields as never)) return;
      throw context.error(
        "ERR_HEXKIT_STORED_DOCUMENT_INVALID",
        `${this.#name()}: document ${String(document._id)} of ${collection} would not be written as it reads: a field is missing, strange or of another type`,
      );
    };
  }

  /** As in Python. */
  #temporary(collection: string): string {
    return `tmp_v${this.#step.version}_${this.#step.isBackward ? "unapply_" : ""}new_${collection}`;
  }

  #name(): string {
    return stepName(this.#step);
  }
}

type Check = (document: StoredDocument) => Promise<void>;

export function stepName({ version, isBackward }: { readonly version: number; readonly isBackward: boolean }): string {
  return `step ${version}${isBackward ? ", backward" : ""}`;
}
