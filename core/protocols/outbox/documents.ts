import { isHexkitError } from "../../errors.ts";
import { newUuid } from "../../uuid.ts";
import type { DaoCallOptions, DaoDriver, DocumentId, DocumentQuery, DocumentStore, FilterNode, StoredDocument } from "../dao/driver.ts";
import { isAscii } from "../event-publisher/encode.ts";
import type { PublisherSettings } from "../event-publisher/settings.ts";
import type { ProtocolContext } from "../index.ts";
import type { Relay } from "../relay/relay.ts";
import type { Waiter } from "../relay/waiters.ts";
import { correlationIdOf, isDeleted, isLive, metadataOf, tombstone, withMetadata } from "./metadata.ts";

export interface DocumentSurroundings {
  readonly driver: DaoDriver;
  /** Of the DAO's binding. */
  readonly context: ProtocolContext;
  readonly publisher: ProtocolContext<PublisherSettings>;
  readonly relay: Relay;
}

/**
 * Documents with the outbox's metadata, as a DAO sees them: those that were deleted are not there, and whatever is written is to be published.
 * What it writes is noted in `waiters`, if given.
 */
export class OutboxDocuments implements DocumentStore {
  readonly #with: DocumentSurroundings;
  readonly #waiters: Waiter[] | undefined;

  constructor(surroundings: DocumentSurroundings, waiters?: Waiter[]) {
    this.#with = surroundings;
    this.#waiters = waiters;
  }

  async get(collection: string, id: DocumentId, options: DaoCallOptions): Promise<StoredDocument | undefined> {
    const document = await this.#with.driver.get(collection, id, options);
    return document !== undefined && metadataOf(document)?.deleted ? undefined : document;
  }

  insert(collection: string, document: StoredDocument, options: DaoCallOptions): Promise<void> {
    return this.#insert(collection, this.#stamped(document), options);
  }

  async insertMany(collection: string, documents: readonly StoredDocument[], options: DaoCallOptions): Promise<void> {
    const { driver } = this.#with;
    const stamped = documents.map((document) => this.#stamped(document));
    const ids: FilterNode = { op: "in", path: ["_id"], values: documents.map(({ _id }) => _id) };
    if ((await driver.count(collection, { op: "and", filters: [ids, isDeleted] }, options)) === 0) {
      return driver.insertMany(collection, stamped, options);
    }
    for (const document of stamped) await this.#insert(collection, document, options);
  }

  replace(collection: string, document: StoredDocument, guard: FilterNode | undefined, options: DaoCallOptions): Promise<boolean> {
    const live = guard === undefined ? isLive : ({ op: "and", filters: [isLive, guard] } as const);
    return this.#with.driver.replace(collection, this.#stamped(document), live, options);
  }

  upsert(collection: string, document: StoredDocument, options: DaoCallOptions): Promise<void> {
    return this.#with.driver.upsert(collection, this.#stamped(document), options);
  }

  upsertMany(collection: string, documents: readonly StoredDocument[], options: DaoCallOptions): Promise<void> {
    const stamped = documents.map((document) => this.#stamped(document));
    return this.#with.driver.upsertMany(collection, stamped, options);
  }

  delete(collection: string, id: DocumentId, _guard: FilterNode | undefined, options: DaoCallOptions): Promise<boolean> {
    const { driver, publisher, context } = this.#with;
    const left = tombstone(id, correlationIdOf(publisher, context), this.#revision(id));
    return driver.replace(collection, left, isLive, options);
  }

  find(
    collection: string,
    query: DocumentQuery,
    options: DaoCallOptions & { readonly batchSize: number },
  ): AsyncIterable<readonly StoredDocument[]> {
    const filter: FilterNode = { op: "and", filters: [query.filter, isLive] };
    return this.#with.driver.find(collection, { ...query, filter }, options);
  }

  count(collection: string, filter: FilterNode, options: DaoCallOptions): Promise<number> {
    return this.#with.driver.count(collection, { op: "and", filters: [filter, isLive] }, options);
  }

  /** Takes the place of a tombstone, if there is one: an id that was deleted is free. */
  async #insert(collection: string, document: StoredDocument, options: DaoCallOptions): Promise<void> {
    const { driver, context } = this.#with;
    // A failed insert would end the transaction.
    if (options.transaction !== undefined) {
      if (!(await driver.replace(collection, document, isDeleted, options))) await driver.insert(collection, document, options);
      return;
    }
    try {
      await driver.insert(collection, document, options);
    } catch (error) {
      if (!isHexkitError(context.mapError(error, "insert", collection), "ERR_HEXKIT_DOCUMENT_EXISTS")) throw error;
      if (!(await driver.replace(collection, document, isDeleted, options))) throw error;
    }
  }

  #stamped(document: StoredDocument): StoredDocument {
    const { publisher, context } = this.#with;
    return withMetadata(document, correlationIdOf(publisher, context), this.#revision(document._id));
  }

  /** The revision of what is about to be written. */
  #revision(id: DocumentId): string {
    if (!isAscii(String(id))) {
      const fact = `write: the id ${JSON.stringify(String(id))} has a character outside ASCII, and could not be the key of an event`;
      throw this.#with.context.error("ERR_HEXKIT_NOT_ASCII", fact);
    }
    const revision = newUuid();
    this.#waiters?.push(this.#with.relay.expect(id, revision));
    return revision;
  }
}
