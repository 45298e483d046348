import { randomUUID } from "node:crypto";
import type { CallOptions } from "../../call.ts";
import type { ContentStore, RecordRef } from "./content-store.ts";
import type { ContentFacts } from "./driver.ts";
import type { ByteRange, ContentStream } from "./object-storage.ts";

/** What a record says, as JSON. */
export interface Entry extends ContentFacts {
  readonly name: string;
  /** Also the id of the content: new content, new id. Whoever is reading the old one goes on. */
  readonly etag: string;
  readonly sizeBytes: number;
  /** Milliseconds since 1970. */
  readonly modifiedAt: number;
}

export type Content = Uint8Array | AsyncIterable<Uint8Array>;

/** Records with their contents: a record always has its content, and a content that no record has is removed. */
export class Entries {
  readonly #store: ContentStore;
  readonly #turns = new Turns();

  constructor(store: ContentStore) {
    this.#store = store;
  }

  /** Replaces what has the name; `undefined` if that must not be. */
  async put(
    record: RecordRef,
    content: Content,
    facts: ContentFacts & Pick<Entry, "modifiedAt">,
    options: CallOptions & { readonly ifAbsent?: boolean | undefined },
  ): Promise<Entry | undefined> {
    const { contentType, metadata, modifiedAt } = facts;
    const { signal, ifAbsent = false } = options;
    const { bucket, name } = record;
    const etag = randomUUID();
    const counted = new Counted(content);
    try {
      await this.#store.writeContent(bucket, etag, counted.content, { signal });
      const entry = { name, etag, sizeBytes: counted.sizeBytes, modifiedAt, contentType, metadata };
      const stored = await this.#turns.run(keyOf(record), async () => {
        const old = await this.find(record, { signal });
        if (!(await this.#store.setRecord(record, JSON.stringify(entry), { signal, ifAbsent }))) return false;
        if (old !== undefined) await this.#discard(bucket, old.etag);
        return true;
      });
      if (stored) return entry;
      await this.#discard(bucket, etag);
      return undefined;
    } catch (error) {
      // A store behind a network may have done what it reported as failed: content that is left over is better than content that is missing.
      const left = await this.find(record, {}).then(
        (found) => found?.etag !== etag,
        () => false,
      );
      if (left) await this.#discard(bucket, etag);
      throw error;
    }
  }

  async find(record: RecordRef, options: CallOptions): Promise<Entry | undefined> {
    const text = await this.#store.getRecord(record, options);
    return text === undefined ? undefined : (JSON.parse(text) as Entry);
  }

  /** An entry with its content, as they belong together; `undefined` if there is none. `rangeOf` may refuse by throwing. */
  async open(
    record: RecordRef,
    rangeOf: (entry: Entry) => ByteRange | undefined,
    options: CallOptions,
  ): Promise<{ readonly entry: Entry; readonly body: ContentStream } | undefined> {
    for (let last: string | undefined; ; ) {
      const entry = await this.find(record, options);
      if (entry === undefined) return undefined;
      const body = await this.#store.readContent(record.bucket, entry.etag, rangeOf(entry), options);
      if (body !== undefined) return { entry, body };
      // Replaced between the two steps: once more, unless it is the same again.
      if (entry.etag === last) throw new Error(`the content of "${record.name}" is gone: ${entry.etag}`);
      last = entry.etag;
    }
  }

  /** Whether there was one. */
  remove(record: RecordRef, options: CallOptions): Promise<boolean> {
    return this.#turns.run(keyOf(record), async () => {
      const entry = await this.find(record, options);
      if (entry === undefined) return false;
      await this.#store.deleteRecord(record, options);
      await this.#discard(record.bucket, entry.etag);
      return true;
    });
  }

  async list({ bucket, shelf, name: prefix }: RecordRef, options: CallOptions): Promise<Entry[]> {
    const entries: Entry[] = [];
    for await (const text of this.#store.listRecords(bucket, shelf, prefix, options)) {
      const entry = JSON.parse(text) as Entry;
      if (entry.name.startsWith(prefix)) entries.push(entry);
    }
    return entries;
  }

  /** What stays is only room that is lost: no reason to fail. */
  async #discard(bucket: string, id: string): Promise<void> {
    await this.#store.deleteContent(bucket, id, {}).catch(() => undefined);
  }
}

/** One work after the other for each key. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  async run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(work);
    const settled = turn.catch(() => undefined);
    this.#last.set(key, settled);
    return turn.finally(() => {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    });
  }
}

/** Content whose bytes are counted on their way. */
class Counted {
  readonly content: Content;
  sizeBytes = 0;

  constructor(content: Content) {
    this.content = content instanceof Uint8Array ? content : this.#count(content);
    if (content instanceof Uint8Array) this.sizeBytes = content.byteLength;
  }

  async *#count(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of content) {
      this.sizeBytes += chunk.byteLength;
      yield chunk;
    }
  }
}

function keyOf({ bucket, shelf, name }: RecordRef): string {
  return `${bucket}/${shelf}/${name}`;
}
