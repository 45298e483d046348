/** A record as the protocol carries it, for writing. */
export interface PlainRecord {
  readonly key: string;
  readonly value: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** A record as the protocol carries it, read. Bytes are views into the answer that they came with. */
export interface ReadRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly (readonly [name: string, value: Uint8Array | null])[];
}

/** Compresses the records of a batch. */
export interface Codec {
  /** As batches name it. */
  readonly id: number;
  compress(records: Buffer): Promise<Buffer>;
  decompress(records: Buffer): Promise<Buffer>;
}

export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: number;
}

// Record batch, magic 2: https://kafka.apache.org/documentation/#recordbatch
const headBytes = 61;
const lengthAt = 8;
const magicAt = 16;
const crcAt = 17;
const attributesAt = 21;
const logAppendTime = 0x08;
const transactional = 0x10;
const control = 0x20;
/** What a record takes besides its bytes, at most: attributes and the variable-length numbers. */
const recordOverhead = 32;
const headerOverhead = 10;

/** Upper bound of what a record adds to an uncompressed batch. The texts are ASCII. */
export function recordBytes(record: PlainRecord): number {
  let bytes = recordOverhead + record.key.length + record.value.length;
  for (const [name, value] of record.headers) bytes += headerOverhead + name.length + value.length;
  return bytes;
}

/**
 * Writes records as one batch, headers in the given order. kafkajs's own encoder takes them as an object, which loses
 * the order and groups repeated names.
 */
export async function encodeBatch(
  records: readonly PlainRecord[],
  timestampMs: number,
  codec: Pick<Codec, "id" | "compress"> | undefined,
): Promise<Buffer> {
  const plain = encodeRecords(records);
  const body = codec === undefined ? plain : await codec.compress(plain);
  const batch = Buffer.allocUnsafe(headBytes + body.length);
  batch.writeBigInt64BE(0n, 0);
  batch.writeInt32BE(batch.length - 12, lengthAt);
  batch.writeInt32BE(-1, 12);
  batch.writeInt8(2, magicAt);
  batch.writeInt16BE(codec?.id ?? 0, attributesAt);
  batch.writeInt32BE(records.length - 1, 23);
  batch.writeBigInt64BE(BigInt(timestampMs), 27);
  batch.writeBigInt64BE(BigInt(timestampMs), 35);
  batch.writeBigInt64BE(-1n, 43);
  batch.writeInt16BE(-1, 51);
  batch.writeInt32BE(-1, 53);
  batch.writeInt32BE(records.length, 57);
  body.copy(batch, headBytes);
  batch.writeUInt32BE(crc32c(batch.subarray(attributesAt)), crcAt);
  return batch;
}

function encodeRecords(records: readonly PlainRecord[]): Buffer {
  const buffer = Buffer.allocUnsafe(records.reduce((sum, record) => sum + recordBytes(record), 0));
  let at = 0;
  const writeText = (text: string): void => {
    at = writeVarint(buffer, text.length, at);
    at += buffer.write(text, at, "latin1");
  };
  records.forEach((record, index) => {
    let size = 2 + varintBytes(index) + varintBytes(record.headers.length);
    const headers = record.headers.flat();
    for (const text of [record.key, record.value, ...headers]) size += varintBytes(text.length) + text.length;
    at = writeVarint(buffer, size, at);
    buffer[at++] = 0;
    at = writeVarint(buffer, 0, at);
    at = writeVarint(buffer, index, at);
    writeText(record.key);
    writeText(record.value);
    at = writeVarint(buffer, record.headers.length, at);
    for (const text of headers) writeText(text);
  });
  return buffer.subarray(0, at);
}

/**
 * Reads the records from `offset` on, and where to go on from. Records of aborted transactions, control records and a batch
 * that the answer cut off are left out.
 */
export async function decodeBatches(
  data: Buffer,
  offset: number,
  aborted: readonly AbortedTransaction[],
  decompress: (codecId: number, records: Buffer) => Promise<Buffer>,
): Promise<{ records: ReadRecord[]; nextOffset: number }> {
  const records: ReadRecord[] = [];
  let nextOffset = offset;
  const open = new Set<bigint>();
  const waiting = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  for (let start = 0; start + headBytes <= data.length; ) {
    const end = start + 12 + data.readInt32BE(start + lengthAt);
    if (end > data.length) break;
    const batch = data.subarray(start, end);
    start = end;
    if (batch.readInt8(magicAt) !== 2) throw new LegacyFormatError();
    const first = Number(batch.readBigInt64BE(0));
    const last = first + batch.readInt32BE(23);
    const attributes = batch.readInt16BE(attributesAt);
    const producerId = batch.readBigInt64BE(43);
    while (waiting[0] !== undefined && waiting[0].firstOffset <= last) open.add((waiting.shift() as AbortedTransaction).producerId);
    if (attributes & control) open.delete(producerId);
    else if (!(attributes & transactional && open.has(producerId)) && last >= offset) {
      const codecId = attributes & 0x07;
      const body = batch.subarray(headBytes);
      decodeRecords(codecId === 0 ? body : await decompress(codecId, body), batch, first, offset, records);
    }
    nextOffset = Math.max(nextOffset, last + 1);
  }
  return { records, nextOffset };
}

/** Messages written by clients older than Kafka 0.11. */
class LegacyFormatError extends Error {
  override readonly name = "LegacyFormatError";
  readonly type = "UNSUPPORTED_FOR_MESSAGE_FORMAT";

  constructor() {
    super("the partition holds messages in a format older than Kafka 0.11");
  }
}

function decodeRecords(body: Buffer, batch: Buffer, firstOffset: number, fromOffset: number, into: ReadRecord[]): void {
  const reader = new Reader(body);
  const firstTimestamp = Number(batch.readBigInt64BE(27));
  const stamp = batch.readInt16BE(attributesAt) & logAppendTime ? Number(batch.readBigInt64BE(35)) : undefined;
  for (let count = batch.readInt32BE(57); count > 0; count -= 1) {
    const end = reader.varint() + reader.at;
    reader.at += 1;
    const timestampMs = stamp ?? firstTimestamp + reader.varint();
    if (stamp !== undefined) reader.varint();
    const offset = firstOffset + reader.varint();
    const key = reader.bytes();
    const value = reader.bytes();
    const headers: [string, Uint8Array | null][] = [];
    const headerCount = reader.varint();
    for (let place = 0; place < headerCount; place += 1) headers.push([reader.name(place), reader.bytes()]);
    if (offset >= fromOffset) into.push({ offset, timestampMs, key, value, headers });
    reader.at = end;
  }
}

class Reader {
  at = 0;
  readonly #data: Buffer;
  readonly #names: string[] = [];

  constructor(data: Buffer) {
    this.#data = data;
  }

  /** A zigzag number of variable length. By arithmetic, since bit operators stop at 32 bits and timestamps do not. */
  varint(): number {
    const first = this.#data[this.at] as number;
    if (first < 0x80) {
      this.at += 1;
      return first % 2 === 0 ? first / 2 : -(first + 1) / 2;
    }
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#data[this.at++];
      if (byte === undefined) throw new RangeError("a record ends before its length");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 128;
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** The name of a record's header. Names are the same from record to record, and comparing costs less than a new text. */
  name(place: number): string {
    const length = Math.max(0, this.varint());
    const start = this.at;
    this.at += length;
    const known = this.#names[place];
    if (known !== undefined && known.length === length && this.#holds(known, start)) return known;
    const name = this.#data.toString("utf8", start, this.at);
    this.#names[place] = name;
    return name;
  }

  #holds(text: string, start: number): boolean {
    for (let index = 0; index < text.length; index += 1) {
      const byte = this.#data[start + index] as number;
      if (byte !== text.charCodeAt(index) || byte > 0x7f) return false;
    }
    return true;
  }

  bytes(): Buffer | null {
    const length = this.varint();
    if (length < 0) return null;
    this.at += length;
    return this.#data.subarray(this.at - length, this.at);
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value * 2; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

function writeVarint(buffer: Buffer, value: number, start: number): number {
  let at = start;
  let rest = value * 2;
  for (; rest >= 128; rest = Math.floor(rest / 128)) buffer[at++] = (rest % 128) | 0x80;
  buffer[at++] = rest;
  return at;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

function crc32c(data: Buffer): number {
  let crc = 0xffffffff;
  // By index: an iterator takes six times as long.
  for (let at = 0; at < data.length; at += 1) crc = (crcTable[(crc ^ (data[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
