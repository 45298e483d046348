import type {
  CollectionAccess,
  DaoCallOptions,
  DaoDriver,
  DocumentId,
  DocumentPatch,
  DocumentQuery,
  DocumentValue,
  DriverTransaction,
  FilterNode,
  GuardedPatch,
  IndexSpec,
  LeaseAnswer,
  LeaseClaim,
  StoredDocument,
  Watch,
} from "../../core/index.ts";
import type { MemoryClient } from "./client.ts";
import { idKey } from "./collection.ts";
import { MemoryDaoError } from "./dao-errors.ts";
import { matches } from "./dao-filter.ts";
import { patched } from "./dao-patch.ts";
import { bySortKeys, sortEntry } from "./dao-paths.ts";
import { copyValue, sizeOf } from "./dao-values.ts";
import { MemoryTransaction, type View } from "./database.ts";

/** Documents of a space. Nothing waits for anything, so every call is atomic. */
export class MemoryDaoDriver implements DaoDriver {
  readonly capabilities = { transactions: true, watch: true, leases: true } as const;
  readonly collections: CollectionAccess = {
    list: async (options) => {
      this.#view(options);
      return this.#client.database.names;
    },
    empty: async (collection, options) => {
      const ids = Array.from(this.#view(options).documents(collection), ({ _id }) => idKey(_id));
      if (ids.length > 0) this.#client.database.putAll(new Map([[collection, new Map(ids.map((id) => [id, undefined]))]]));
    },
  };
  readonly #client: MemoryClient;

  constructor(client: MemoryClient) {
    this.#client = client;
  }

  async prepare(collection: string, indexes: readonly IndexSpec[], options: DaoCallOptions): Promise<void> {
    this.#view(options);
    this.#client.database.addIndexes(collection, indexes);
  }

  async get(collection: string, id: DocumentId, options: DaoCallOptions): Promise<StoredDocument | undefined> {
    const found = this.#view(options).get(collection, idKey(id));
    return found && copyValue(found);
  }

  async insert(collection: string, document: StoredDocument, options: DaoCallOptions): Promise<void> {
    this.#insert(this.#view(options), collection, document);
  }

  async insertMany(collection: string, documents: readonly StoredDocument[], options: DaoCallOptions): Promise<void> {
    const view = this.#view(options);
    for (const document of documents) this.#insert(view, collection, document);
  }

  async replace(collection: string, document: StoredDocument, guard: FilterNode | undefined, options: DaoCallOptions): Promise<boolean> {
    const view = this.#view(options);
    const id = idKey(document._id);
    const matched = isMatch(view.get(collection, id), guard);
    if (matched) view.put(collection, id, this.#kept(document));
    return matched;
  }

  async upsert(collection: string, document: StoredDocument, options: DaoCallOptions): Promise<void> {
    this.#view(options).put(collection, idKey(document._id), this.#kept(document));
  }

  async upsertMany(collection: string, documents: readonly StoredDocument[], options: DaoCallOptions): Promise<void> {
    const view = this.#view(options);
    for (const document of documents) view.put(collection, idKey(document._id), this.#kept(document));
  }

  async delete(collection: string, id: DocumentId, guard: FilterNode | undefined, options: DaoCallOptions): Promise<boolean> {
    const view = this.#view(options);
    const matched = isMatch(view.get(collection, idKey(id)), guard);
    if (matched) view.put(collection, idKey(id), undefined);
    return matched;
  }

  async patch(collection: string, id: DocumentId, guard: FilterNode, patch: DocumentPatch, options: DaoCallOptions): Promise<boolean> {
    const view = this.#view(options);
    const found = view.get(collection, idKey(id));
    if (found === undefined || !matches(found, guard)) return false;
    view.put(collection, idKey(id), this.#kept(patched(found, patch)));
    return true;
  }

  async patchMany(collection: string, patches: readonly GuardedPatch[], options: DaoCallOptions): Promise<number> {
    let count = 0;
    for (const { id, guard, patch } of patches) if (await this.patch(collection, id, guard, patch, options)) count += 1;
    return count;
  }

  async findAndPatch(
    collection: string,
    query: DocumentQuery,
    patch: DocumentPatch,
    options: DaoCallOptions,
  ): Promise<StoredDocument | undefined> {
    const view = this.#view(options);
    const [found] = select(view, collection, { filter: query.filter, limit: 1, ...(query.sort && { sort: query.sort }) });
    if (found === undefined) return undefined;
    const changed = this.#kept(patched(found, patch));
    view.put(collection, idKey(found._id), changed);
    return copyValue(changed);
  }

  async *find(
    collection: string,
    query: DocumentQuery,
    options: DaoCallOptions & { readonly batchSize: number },
  ): AsyncGenerator<readonly StoredDocument[], undefined> {
    const found = select(this.#view(options), collection, query);
    for (let at = 0; at < found.length; at += options.batchSize) {
      this.#view(options);
      yield found.slice(at, at + options.batchSize).map(copyValue);
    }
    return undefined;
  }

  async count(collection: string, filter: FilterNode, options: DaoCallOptions): Promise<number> {
    let count = 0;
    for (const document of this.#view(options).documents(collection)) if (matches(document, filter)) count += 1;
    return count;
  }

  async begin(options: DaoCallOptions): Promise<DriverTransaction> {
    this.#view(options);
    return { driverTransaction: new MemoryTransaction(this.#client.database) };
  }

  async commit(transaction: DriverTransaction, options: DaoCallOptions): Promise<void> {
    this.#view(options);
    transactionOf(transaction).commit();
  }

  async abort(transaction: DriverTransaction): Promise<void> {
    transactionOf(transaction).abort();
  }

  async acquireLease({ name, owner, ttlMs }: LeaseClaim, options: DaoCallOptions): Promise<LeaseAnswer> {
    this.#view(options);
    const { leases } = this.#client.database;
    const now = this.#client.clock.now();
    const held = leases.get(name);
    const isHeld = held !== undefined && held.expiresAt > now;
    if (isHeld && held.owner !== owner) return { granted: false, expiresInMs: held.expiresAt - now };
    const fence = isHeld ? held.fence : (held?.fence ?? 0) + 1;
    leases.set(name, { owner, fence, expiresAt: now + ttlMs });
    return { granted: true, fence };
  }

  async renewLease({ name, owner, ttlMs, fence }: LeaseClaim & { readonly fence: number }, options: DaoCallOptions): Promise<boolean> {
    this.#view(options);
    const { leases } = this.#client.database;
    const now = this.#client.clock.now();
    const held = leases.get(name);
    if (held === undefined || held.owner !== owner || held.fence !== fence || held.expiresAt <= now) return false;
    leases.set(name, { owner, fence, expiresAt: now + ttlMs });
    return true;
  }

  async releaseLease(
    { name, owner, fence }: { readonly name: string; readonly owner: string; readonly fence: number },
    options: DaoCallOptions,
  ): Promise<void> {
    this.#view(options);
    const { leases } = this.#client.database;
    const held = leases.get(name);
    if (held?.owner === owner && held.fence === fence) leases.set(name, { owner, fence, expiresAt: 0 });
  }

  async watch(collection: string, onChange: () => void, onEnd: (error: unknown) => void, options: DaoCallOptions): Promise<Watch> {
    this.#view(options);
    const end = this.#client.database.watch(collection, onChange, onEnd);
    return { close: async () => end() };
  }

  /** What a call reads and writes, if it may take place at all. */
  #view({ signal, transaction }: DaoCallOptions): View {
    signal?.throwIfAborted();
    this.#client.broker.demandPresence();
    return transaction === undefined ? this.#client.database : transactionOf(transaction);
  }

  #insert(view: View, collection: string, document: StoredDocument): void {
    const id = idKey(document._id);
    if (view.get(collection, id) !== undefined) {
      throw new MemoryDaoError("MEMORY_DUPLICATE_ID", `${collection} has a document ${JSON.stringify(String(document._id))} already`);
    }
    view.put(collection, id, this.#kept(document));
  }

  /** A copy to keep, unless it is too big. */
  #kept(document: StoredDocument): StoredDocument {
    const { maxDocumentBytes } = this.#client.options;
    const size = sizeOf(document as unknown as DocumentValue);
    if (size > maxDocumentBytes) {
      throw new MemoryDaoError("MEMORY_DOCUMENT_TOO_LARGE", `a document of ${size} bytes exceeds maxDocumentBytes, ${maxDocumentBytes}`);
    }
    return copyValue(document);
  }
}

function transactionOf({ driverTransaction }: DriverTransaction): MemoryTransaction {
  return driverTransaction as MemoryTransaction;
}

function isMatch(found: StoredDocument | undefined, guard: FilterNode | undefined): boolean {
  return found !== undefined && (guard === undefined || matches(found, guard));
}

function select(view: View, collection: string, { filter, sort = [], skip = 0, limit }: DocumentQuery): StoredDocument[] {
  let found = [...view.documents(collection)].filter((document) => matches(document, filter));
  if (sort.length > 0) {
    const compare = bySortKeys(sort);
    const entries = found.map((document) => ({ document, entry: sortEntry(document, sort) }));
    found = entries.sort((a, b) => compare(a.entry, b.entry)).map(({ document }) => document);
  }
  return found.slice(skip, limit === undefined ? undefined : skip + limit);
}
