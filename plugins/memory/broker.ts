import type { EventSink, EventSource, JoinRequest } from "../../core/index.ts";
import { BrokerAwayError } from "./errors.ts";
import { Group } from "./group.ts";
import { PartitionLog, partitionOf, type StoredRecord } from "./log.ts";

/** A broker inside the process: topics of partitions, consumer groups, committed positions. Keeps every record until it is cleared. */
export class MemoryBroker {
  readonly #topics = new Map<string, readonly PartitionLog[]>();
  readonly #groups = new Map<string, Group>();
  #away = false;

  /** @throws BrokerAwayError during an outage */
  demandPresence(): void {
    if (this.#away) throw new BrokerAwayError();
  }

  /** An outage begins or ends, for everyone who is connected. */
  setAway(away: boolean): void {
    if (this.#away === away) return;
    this.#away = away;
    for (const group of this.#groups.values()) group.setOutage(away ? new BrokerAwayError() : undefined);
  }

  get topicNames(): string[] {
    return [...this.#topics.keys()];
  }

  /** The partitions of a topic, if it exists. */
  find(topic: string): readonly PartitionLog[] {
    return this.#topics.get(topic) ?? [];
  }

  group(name: string): Group | undefined {
    return this.#groups.get(name);
  }

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
    this.demandPresence();
    for (const record of records) log.append(record);
    log.wakeReaders();
  }

  join(request: JoinRequest, partitions: number, sink: EventSink): EventSource {
    this.demandPresence();
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
    this.#away = false;
    for (const group of groups) group.dissolve(new Error("the memory space was cleared"));
  }
}
