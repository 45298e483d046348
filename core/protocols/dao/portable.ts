import type { CallOptions } from "../../call.ts";
import type { ErrorCode, HexkitError } from "../../errors.ts";
import { DaoCalls } from "./calls.ts";
import type { Dao, DaoTransaction, Find, FindOptions, UpdateOptions } from "./dao.ts";
import type { DocumentId, DocumentStore, StoredDocument } from "./driver.ts";
import { isSame } from "./encode.ts";
import type { Filter } from "./filter-types.ts";
import { type CheckedQuery, countDocuments, DocumentFind } from "./find.ts";
import type { DaoModel } from "./model.ts";
import { transactionState } from "./transaction.ts";

/** How often a document may change between being read and being replaced, although it reads the same. */
const maxRaces = 10;

/** A `Dao` over any driver. */
export class PortableDao<Dto> implements Dao<Dto> {
  readonly #driver: DocumentStore;
  readonly #calls: DaoCalls;
  readonly #model: DaoModel<Dto>;

  constructor(driver: DocumentStore, calls: DaoCalls, model: DaoModel<Dto>) {
    this.#driver = driver;
    this.#calls = calls;
    this.#model = model;
  }

  async getById(id: string | number, options?: CallOptions): Promise<Dto> {
    const found = this.#id(id, "getById");
    const { collection } = this.#model;
    const document =
      found && (await this.#calls.run("getById", collection, options, (inCall) => this.#driver.get(collection, found.id, inCall)));
    if (document === undefined) throw this.#notFound("getById", id);
    return this.#model.decodeOwned(document, "getById");
  }

  insert(dto: Dto, options?: CallOptions): Promise<void> {
    return this.#write("insert", dto, options, (document, inCall) => this.#driver.insert(this.#model.collection, document, inCall));
  }

  async update(dto: Dto, options: UpdateOptions<Dto> = {}): Promise<void> {
    const { collection } = this.#model;
    const document = await this.#model.encode(dto, "update");
    if (options.ifUnchangedSince !== undefined) return this.#updateUnchanged(document, options.ifUnchangedSince, options);
    const matched = await this.#calls.run("update", collection, options, (inCall) =>
      this.#driver.replace(collection, document, undefined, inCall),
    );
    if (!matched) throw this.#notFound("update", document._id);
  }

  upsert(dto: Dto, options?: CallOptions): Promise<void> {
    return this.#write("upsert", dto, options, (document, inCall) => this.#driver.upsert(this.#model.collection, document, inCall));
  }

  async delete(id: string | number, options?: CallOptions): Promise<void> {
    const found = this.#id(id, "delete");
    const { collection } = this.#model;
    const matched =
      found &&
      (await this.#calls.run("delete", collection, options, (inCall) => this.#driver.delete(collection, found.id, undefined, inCall)));
    if (!matched) throw this.#notFound("delete", id);
  }

  insertMany(dtos: readonly Dto[], options?: CallOptions): Promise<void> {
    return this.#writeMany("insertMany", dtos, options, (documents, inCall) =>
      this.#driver.insertMany(this.#model.collection, documents, inCall),
    );
  }

  upsertMany(dtos: readonly Dto[], options?: CallOptions): Promise<void> {
    return this.#writeMany("upsertMany", dtos, options, (documents, inCall) =>
      this.#driver.upsertMany(this.#model.collection, documents, inCall),
    );
  }

  async findOne(filter: Filter<Dto>, options: CallOptions = {}): Promise<Dto> {
    const query: CheckedQuery = { filter: this.#model.filter(filter, "findOne"), limit: 2 };
    const documents = await new DocumentFind(this.#driver, this.#calls, this.#model, query, options).toArray();
    const [document] = documents;
    if (documents.length === 1) return document as Dto;
    if (document === undefined) throw this.#error("ERR_HEXKIT_NO_HIT", "findOne", "nothing matches the filter");
    throw this.#error("ERR_HEXKIT_MULTIPLE_HITS", "findOne", "more than one document matches the filter");
  }

  find(filter?: Filter<Dto>, options: FindOptions<Dto> = {}): Find<Dto> {
    const { skip = 0, limit, sort } = options;
    for (const [name, value] of [
      ["skip", skip],
      ["limit", limit ?? 0],
    ] as const) {
      if (!Number.isSafeInteger(value) || value < 0) {
        throw this.#error(
          "ERR_HEXKIT_INVALID_ARGUMENT",
          "find",
          `${name} must be an integer from 0, not ${JSON.stringify(value) ?? typeof value}`,
        );
      }
    }
    const query = {
      filter: this.#model.filter(filter, "find"),
      sort: this.#model.sort(sort, "find"),
      skip,
      ...(limit !== undefined && { limit }),
    };
    return new DocumentFind(this.#driver, this.#calls, this.#model, query, options);
  }

  async count(filter?: Filter<Dto>, options: CallOptions = {}): Promise<number> {
    const parsed = this.#model.filter(filter, "count");
    return countDocuments(this.#driver, this.#calls, this.#model.collection, parsed, options, "count");
  }

  in(transaction: DaoTransaction): Dao<Dto> {
    const { context } = this.#calls;
    const state = transactionState(transaction, this.#driver, context);
    return new PortableDao(this.#driver, new DaoCalls(context, state), this.#model);
  }

  async #write(
    operation: string,
    dto: Dto,
    options: CallOptions | undefined,
    write: (document: StoredDocument, inCall: Parameters<DocumentStore["insert"]>[2]) => Promise<void>,
  ): Promise<void> {
    const document = await this.#model.encode(dto, operation);
    await this.#calls.run(operation, this.#model.collection, options, (inCall) => write(document, inCall));
  }

  async #writeMany(
    operation: string,
    dtos: readonly Dto[],
    options: CallOptions | undefined,
    write: (documents: readonly StoredDocument[], inCall: Parameters<DocumentStore["insert"]>[2]) => Promise<void>,
  ): Promise<void> {
    if (!Array.isArray(dtos)) throw this.#error("ERR_HEXKIT_INVALID_ARGUMENT", operation, "it takes a list of DTOs");
    const documents: StoredDocument[] = [];
    for (const [index, dto] of dtos.entries()) documents.push(await this.#model.encode(dto as Dto, `${operation} [${index}]`));
    if (documents.length === 0) return;
    await this.#calls.run(operation, this.#model.collection, options, (inCall) => write(documents, inCall));
  }

  async #updateUnchanged(document: StoredDocument, previous: Dto, options: CallOptions): Promise<void> {
    const { collection } = this.#model;
    const expected = await this.#model.encode(previous, "update");
    if (!isSame(expected._id, document._id)) {
      throw this.#error("ERR_HEXKIT_INVALID_ARGUMENT", "update", "`ifUnchangedSince` is a document with another id");
    }
    for (let race = 0; race < maxRaces; race += 1) {
      const stored = await this.#calls.run("update", collection, options, (inCall) => this.#driver.get(collection, document._id, inCall));
      if (stored === undefined) throw this.#notFound("update", document._id);
      // Compared as it reads, because the stored form may differ in what the schema does not see. The write is then guarded by the stored form.
      if (!isSame(await this.#model.encode(await this.#model.decode(stored, "update"), "update"), expected)) break;
      const matched = await this.#calls.run("update", collection, options, (inCall) =>
        this.#driver.replace(collection, document, { op: "is", document: stored }, inCall),
      );
      if (matched) return;
    }
    throw this.#error(
      "ERR_HEXKIT_DOCUMENT_CHANGED",
      "update",
      `document ${JSON.stringify(String(document._id))} has changed since it was read; read it again and repeat the change`,
    );
  }

  /** The id as it is stored; `undefined` if no document can have it. */
  #id(id: unknown, operation: string): { readonly id: DocumentId } | undefined {
    if (typeof id !== "string" && typeof id !== "number") {
      const kind = id === null ? "null" : typeof id;
      throw this.#error("ERR_HEXKIT_INVALID_ARGUMENT", operation, `an id is text or an integer, not ${kind}`);
    }
    const found = this.#model.id(id);
    return found === undefined ? undefined : { id: found };
  }

  #notFound(operation: string, id: unknown): HexkitError {
    const text = String(id);
    const shown = JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
    return this.#error("ERR_HEXKIT_DOCUMENT_NOT_FOUND", operation, `no document has the ${this.#model.idField} ${shown}`);
  }

  #error(code: ErrorCode, operation: string, fact: string): HexkitError {
    return this.#calls.context.error(code, `${operation} ${this.#model.collection}: ${fact}`);
  }
}
