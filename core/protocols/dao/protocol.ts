import type { CallOptions } from "../../call.ts";
import type { Schema, SchemaOutput } from "../../schema.ts";
import { defineProtocol, type ProtocolContext } from "../index.ts";
import { DaoCalls } from "./calls.ts";
import type { Dao, DaoFactory, DaoSpec, DaoTransaction, TransactionOptions } from "./dao.ts";
import type { DaoDriver } from "./driver.ts";
import { DaoModel } from "./model.ts";
import { PortableDao } from "./portable.ts";
import { type DaoSettings, daoSettings } from "./settings.ts";
import { runTransaction } from "./transaction.ts";

export const daoProtocol = defineProtocol({
  name: "dao",
  id: "hexkit/dao",
  version: 1,
  summary: "Domain objects in a document database.",
  settings: daoSettings,
  methods: {
    prepare: true,
    get: true,
    insert: true,
    insertMany: true,
    replace: true,
    upsert: true,
    upsertMany: true,
    delete: true,
    patch: true,
    patchMany: true,
    findAndPatch: true,
    find: true,
    count: true,
    begin: true,
    commit: true,
    abort: true,
    acquireLease: true,
    renewLease: true,
    releaseLease: true,
    watch: true,
  },
  create: (driver, context) => new PortableDaoFactory(driver, context),
});

class PortableDaoFactory implements DaoFactory {
  readonly #driver: DaoDriver;
  readonly #context: ProtocolContext<DaoSettings>;

  constructor(driver: DaoDriver, context: ProtocolContext<DaoSettings>) {
    this.#driver = driver;
    this.#context = context;
  }

  async open<const S extends Schema>(spec: DaoSpec<S>, options?: CallOptions): Promise<Dao<SchemaOutput<S>>> {
    const context = this.#context;
    const model = await DaoModel.open(spec as unknown as DaoSpec, (code, message, cause) => context.error(code, message, cause));
    const calls = new DaoCalls(context);
    const { collection, indexes } = model;
    await calls.run("open", collection, options, (inCall) => this.#driver.prepare(collection, indexes, inCall));
    return new PortableDao(this.#driver, calls, model as DaoModel<SchemaOutput<S>>);
  }

  transaction<Result>(work: (transaction: DaoTransaction) => Promise<Result>, options: TransactionOptions = {}): Promise<Result> {
    return runTransaction(this.#driver, this.#context, work, options);
  }
}
