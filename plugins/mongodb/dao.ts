import type {
  CollectionAccess,
  DaoCallOptions,
  DaoCapabilities,
  DaoDriver,
  DocumentId,
  DocumentPatch,
  DocumentQuery,
  DriverTransaction,
  FilterNode,
  GuardedPatch,
  IndexSpec,
  LeaseAnswer,
  LeaseClaim,
  StoredDocument,
  Watch,
} from "../../core/index.ts";
import type { ClientSession, Document, MongodbClient } from "./client.ts";
import { DocumentCodec } from "./documents.ts";
import { IndexError, isDuplicate, isDuplicateId, isOutcomeUnknown, isTooLarge, UpsertRaceError, withoutValues } from "./errors.ts";
import { guarded, toFilter, toIndex, toSort, toUpdate } from "./filters.ts";
import { Leases } from "./leases.ts";
import { CollectionWatch } from "./watch.ts";

const ownCollections = /^(system\.|hexkit_leases$)/;

/** How long giving up a transaction is waited for: the server may be away. */
const abortPatienceMs = 1_000;
const commitPauseMs = 50;

export class MongodbDaoDriver implements DaoDriver {
  readonly capabilities: DaoCapabilities;
  readonly collections: CollectionAccess;
  readonly #client: MongodbClient;
  readonly #codec: DocumentCodec;
  readonly #leases: Leases;

  constructor(client: MongodbClient) {
    this.capabilities = client.capabilities;
    this.collections = collectionAccess(client);
    this.#client = client;
    this.#codec = new DocumentCodec(client.bson);
    this.#leases = new Leases(client);
  }

  async prepare(collection: string, indexes: readonly IndexSpec[], _options: DaoCallOptions): Promise<void> {
    const specs = indexes.flatMap((index) => toIndex(index, this.#codec) ?? []);
    if (specs.length === 0) return;
    try {
      // Without a time limit: the server would throw away what it has built of a long index, and the next attempt begin anew.
      await this.#client.collection(collection).createIndexes(specs);
    } catch (error) {
      if (isDuplicate(error)) throw new IndexError("stored documents agree in a unique index", { cause: withoutValues(error) });
      throw error;
    }
  }

  async get(collection: string, id: DocumentId, options: DaoCallOptions): Promise<StoredDocument | undefined> {
    // Without the signal, which costs as much as the rest of the call: the caller leaves at once all the same, and the time limit ends the request.
    const found = await this.#client.collection(collection).findOne({ _id: this.#codec.id(id) }, writeOptions(options));
    return found === null ? undefined : this.#codec.decode(found);
  }

  async insert(collection: string, document: StoredDocument, options: DaoCallOptions): Promise<void> {
    const raw = this.#codec.encode(document);
    await quietly(this.#client.collection(collection).insertOne(raw, writeOptions(options)));
  }

  async insertMany(collection: string, documents: readonly StoredDocument[], options: DaoCallOptions): Promise<void> {
    const raw = documents.map((document) => this.#codec.encode(document));
    await this.#untilTooLarge(raw, (some) =>
      quietly(this.#client.collection(collection).insertMany(some as never, { ...writeOptions(options), ordered: true })),
    );
  }

  async replace(collection: string, document: StoredDocument, guard: FilterNode | undefined, options: DaoCallOptions): Promise<boolean> {
    const raw = this.#codec.encode(document);
    const { matchedCount } = await quietly(
      this.#client.collection(collection).replaceOne(guarded(raw._id, guard, this.#codec), raw, writeOptions(options)),
    );
    return matchedCount === 1;
  }

  async upsert(collection: string, document: StoredDocument, options: DaoCallOptions): Promise<void> {
    const raw = this.#codec.encode(document);
    for (;;) {
      try {
        const upsert = { ...writeOptions(options), upsert: true };
        await quietly(this.#client.collection(collection).replaceOne({ _id: raw._id }, raw, upsert));
        return;
      } catch (error) {
        this.#assertRace(error, options);
      }
    }
  }

  async upsertMany(collection: string, documents: readonly StoredDocument[], options: DaoCallOptions): Promise<void> {
    let left = documents.map((document) => this.#codec.encode(document));
    while (left.length > 0) {
      try {
        await this.#untilTooLarge(left, (some) => {
          const writes = some.map((raw) => ({ replaceOne: { filter: { _id: raw._id }, replacement: raw, upsert: true } }));
          return quietly(this.#client.collection(collection).bulkWrite(writes as never, { ...writeOptions(options), ordered: true }));
        });
        return;
      } catch (error) {
        this.#assertRace(error, options);
        left = left.slice((error as { writeErrors: { index: number }[] }).writeErrors[0]?.index ?? 0);
      }
    }
  }

  async delete(collection: string, id: DocumentId, guard: FilterNode | undefined, options: DaoCallOptions): Promise<boolean> {
    const filter = guarded(this.#codec.id(id), guard, this.#codec);
    const { deletedCount } = await this.#client.collection(collection).deleteOne(filter, writeOptions(options));
    return deletedCount === 1;
  }

  async patch(collection: string, id: DocumentId, guard: FilterNode, patch: DocumentPatch, options: DaoCallOptions): Promise<boolean> {
    const filter = guarded(this.#codec.id(id), guard, this.#codec);
    const update = toUpdate(patch, this.#codec);
    const { matchedCount } = await quietly(this.#client.collection(collection).updateOne(filter, update, writeOptions(options)));
    return matchedCount === 1;
  }

  async patchMany(collection: string, patches: readonly GuardedPatch[], options: DaoCallOptions): Promise<number> {
    if (patches.length === 0) return 0;
    const writes = patches.map(({ id, guard, patch }) => ({
      updateOne: { filter: guarded(this.#codec.id(id), guard, this.#codec), update: toUpdate(patch, this.#codec) },
    }));
    const written = this.#client.collection(collection).bulkWrite(writes as never, { ...writeOptions(options), ordered: false });
    const { matchedCount } = await quietly(written);
    return matchedCount;
  }

  async findAndPatch(
    collection: string,
    { filter, sort }: DocumentQuery,
    patch: DocumentPatch,
    options: DaoCallOptions,
  ): Promise<StoredDocument | undefined> {
    const found = await quietly(
      this.#client.collection(collection).findOneAndUpdate(toFilter(filter, this.#codec), toUpdate(patch, this.#codec), {
        ...writeOptions(options),
        returnDocument: "after",
        ...(sort !== undefined && { sort: toSort(sort) }),
      }),
    );
    return found === null ? undefined : this.#codec.decode(found);
  }

  async *find(
    collection: string,
    { filter, sort, skip, limit }: DocumentQuery,
    { signal, transaction, batchSize }: DaoCallOptions & { readonly batchSize: number },
  ): AsyncGenerator<readonly StoredDocument[], undefined> {
    // No maxTimeMS: it would count for all batches together. The signal breaks the connection, at which the server stops.
    const cursor = this.#client.collection(collection).find(toFilter(filter, this.#codec), {
      ...readOptions({ signal, transaction }),
      batchSize,
      ...(sort !== undefined && sort.length > 0 && { sort: toSort(sort) }),
      ...(skip !== undefined && { skip }),
      ...(limit !== undefined && { limit }),
    });
    try {
      while (await cursor.hasNext()) {
        const batch = cursor.readBufferedDocuments();
        for (const document of batch) this.#codec.decode(document);
        yield batch as unknown as StoredDocument[];
      }
      return undefined;
    } finally {
      await cursor.close();
    }
  }

  count(collection: string, filter: FilterNode, options: DaoCallOptions): Promise<number> {
    return this.#client.collection(collection).countDocuments(toFilter(filter, this.#codec), readOptions(options));
  }

  async begin({ timeoutMs }: DaoCallOptions): Promise<DriverTransaction> {
    const session = this.#client.startSession();
    session.startTransaction({
      readConcern: "snapshot",
      writeConcern: { w: "majority" },
      readPreference: "primary",
      ...(timeoutMs !== undefined && { maxCommitTimeMS: Math.ceil(timeoutMs) }),
    });
    return { driverTransaction: session };
  }

  async commit(transaction: DriverTransaction, { signal }: DaoCallOptions): Promise<void> {
    const session = sessionOf(transaction) as ClientSession;
    for (;;) {
      try {
        await session.commitTransaction();
        return;
      } catch (error) {
        if (signal?.aborted || !isOutcomeUnknown(error)) throw error;
        await this.#client.clock.sleep(commitPauseMs, signal);
        if (signal?.aborted) throw error;
      }
    }
  }

  async abort(transaction: DriverTransaction): Promise<void> {
    const session = sessionOf(transaction) as ClientSession;
    const waiting = new AbortController();
    const ending = (async () => {
      try {
        if (session.inTransaction()) await session.abortTransaction();
        await session.endSession();
      } catch {
        // The server gives it up by itself.
      } finally {
        waiting.abort();
      }
    })();
    await Promise.race([ending, this.#client.clock.sleep(abortPatienceMs, waiting.signal)]);
  }

  acquireLease(claim: LeaseClaim, options: DaoCallOptions): Promise<LeaseAnswer> {
    return this.#leases.acquire(claim, writeOptions(options));
  }

  renewLease(claim: LeaseClaim & { readonly fence: number }, options: DaoCallOptions): Promise<boolean> {
    return this.#leases.renew(claim, writeOptions(options));
  }

  releaseLease(lease: { readonly name: string; readonly owner: string; readonly fence: number }, options: DaoCallOptions): Promise<void> {
    return this.#leases.release(lease, writeOptions(options));
  }

  watch(collection: string, onChange: () => void, onEnd: (error: unknown) => void, { signal }: DaoCallOptions): Promise<Watch> {
    return CollectionWatch.open(this.#client, collection, onChange, onEnd, signal);
  }

  /** Throws an error that is no race of two upserts, or that a transaction cannot outlive. */
  #assertRace(error: unknown, { signal, transaction }: DaoCallOptions): void {
    if (!isDuplicateId(error) || signal?.aborted) throw error;
    if (transaction !== undefined) throw new UpsertRaceError("another writer made the same document", { cause: error });
  }

  /** The npm driver refuses a whole list with one document that is too large, before it sends any. */
  async #untilTooLarge<Raw>(documents: readonly Raw[], write: (some: readonly Raw[]) => Promise<unknown>): Promise<void> {
    try {
      await write(documents);
    } catch (error) {
      if (!isTooLarge(error) || (error as Error).name === "MongoBulkWriteError" || documents.length === 1) throw error;
      for (const document of documents) await write([document]);
    }
  }
}

function sessionOf(transaction: DriverTransaction | undefined): ClientSession | undefined {
  return transaction?.driverTransaction as ClientSession | undefined;
}

/** What takes no signal: the caller leaves, and the time limit ends what it left behind. */
function writeOptions({ timeoutMs, transaction }: DaoCallOptions): Document {
  const session = sessionOf(transaction);
  return { ...(timeoutMs !== undefined && { maxTimeMS: Math.ceil(timeoutMs) }), ...(session && { session }) };
}

function readOptions(options: DaoCallOptions): Document {
  return { ...writeOptions(options), ...(options.signal && { signal: options.signal }) };
}

/** What a write fails with may hold the document. */
async function quietly<Result>(write: Promise<Result>): Promise<Result> {
  try {
    return await write;
  } catch (error) {
    throw withoutValues(error);
  }
}

function collectionAccess(client: MongodbClient): CollectionAccess {
  return {
    list: async ({ signal }) => {
      const command = {
        listCollections: 1,
        nameOnly: true,
        authorizedCollections: true,
        filter: { type: "collection" },
        cursor: { batchSize: 100_000 },
      };
      const { cursor } = await client.command(command, { signal });
      return (cursor.firstBatch as { name: string }[]).map(({ name }) => name).filter((name) => !ownCollections.test(name));
    },
    empty: async (collection) => {
      await client.collection(collection).deleteMany({});
    },
  };
}
