import {
  type EventSink,
  type EventSource,
  type JoinRequest,
  OffsetTracker,
  type SourceRecord,
  type TopicPartition,
} from "../../core/index.ts";
import { DeliveredRecord, type PartitionLog, type Reader } from "./log.ts";

/** Records handed to the engine at a time: it can pause in between, and other partitions get their turn. */
const batchSize = 256;

/** One partition in the hands of one member, from `assigned` until it is given up. */
class Assignment implements Reader {
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
    return !this.paused && !this.revoking && !this.released && this.next < this.log.end;
  }
}

/** The members that share partitions, and how far they have come. Positions outlive the members. */
export class Group {
  readonly #positions = new Map<PartitionLog, number>();
  readonly #owned = new Map<PartitionLog, Assignment>();
  readonly #members = new Set<Member>();
  #reconciling = false;

  join(request: JoinRequest, logs: readonly PartitionLog[], sink: EventSink): Member {
    for (const log of logs) {
      // Fixed when the group first asks: with `latest`, whatever is appended after this join is delivered to someone.
      if (!this.#positions.has(log)) this.#positions.set(log, request.from === "latest" ? log.end : 0);
    }
    const member = new Member(this, logs, sink);
    this.#members.add(member);
    this.#reconcileSoon();
    return member;
  }

  leave(member: Member): void {
    if (!this.#members.delete(member)) return;
    for (const assignment of member.assignments.values()) this.#release(assignment);
    this.#reconcileSoon();
  }

  /** Ends all members, as if the broker had gone for good. */
  dissolve(error: Error): void {
    for (const member of [...this.#members]) {
      this.leave(member);
      member.fail(error);
    }
  }

  commit(assignment: Assignment): void {
    if (assignment.tracker.position !== undefined) this.#positions.set(assignment.log, assignment.tracker.position);
  }

  #reconcileSoon(): void {
    if (this.#reconciling) return;
    this.#reconciling = true;
    queueMicrotask(() => {
      this.#reconciling = false;
      this.#reconcile();
    });
  }

  /** One step towards the balance: asks back what must move, gives away what is free. Runs again whenever something was given up. */
  #reconcile(): void {
    const revoked = new Map<Member, Assignment[]>();
    const assigned = new Map<Member, Assignment[]>();
    for (const [log, member] of this.#balance()) {
      const owned = this.#owned.get(log);
      if (owned === undefined) {
        const assignment = new Assignment(log, member, this.#positions.get(log) as number);
        this.#owned.set(log, assignment);
        log.readers.add(assignment);
        member.assignments.set(log.lane, assignment);
        append(assigned, member, assignment);
      } else if (owned.member !== member && !owned.revoking) {
        owned.revoking = true;
        append(revoked, owned.member, owned);
      }
    }
    for (const [member, assignments] of revoked) {
      void member.revoke(assignments).then(() => {
        for (const assignment of assignments) this.#release(assignment);
        this.#reconcileSoon();
      });
    }
    for (const [member, assignments] of assigned) member.assign(assignments);
  }

  /** Who should have which partition: only members that subscribed to its topic, evenly, moving as little as possible. */
  #balance(): Map<PartitionLog, Member> {
    const target = new Map<PartitionLog, Member>();
    const load = new Map<Member, number>();
    const candidates = new Map<PartitionLog, Member[]>();
    for (const member of this.#members) {
      load.set(member, 0);
      for (const log of member.logs) append(candidates, log, member);
    }
    const give = (log: PartitionLog, member: Member): void => {
      const before = target.get(log);
      if (before !== undefined) load.set(before, (load.get(before) as number) - 1);
      target.set(log, member);
      load.set(member, (load.get(member) as number) + 1);
    };
    const lightest = (members: readonly Member[]): Member =>
      members.reduce((best, member) => ((load.get(member) as number) < (load.get(best) as number) ? member : best));

    const free: PartitionLog[] = [];
    for (const log of candidates.keys()) {
      const owned = this.#owned.get(log);
      if (owned !== undefined && !owned.revoking) give(log, owned.member);
      else free.push(log);
    }
    for (const log of free) give(log, lightest(candidates.get(log) as Member[]));
    for (let moved = true; moved; ) {
      moved = false;
      for (const [log, members] of candidates) {
        const owner = target.get(log) as Member;
        const other = lightest(members);
        // Ends: each move makes the loads more equal.
        if ((load.get(owner) as number) - (load.get(other) as number) < 2) continue;
        give(log, other);
        moved = true;
      }
    }
    return target;
  }

  #release(assignment: Assignment): void {
    if (assignment.released) return;
    assignment.released = true;
    assignment.log.readers.delete(assignment);
    assignment.member.assignments.delete(assignment.log.lane);
    this.#owned.delete(assignment.log);
  }
}

/** One membership: what the engine holds as its source. */
export class Member implements EventSource {
  readonly logs: readonly PartitionLog[];
  /** By lane. */
  readonly assignments = new Map<string, Assignment>();
  readonly #group: Group;
  readonly #sink: EventSink;
  readonly #left: Promise<void>;
  #leave!: () => void;
  #gone = false;
  #awake = false;

  constructor(group: Group, logs: readonly PartitionLog[], sink: EventSink) {
    this.#group = group;
    this.logs = logs;
    this.#sink = sink;
    this.#left = new Promise((resolve) => {
      this.#leave = resolve;
    });
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
    const moved = new Set<Assignment>();
    for (const record of records) {
      const reader = DeliveredRecord.readerOf(record);
      const assignment = reader instanceof Assignment ? reader : this.#find(record);
      if (assignment === undefined || assignment.released || assignment.member !== this) continue;
      // An offset of an earlier assignment must not settle one that is yet to be delivered again.
      if (record.offset < assignment.start || record.offset >= assignment.next) continue;
      if (assignment.tracker.settle(record.offset)) moved.add(assignment);
    }
    for (const assignment of moved) this.#group.commit(assignment);
  }

  lag(): number {
    let lag = 0;
    for (const assignment of this.assignments.values()) lag += assignment.log.end - assignment.next;
    return lag;
  }

  async leave(): Promise<void> {
    this.#gone = true;
    this.#group.leave(this);
    this.#leave();
  }

  assign(assignments: readonly Assignment[]): void {
    this.#sink.assigned(assignments.map(place));
    this.wake();
  }

  /** Resolves when the engine has let go, or has left meanwhile. */
  async revoke(assignments: readonly Assignment[]): Promise<void> {
    await Promise.race([this.#sink.revoked(assignments.map(place), { lost: false }), this.#left]);
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
      if (this.#gone) return;
      if (!assignment.deliverable) continue;
      const records = assignment.log.read(assignment.next, batchSize, assignment);
      for (const record of records) assignment.tracker.delivered(record.offset);
      assignment.next += records.length;
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

function append<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
