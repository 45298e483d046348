import type { EventSink, EventSource, JoinRequest } from "../../core/index.ts";
import { Group } from "./group.ts";
import { PartitionLog, partitionOf, type StoredRecord } from "./log.ts";

/** A broker inside the process: topics of partitions, consumer groups, committed positions. Keeps every record until it is cleared. */
export class MemoryBroker {
  readonly #topics = new Map<string, readonly PartitionLog[]>();
  readonly #groups = new Map<string, Group>();

  /** The topic's partitions; a new topic gets `partitions` of them. */
  topic(name: string, partitions: number): readonly PartitionLog[] {
    let logs = this.#topics.get(name);
    if (logs === undefined) {
      logs = Array.from({ length: partitions }, (_, index) => new PartitionLog(name, index));
      this.#topics.set(name, logs);
    }
    return logs;
  }

  /** The partition in which records of this topic and key lie. */
  partition(topic: string, key: string, partitions: number): PartitionLog {
    const logs = this.topic(topic, partitions);
    return logs[partitionOf(key, logs.length)] as PartitionLog;
  }

  append(log: PartitionLog, records: readonly StoredRecord[]): void {
    for (const record of records) log.append(record);
    log.wakeReaders();
  }

  join(request: JoinRequest, partitions: number, sink: EventSink): EventSource {
    let group = this.#groups.get(request.group);
    if (group === undefined) {
      group = new Group();
      this.#groups.set(request.group, group);
    }
    return group.join(
      request,
      request.topics.flatMap((topic) => this.topic(topic, partitions)),
      sink,
    );
  }

  /** Forgets everything; sources that are still reading fail. */
  clear(): void {
    const groups = [...this.#groups.values()];
    this.#topics.clear();
    this.#groups.clear();
    for (const group of groups) group.dissolve(new Error("the memory space was cleared"));
  }
}
