import type { CallOptions } from "../../call.ts";
import type { DaoCalls } from "./calls.ts";
import type { Find } from "./dao.ts";
import type { DocumentQuery, DocumentStore, FilterNode, StoredDocument } from "./driver.ts";
import type { DaoModel } from "./model.ts";

/** A query that has passed every check. */
export interface CheckedQuery extends DocumentQuery {
  /** 0 gives nothing, and nothing is asked. */
  readonly limit?: number;
}

/** See `Find`. */
export class DocumentFind<Dto> implements Find<Dto> {
  readonly #driver: DocumentStore;
  readonly #calls: DaoCalls;
  readonly #model: DaoModel<Dto>;
  readonly #query: CheckedQuery;
  readonly #options: CallOptions;
  #total: Promise<number> | undefined;
  #documents: AsyncGenerator<Dto, undefined> | undefined;

  constructor(driver: DocumentStore, calls: DaoCalls, model: DaoModel<Dto>, query: CheckedQuery, options: CallOptions) {
    this.#driver = driver;
    this.#calls = calls;
    this.#model = model;
    this.#query = query;
    this.#options = options;
  }

  [Symbol.asyncIterator](): AsyncGenerator<Dto, undefined> {
    this.#documents ??= this.#iterate();
    return this.#documents;
  }

  async toArray(): Promise<Dto[]> {
    const documents: Dto[] = [];
    if (this.#documents !== undefined) {
      for await (const document of this.#documents) documents.push(document);
      return documents;
    }
    // Not by the iterator, whose step for each document would cost more than the document.
    this.#documents = this.#iterate();
    void this.#documents.return(undefined);
    for await (const batch of this.#batches()) {
      for (const document of batch) {
        const decoded = this.#model.decodeOwned(document, "find");
        documents.push(decoded instanceof Promise ? await decoded : decoded);
      }
    }
    return documents;
  }

  total(): Promise<number> {
    this.#total ??= countDocuments(this.#driver, this.#calls, this.#model.collection, this.#query.filter, this.#options, "total");
    return this.#total;
  }

  #batches(): AsyncGenerator<readonly StoredDocument[], undefined> {
    return findBatches(this.#driver, this.#calls, this.#model.collection, this.#query, this.#options);
  }

  async *#iterate(): AsyncGenerator<Dto, undefined> {
    for await (const batch of this.#batches()) {
      for (const document of batch) {
        const decoded = this.#model.decodeOwned(document, "find");
        yield decoded instanceof Promise ? await decoded : decoded;
      }
    }
    return undefined;
  }
}

export function countDocuments(
  driver: DocumentStore,
  calls: DaoCalls,
  collection: string,
  filter: FilterNode,
  options: CallOptions,
  operation: string,
): Promise<number> {
  return calls.run(operation, collection, options, (inCall) => driver.count(collection, filter, inCall));
}

/** One for all: an error of its own for each would cost more than a small query. */
const iterationOver = new Error("the iteration is over");

/** The stored documents of a query, in batches; each batch within the setting `timeoutMs`. Leaving early frees the driver's cursor. */
export async function* findBatches(
  driver: DocumentStore,
  calls: DaoCalls,
  collection: string,
  query: CheckedQuery,
  options: CallOptions,
): AsyncGenerator<readonly StoredDocument[], undefined> {
  if (query.limit === 0) return undefined;
  const { batchSize } = calls.context.settings;
  // One signal for the whole: a call's own is over with its batch.
  const controller = new AbortController();
  let batches: AsyncIterator<readonly StoredDocument[]> | undefined;
  let exhausted = false;
  let reason: unknown = iterationOver;
  try {
    for (;;) {
      const { done, value } = await calls.run("find", collection, options, async ({ timeoutMs, transaction }) => {
        batches ??= driver
          .find(collection, query, { timeoutMs, transaction, signal: controller.signal, batchSize })
          [Symbol.asyncIterator]();
        return batches.next();
      });
      if (done) {
        exhausted = true;
        return undefined;
      }
      yield value;
    }
  } catch (error) {
    reason = error;
    throw error;
  } finally {
    if (!exhausted) {
      // Ends a batch under way, whose call is over by its time or by the caller's signal.
      controller.abort(reason);
      // Not waited for while a request hangs: whoever gave up has waited enough.
      batches?.return?.().catch(() => undefined);
    }
  }
}
