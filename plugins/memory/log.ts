import type { RecordText, SourceRecord, TopicPartition } from "../../core/index.ts";

type Content = Pick<SourceRecord, "key" | "value" | "headers">;

export type Stored = string | Uint8Array | null;

/** A record that no publisher of ours writes. Text stands for its bytes in UTF-8. */
interface RawRecord {
  readonly key: Stored;
  readonly value: Stored;
  readonly headers: readonly (readonly [name: string, value: Stored])[];
}

/**
 * What is kept of a record; topic, partition and offset follow from where it lies. What was published stays text: strings cannot
 * change under their owner, so neither the way in nor the way out needs a copy.
 */
export type StoredRecord = { readonly timestampMs: number } & (
  | { readonly text: RecordText; readonly raw?: undefined }
  | { readonly text?: undefined; readonly raw: RawRecord }
);

/** Who reads a partition, and is told when there is more. */
export interface Reader {
  wake(): void;
}

/** One partition: an append-only log, and who reads it. */
export class PartitionLog implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  readonly lane: string;
  /** One per group at most. */
  readonly readers = new Set<Reader>();
  readonly #records: StoredRecord[] = [];
  /** Offset of the first record; those before it have been deleted. */
  #start = 0;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
    this.lane = `${topic}/${partition}`;
  }

  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#start + this.#records.length;
  }

  /** Deletes the records before an offset. */
  deleteBefore(offset: number): void {
    const count = Math.min(offset, this.end) - this.#start;
    if (count <= 0) return;
    this.#records.splice(0, count);
    this.#start += count;
  }

  /** The record is the log's from now on. */
  append(record: StoredRecord): void {
    this.#records.push(record);
  }

  wakeReaders(): void {
    for (const reader of this.readers) reader.wake();
  }

  /** At most `count` records, for one reader, with bytes of its own. */
  read(from: number, count: number, reader: Reader): SourceRecord[] {
    const first = Math.max(from, this.#start);
    const end = Math.min(first + count, this.end);
    const records: SourceRecord[] = [];
    for (let offset = first; offset < end; offset += 1) {
      records.push(new DeliveredRecord(this, offset, this.#records[offset - this.#start] as StoredRecord, reader));
    }
    return records;
  }
}

/** A record on its way to a member. Remembers its reader, so that an acknowledgement from before a rebalance is known. */
export class DeliveredRecord implements SourceRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly text: RecordText | undefined;
  readonly #stored: StoredRecord;
  readonly #reader: Reader;
  #copy: Content | undefined;

  constructor(log: PartitionLog, offset: number, stored: StoredRecord, reader: Reader) {
    this.topic = log.topic;
    this.partition = log.partition;
    this.offset = offset;
    this.timestampMs = stored.timestampMs;
    this.text = stored.text;
    this.#stored = stored;
    this.#reader = reader;
  }

  get key(): Uint8Array | null {
    return this.#content.key;
  }

  get value(): Uint8Array | null {
    return this.#content.value;
  }

  get headers(): Content["headers"] {
    return this.#content.headers;
  }

  /** Made when somebody asks: the engine reads the text. */
  get #content(): Content {
    this.#copy ??= copyOf(this.#stored.text ?? this.#stored.raw);
    return this.#copy;
  }

  static readerOf(record: SourceRecord): Reader | undefined {
    return #reader in record ? record.#reader : undefined;
  }
}

function copyOf({ key, value, headers }: RecordText | RawRecord): Content {
  return { key: bytes(key), value: bytes(value), headers: headers.map(([name, each]) => [name, bytes(each)]) };
}

/** FNV-1a: stable over processes, and fast on the short keys of events. */
export function partitionOf(key: string, partitions: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % partitions;
}

function bytes(stored: Stored): Uint8Array | null {
  if (stored === null) return null;
  return typeof stored === "string" ? Buffer.from(stored) : new Uint8Array(stored);
}
