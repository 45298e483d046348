import type { CallOptions } from "../../call.ts";
import { isHexkitError } from "../../errors.ts";
import { DaoCalls } from "../dao/calls.ts";
import type { Dao, DaoTransaction, Find, FindOptions, UpdateOptions } from "../dao/dao.ts";
import type { Filter } from "../dao/filter-types.ts";
import { findBatches } from "../dao/find.ts";
import type { DaoModel } from "../dao/model.ts";
import { PortableDao } from "../dao/portable.ts";
import { transactionState } from "../dao/transaction.ts";
import type { Waiter } from "../relay/waiters.ts";
import { type DocumentSurroundings, OutboxDocuments } from "./documents.ts";
import { pendingAgain } from "./metadata.ts";
import type { Outbox } from "./outbox.ts";

/** An outbox over any DAO driver and any publisher driver. */
export class PortableOutbox<Dto> implements Outbox<Dto> {
  readonly #with: DocumentSurroundings;
  readonly #calls: DaoCalls;
  readonly #model: DaoModel<Dto>;
  readonly #waits: boolean;
  readonly #reading: Dao<Dto>;

  /** @param waits whether writes wait for their events. */
  constructor(surroundings: DocumentSurroundings, calls: DaoCalls, model: DaoModel<Dto>, waits: boolean) {
    this.#with = surroundings;
    this.#calls = calls;
    this.#model = model;
    this.#waits = waits;
    this.#reading = new PortableDao(new OutboxDocuments(surroundings), calls, model);
  }

  getById(id: string | number, options?: CallOptions): Promise<Dto> {
    return this.#reading.getById(id, options);
  }

  insert(dto: Dto, options?: CallOptions): Promise<void> {
    return this.#write(options, (dao) => dao.insert(dto, options));
  }

  update(dto: Dto, options?: UpdateOptions<Dto>): Promise<void> {
    return this.#write(options, (dao) => dao.update(dto, options));
  }

  upsert(dto: Dto, options?: CallOptions): Promise<void> {
    return this.#write(options, (dao) => dao.upsert(dto, options));
  }

  delete(id: string | number, options?: CallOptions): Promise<void> {
    return this.#write(options, (dao) => dao.delete(id, options));
  }

  insertMany(dtos: readonly Dto[], options?: CallOptions): Promise<void> {
    return this.#write(options, (dao) => dao.insertMany(dtos, options));
  }

  upsertMany(dtos: readonly Dto[], options?: CallOptions): Promise<void> {
    return this.#write(options, (dao) => dao.upsertMany(dtos, options));
  }

  findOne(filter: Filter<Dto>, options?: CallOptions): Promise<Dto> {
    return this.#reading.findOne(filter, options);
  }

  find(filter?: Filter<Dto>, options?: FindOptions<Dto>): Find<Dto> {
    return this.#reading.find(filter, options);
  }

  count(filter?: Filter<Dto>, options?: CallOptions): Promise<number> {
    return this.#reading.count(filter, options);
  }

  in(transaction: DaoTransaction): Dao<Dto> {
    const { driver, relay } = this.#with;
    const state = transactionState(transaction, driver, this.#calls.context);
    state.afterCommit(() => relay.wake());
    return new PortableDao(new OutboxDocuments(this.#with), new DaoCalls(this.#calls.context, state), this.#model);
  }

  publishPending(options?: CallOptions): Promise<void> {
    return this.#with.relay.publishPending(options);
  }

  async republish(options: CallOptions = {}): Promise<void> {
    const { driver } = this.#with;
    const { collection } = this.#model;
    for await (const batch of findBatches(driver, this.#calls, collection, { filter: { op: "and", filters: [] } }, options)) {
      const patches = batch.map((document) => ({ id: document._id, ...pendingAgain(document) }));
      await this.#calls.run("republish", collection, options, (inCall) => driver.patchMany(collection, patches, inCall));
    }
    await this.publishPending(options);
  }

  async #write(options: CallOptions | undefined, work: (dao: Dao<Dto>) => Promise<void>): Promise<void> {
    const { relay, context } = this.#with;
    const waiters: Waiter[] | undefined = this.#waits && relay.isAutomatic ? [] : undefined;
    try {
      await work(new PortableDao(new OutboxDocuments(this.#with, waiters), this.#calls, this.#model));
    } catch (error) {
      relay.forget(waiters ?? []);
      // Some of it may be stored all the same.
      relay.wake();
      throw error;
    }
    const outcomes = await relay.written(waiters ?? [], options);
    const failed = outcomes.find((outcome) => outcome !== "published");
    if (failed === undefined) return;
    const error = isHexkitError(failed) ? { error: failed } : {};
    context.logger.warn(error, `written to ${this.#model.collection} and not yet published; the relay goes on trying`);
  }
}
