import type { SourceRecord, TopicPartition } from "../../core/index.ts";

/** Text stays text until it is read: strings cannot change under their owner, so the way in needs no copy. */
export type Stored = string | Uint8Array | null;

/** What is kept of a record; topic, partition and offset follow from where it lies. */
export interface StoredRecord {
  readonly key: Stored;
  readonly value: Stored;
  readonly headers: readonly (readonly [name: string, value: Stored])[];
  readonly timestampMs: number;
}

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

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
    this.lane = `${topic}/${partition}`;
  }

  get end(): number {
    return this.#records.length;
  }

  /** The record is the log's from now on. */
  append(record: StoredRecord): void {
    this.#records.push(record);
  }

  wakeReaders(): void {
    for (const reader of this.readers) reader.wake();
  }

  /** Fresh copies of at most `count` records, for one reader. */
  read(from: number, count: number, reader: Reader): SourceRecord[] {
    const end = Math.min(from + count, this.#records.length);
    const records: SourceRecord[] = [];
    for (let offset = from; offset < end; offset += 1) {
      records.push(new DeliveredRecord(this, offset, this.#records[offset] as StoredRecord, reader));
    }
    return records;
  }
}

/** A record on its way to a member. Remembers its reader, so that an acknowledgement from before a rebalance is known. */
export class DeliveredRecord implements SourceRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly (readonly [name: string, value: Uint8Array | null])[];
  readonly timestampMs: number;
  readonly #reader: Reader;

  constructor(log: PartitionLog, offset: number, stored: StoredRecord, reader: Reader) {
    this.topic = log.topic;
    this.partition = log.partition;
    this.offset = offset;
    this.key = bytes(stored.key);
    this.value = bytes(stored.value);
    this.headers = stored.headers.map(([name, value]) => [name, bytes(value)]);
    this.timestampMs = stored.timestampMs;
    this.#reader = reader;
  }

  static readerOf(record: SourceRecord): Reader | undefined {
    return #reader in record ? record.#reader : undefined;
  }
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
