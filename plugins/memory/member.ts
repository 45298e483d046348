import {
  type EventSink,
  type EventSource,
  type JoinRequest,
  OffsetTracker,
  type SourceRecord,
  type TopicPartition,
} from "../../core/index.ts";
import { BrokerAwayError } from "./errors.ts";
import { DeliveredRecord, type PartitionLog, type Reader } from "./log.ts";

/** Records handed to the engine at a time: it can pause in between, and other partitions get their turn. */
const batchSize = 256;

/** One partition in the hands of one member, from `assigned` until it is given up. */
export class Assignment implements Reader {
  readonly log: PartitionLog;
  readonly member: Member;
  readonly tracker = new OffsetTracker();
  readonly start: number;
  next: number;
  paused = false;
  /** Being given up: nothing more is delivered, but what finishes is still acknowledged. */
  revoking = false;
  released = false;

  constructor(log: PartitionLog, member: Member, start: number) {
    this.log = log;
    this.member = member;
    this.start = start;
    this.next = start;
  }

  wake(): void {
    this.member.wake();
  }

  get deliverable(): boolean {
    return !this.paused && !this.revoking && !this.released && Math.max(this.next, this.log.start) < this.log.end;
  }
}

/** What a member needs of its group. */
export interface Company {
  /** During an outage nothing is delivered or acknowledged. */
  readonly away: boolean;
  commit(assignment: Assignment): void;
  leave(member: Member): void;
}

/** One membership: what the engine holds as its source. */
export class Member implements EventSource {
  readonly clientId: string;
  readonly logs: readonly PartitionLog[];
  /** By lane. */
  readonly assignments = new Map<string, Assignment>();
  readonly #company: Company;
  readonly #sink: EventSink;
  readonly #left: Promise<void>;
  #leave!: () => void;
  #gone = false;
  #awake = false;

  constructor(company: Company, { clientId }: JoinRequest, logs: readonly PartitionLog[], sink: EventSink) {
    this.#company = company;
    this.clientId = clientId;
    this.logs = logs;
    this.#sink = sink;
    this.#left = new Promise((resolve) => {
      this.#leave = resolve;
    });
  }

  get gone(): boolean {
    return this.#gone;
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) {
      const assignment = this.#find(partition);
      if (assignment) assignment.paused = true;
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) {
      const assignment = this.#find(partition);
      if (assignment) assignment.paused = false;
    }
    this.wake();
  }

  async acknowledge(records: readonly SourceRecord[]): Promise<void> {
    if (this.#company.away) throw new BrokerAwayError();
    const moved = new Set<Assignment>();
    for (const record of records) {
      const reader = DeliveredRecord.readerOf(record);
      const assignment = reader instanceof Assignment ? reader : this.#find(record);
      if (assignment === undefined || assignment.released || assignment.member !== this) continue;
      // An offset of an earlier assignment must not settle one that is yet to be delivered again.
      if (record.offset < assignment.start || record.offset >= assignment.next) continue;
      if (assignment.tracker.settle(record.offset)) moved.add(assignment);
    }
    for (const assignment of moved) this.#company.commit(assignment);
  }

  lag(): number {
    let lag = 0;
    for (const assignment of this.assignments.values()) lag += assignment.log.end - Math.max(assignment.next, assignment.log.start);
    return lag;
  }

  async leave(): Promise<void> {
    this.#gone = true;
    this.#company.leave(this);
    this.#leave();
  }

  assign(assignments: readonly Assignment[]): void {
    this.#sink.assigned(assignments.map(place));
    this.wake();
  }

  /** Resolves when the engine has let go, or has left meanwhile. `lost`: the partitions are somebody else's already. */
  async revoke(assignments: readonly Assignment[], lost: boolean): Promise<void> {
    await Promise.race([this.#sink.revoked(assignments.map(place), { lost }), this.#left]);
  }

  /** Says that the broker is away, or that it is back. */
  showOutage(error: Error | undefined): void {
    this.#sink.trouble(error && { reason: error.message, error });
    if (error === undefined) this.wake();
  }

  fail(error: Error): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#leave();
    this.#sink.failed(error);
  }

  /** Delivers in a later turn of the event loop, so never inside a publisher's `send`. */
  wake(): void {
    if (this.#awake) return;
    this.#awake = true;
    setImmediate(() => {
      this.#awake = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    let more = false;
    for (const assignment of [...this.assignments.values()]) {
      if (this.#gone || this.#company.away) return;
      if (!assignment.deliverable) continue;
      const records = assignment.log.read(assignment.next, batchSize, assignment);
      for (const record of records) assignment.tracker.delivered(record.offset);
      // Records may have been deleted in between.
      assignment.next = (records.at(-1)?.offset ?? assignment.log.end - 1) + 1;
      this.#sink.records(place(assignment), records);
      more ||= assignment.deliverable;
    }
    if (more) this.wake();
  }

  #find({ topic, partition }: TopicPartition): Assignment | undefined {
    return this.assignments.get(`${topic}/${partition}`);
  }
}

function place({ log }: Assignment): TopicPartition {
  return { topic: log.topic, partition: log.partition };
}
