import type { CallOptions, EventPublisherDriver, OutgoingRecord, SendOutcome } from "../../core/index.ts";
import type { MemoryClient } from "./client.ts";
import type { PartitionLog } from "./log.ts";

const stored: SendOutcome = Object.freeze({});

export class MemoryPublisherDriver implements EventPublisherDriver {
  readonly maxRecordBytes: number;
  readonly #client: MemoryClient;

  constructor(client: MemoryClient) {
    this.#client = client;
    this.maxRecordBytes = client.options.maxMessageBytes;
  }

  async prepare(topic: string): Promise<void> {
    this.#client.broker.demandPresence();
    this.#client.broker.topic(topic, this.#client.options.partitions);
  }

  lane(record: OutgoingRecord): string {
    return this.#log(record).lane;
  }

  async send(_lane: string, records: readonly OutgoingRecord[], { signal }: CallOptions): Promise<readonly SendOutcome[]> {
    signal?.throwIfAborted();
    const [first] = records;
    if (first === undefined) return [];
    const timestampMs = this.#client.clock.now();
    this.#client.broker.append(
      this.#log(first),
      records.map((text) => ({ text, timestampMs })),
    );
    return new Array<SendOutcome>(records.length).fill(stored);
  }

  #log({ topic, key }: OutgoingRecord): PartitionLog {
    return this.#client.broker.partition(topic, key, this.#client.options.partitions);
  }
}
