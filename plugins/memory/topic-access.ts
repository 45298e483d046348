import type { CallOptions, PartitionExtent, PartitionPosition, SourceRecord, TopicAccess } from "../../core/index.ts";
import type { MemoryBroker } from "./broker.ts";
import type { Reader } from "./log.ts";

const batchSize = 256;
/** Reads for nobody: what it reads cannot be acknowledged. */
const onlooker: Reader = { wake: () => {} };

/** Topics of a space, seen past any group. */
export class MemoryTopicAccess implements TopicAccess {
  readonly #broker: MemoryBroker;

  constructor(broker: MemoryBroker) {
    this.#broker = broker;
  }

  async list(options: CallOptions): Promise<readonly string[]> {
    return this.#present(options).topicNames;
  }

  async extents(topics: readonly string[], options: CallOptions): Promise<readonly PartitionExtent[]> {
    const broker = this.#present(options);
    return topics.flatMap((name) =>
      broker.find(name).map(({ topic, partition, start, end }): PartitionExtent => ({ topic, partition, start, end })),
    );
  }

  async *read({ topic, partition, start, end }: PartitionExtent, options: CallOptions): AsyncIterable<readonly SourceRecord[]> {
    for (let next = start; next < end; ) {
      const records =
        this.#present(options)
          .find(topic)
          [partition]?.read(next, Math.min(batchSize, end - next), onlooker) ?? [];
      const within = records.filter(({ offset }) => offset < end);
      const last = within.at(-1);
      if (last === undefined) return;
      next = last.offset + 1;
      yield within;
    }
  }

  async positions(group: string, topics: readonly string[], options: CallOptions): Promise<readonly PartitionPosition[]> {
    const broker = this.#present(options);
    const members = broker.group(group);
    return topics.flatMap((name) =>
      broker.find(name).flatMap((log): PartitionPosition[] => {
        const offset = members?.position(log);
        return offset === undefined ? [] : [{ topic: log.topic, partition: log.partition, offset }];
      }),
    );
  }

  async clear(extents: readonly PartitionExtent[], options: CallOptions): Promise<void> {
    const broker = this.#present(options);
    for (const { topic, partition, end } of extents) broker.find(topic)[partition]?.deleteBefore(end);
  }

  #present({ signal }: CallOptions): MemoryBroker {
    signal?.throwIfAborted();
    this.#broker.demandPresence();
    return this.#broker;
  }
}
