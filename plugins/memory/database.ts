import type { IndexSpec, StoredDocument } from "../../core/index.ts";
import { type Changes, Collection, type Documents } from "./collection.ts";
import { MemoryDaoError } from "./dao-errors.ts";

interface Lease {
  readonly owner: string;
  readonly fence: number;
  readonly expiresAt: number;
}

interface Watcher {
  readonly onChange: () => void;
  readonly onEnd: (error: unknown) => void;
  isTold: boolean;
}

/** What reads and writes documents: the database itself, or a transaction. */
export interface View {
  documents(collection: string): Iterable<StoredDocument>;
  get(collection: string, id: string): StoredDocument | undefined;
  /** Writes one document, or deletes it. @throws MemoryDaoError and changes nothing. */
  put(collection: string, id: string, document: StoredDocument | undefined): void;
}

/** The documents of a space. Nothing here waits, so whatever happens in one call happens at once. */
export class MemoryDatabase implements View {
  readonly #collections = new Map<string, Collection>();
  readonly #watchers = new Map<string, Set<Watcher>>();
  /** Kept after they end: the next fence is higher. */
  readonly leases = new Map<string, Lease>();

  collection(name: string): Collection {
    let collection = this.#collections.get(name);
    if (collection === undefined) {
      collection = new Collection(name);
      this.#collections.set(name, collection);
    }
    return collection;
  }

  get names(): string[] {
    return [...this.#collections.keys()];
  }

  has(collection: string): boolean {
    return this.#collections.has(collection);
  }

  drop(collection: string): void {
    if (this.#collections.delete(collection)) this.#tellAll(collection);
  }

  /** Gives a collection another one's name and place; false if it is not there. */
  rename(from: string, to: string): boolean {
    const collection = this.#collections.get(from);
    if (collection === undefined) return false;
    this.#collections.delete(from);
    this.#collections.set(to, collection);
    collection.name = to;
    for (const name of [from, to]) this.#tellAll(name);
    return true;
  }

  addIndexes(collection: string, indexes: readonly IndexSpec[]): void {
    for (const index of indexes) this.collection(collection).addIndex(index);
  }

  documents(collection: string): Iterable<StoredDocument> {
    return this.#collections.get(collection)?.documents.values() ?? [];
  }

  get(collection: string, id: string): StoredDocument | undefined {
    return this.#collections.get(collection)?.documents.get(id);
  }

  put(collection: string, id: string, document: StoredDocument | undefined): void {
    this.putAll(new Map([[collection, new Map([[id, document]])]]));
  }

  /** Writes everything or, if an index forbids some of it, nothing. */
  putAll(changes: ReadonlyMap<string, Changes>): void {
    for (const [name, some] of changes) this.collection(name).check(some);
    for (const [name, some] of changes) {
      this.collection(name).write(some);
      this.#tellAll(name);
    }
  }

  snapshot(): ReadonlyMap<string, Documents> {
    return new Map([...this.#collections].map(([name, collection]) => [name, collection.snapshot()]));
  }

  /** Gives what ends it. */
  watch(collection: string, onChange: () => void, onEnd: (error: unknown) => void): () => void {
    const watcher: Watcher = { onChange, onEnd, isTold: false };
    const watchers = this.#watchers.get(collection) ?? new Set();
    this.#watchers.set(collection, watchers.add(watcher));
    return () => {
      watchers.delete(watcher);
      // Whoever has been told and not called yet is not called any more.
      watcher.isTold = false;
    };
  }

  #tellAll(collection: string): void {
    for (const watcher of this.#watchers.get(collection) ?? []) tell(watcher);
  }

  clear(): void {
    const watchers = [...this.#watchers.values()].flatMap((some) => [...some]);
    this.#collections.clear();
    this.#watchers.clear();
    this.leases.clear();
    for (const { onEnd } of watchers) onEnd(new Error("the memory space was cleared"));
  }
}

/** Later and once for several changes, never inside the call that writes. */
function tell(watcher: Watcher): void {
  if (watcher.isTold) return;
  watcher.isTold = true;
  setImmediate(() => {
    if (!watcher.isTold) return;
    watcher.isTold = false;
    watcher.onChange();
  });
}

/** A snapshot and what was written on top of it. Who commits first wins. */
export class MemoryTransaction implements View {
  readonly #database: MemoryDatabase;
  readonly #snapshot: ReadonlyMap<string, Documents>;
  readonly #written = new Map<string, Map<string, StoredDocument | undefined>>();
  #isOver = false;

  constructor(database: MemoryDatabase) {
    this.#database = database;
    this.#snapshot = database.snapshot();
  }

  *documents(collection: string): Iterable<StoredDocument> {
    this.#demandLife();
    const written = this.#written.get(collection);
    const before = this.#snapshot.get(collection);
    for (const [id, document] of before ?? []) {
      const current = written?.has(id) ? written.get(id) : document;
      if (current !== undefined) yield current;
    }
    for (const [id, document] of written ?? []) if (document !== undefined && !before?.has(id)) yield document;
  }

  get(collection: string, id: string): StoredDocument | undefined {
    this.#demandLife();
    const written = this.#written.get(collection);
    return written?.has(id) ? written.get(id) : this.#snapshot.get(collection)?.get(id);
  }

  put(collection: string, id: string, document: StoredDocument | undefined): void {
    this.#demandLife();
    this.#demandUnchanged(collection, id);
    const written = this.#written.get(collection) ?? new Map<string, StoredDocument | undefined>();
    this.#database.collection(collection).check(new Map(written).set(id, document));
    this.#written.set(collection, written.set(id, document));
  }

  commit(): void {
    this.#demandLife();
    this.#isOver = true;
    for (const [collection, written] of this.#written) for (const id of written.keys()) this.#demandUnchanged(collection, id);
    try {
      this.#database.putAll(this.#written);
    } catch (error) {
      // It was allowed when it was written: another writer has come between.
      throw error instanceof MemoryDaoError && error.code === "MEMORY_DUPLICATE_KEY" ? conflict() : error;
    }
  }

  abort(): void {
    this.#isOver = true;
  }

  #demandUnchanged(collection: string, id: string): void {
    if (this.#database.get(collection, id) !== this.#snapshot.get(collection)?.get(id)) throw conflict();
  }

  #demandLife(): void {
    if (this.#isOver) throw new Error("the transaction is over");
  }
}

function conflict(): MemoryDaoError {
  return new MemoryDaoError("MEMORY_WRITE_CONFLICT", "another writer has changed the same document meanwhile");
}
