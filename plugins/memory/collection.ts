import type { DocumentId, IndexSpec, StoredDocument } from "../../core/index.ts";
import { MemoryDaoError } from "./dao-errors.ts";
import { matches } from "./dao-filter.ts";
import { indexKeys, isPresent } from "./dao-paths.ts";
import { keyOf } from "./dao-values.ts";

/** Documents by the key of their id, in order of insertion. They are never changed, only replaced. */
export type Documents = Map<string, StoredDocument>;
/** What is written together: by id, `undefined` for what is deleted. */
export type Changes = ReadonlyMap<string, StoredDocument | undefined>;

interface Index {
  readonly spec: IndexSpec;
  /** What is to be equal for the same definition. */
  readonly definition: string;
  /** Entry → id of its document; of unique indexes only. */
  readonly owners: Map<string, string>;
}

const none: Documents = new Map();

export class Collection {
  name: string;
  #documents: Documents = none;
  /** A snapshot still reads the map, which must then be copied before it is written. */
  #isShared = true;
  readonly #indexes = new Map<string, Index>();

  constructor(name: string) {
    this.name = name;
  }

  get documents(): Documents {
    return this.#documents;
  }

  /** The fields of each index, with 1 or -1. */
  get indexFields(): Readonly<Record<string, number>>[] {
    return [...this.#indexes.values()].map(({ spec }) =>
      Object.fromEntries(spec.fields.map(({ path, descending }) => [path.join("."), descending ? -1 : 1])),
    );
  }

  get indexes(): IndexSpec[] {
    return [...this.#indexes.values()].map(({ spec }) => spec);
  }

  /** The documents as they are now, for good. */
  snapshot(): Documents {
    this.#isShared = true;
    return this.#documents;
  }

  addIndex(spec: IndexSpec): void {
    const name = spec.fields.map(({ path, descending }) => `${path.join(".")}_${descending ? -1 : 1}`).join("_");
    const definition = JSON.stringify([spec.unique, spec.sparse, spec.where]);
    const present = this.#indexes.get(name);
    if (present?.definition === definition) return;
    if (present !== undefined) throw this.#conflict(name, "one over the same fields is there already, with other options");
    const index: Index = { spec, definition, owners: new Map() };
    for (const [id, document] of this.#documents) {
      for (const entry of entriesOf(document, spec)) {
        const owner = index.owners.get(entry);
        if (spec.unique && owner !== undefined && owner !== id) throw this.#conflict(name, "stored documents are equal in its fields");
        index.owners.set(entry, id);
      }
    }
    if (!spec.unique) index.owners.clear();
    this.#indexes.set(name, index);
  }

  /**
   * Refuses what an index forbids, without writing.
   */
  check(changes: Changes): void {
    for (const [name, { spec, owners }] of this.#indexes) {
      const added = new Map<string, string>();
      for (const [id, document] of changes) {
        if (document === undefined) continue;
        for (const entry of entriesOf(document, spec)) {
          const owner = added.get(entry) ?? owners.get(entry);
          const isTaken = owner !== undefined && owner !== id && (added.has(entry) || !changes.has(owner));
          if (spec.unique && isTaken) throw this.#duplicate(name, spec);
          added.set(entry, id);
        }
      }
    }
  }

  /** Writes what `check` has let pass. */
  write(changes: Changes): void {
    if (this.#isShared) this.#documents = new Map(this.#documents);
    this.#isShared = false;
    for (const { spec, owners } of this.#indexes.values()) {
      if (!spec.unique) continue;
      for (const id of changes.keys()) {
        const before = this.#documents.get(id);
        if (before !== undefined) for (const entry of entriesOf(before, spec)) owners.delete(entry);
      }
      for (const [id, after] of changes) if (after !== undefined) for (const entry of entriesOf(after, spec)) owners.set(entry, id);
    }
    for (const [id, document] of changes) {
      if (document === undefined) this.#documents.delete(id);
      else this.#documents.set(id, document);
    }
  }

  #duplicate(index: string, { fields }: IndexSpec): MemoryDaoError {
    const names = fields.map(({ path }) => path.join(".")).join(", ");
    return new MemoryDaoError("MEMORY_DUPLICATE_KEY", `another document of ${this.name} has the same ${names} (unique index ${index})`);
  }

  #conflict(index: string, fact: string): MemoryDaoError {
    return new MemoryDaoError("MEMORY_INDEX_CONFLICT", `index ${index} of ${this.name}: ${fact}`);
  }
}

export const idKey = (id: DocumentId): string => keyOf(id);

/** The entries of a document in an index; none if it is not in it. */
function entriesOf(document: StoredDocument, { fields, sparse, where }: IndexSpec): Set<string> {
  if (where !== undefined && !matches(document, where)) return new Set();
  if (sparse && !fields.some(({ path }) => isPresent(document, path))) return new Set();
  return new Set(indexKeys(document, fields).map((entry) => entry.map(keyOf).join("|")));
}
