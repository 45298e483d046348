import type { EventSink, JoinRequest } from "../../core/index.ts";
import type { PartitionLog } from "./log.ts";
import { Assignment, type Company, Member } from "./member.ts";

/** The members that share partitions, and how far they have come. Positions outlive the members. */
export class Group implements Company {
  readonly #positions = new Map<PartitionLog, number>();
  readonly #owned = new Map<PartitionLog, Assignment>();
  readonly #members = new Set<Member>();
  /** Members that have joined and have not been told their share yet, be it empty. */
  readonly #fresh = new Set<Member>();
  /** Where a forced rebalance moves partitions to, until they are there. */
  readonly #moves = new Map<PartitionLog, Member>();
  #reconciling = false;
  /** Why nothing works at present. */
  #outage: Error | undefined;

  get away(): boolean {
    return this.#outage !== undefined;
  }

  get members(): readonly Member[] {
    return [...this.#members];
  }

  /** Where the group goes on in a partition, if it has ever had it. */
  position(log: PartitionLog): number | undefined {
    return this.#positions.get(log);
  }

  join(request: JoinRequest, logs: readonly PartitionLog[], sink: EventSink): Member {
    for (const log of logs) {
      // Fixed when the group first asks: with `latest`, whatever is appended after this join is delivered to someone.
      if (!this.#positions.has(log)) this.#positions.set(log, request.from === "latest" ? log.end : 0);
    }
    const member = new Member(this, request, logs, sink);
    this.#admit(member);
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

  /** During an outage nothing moves, is delivered or acknowledged. */
  setOutage(error: Error | undefined): void {
    this.#outage = error;
    for (const member of this.#members) member.showOutage(error);
    if (error === undefined) this.#reconcileSoon();
  }

  /** Asks every partition back and gives it to the member after the one that had it; a single member gets all of its own again. */
  rebalance(): void {
    const revoked = new Map<Member, Assignment[]>();
    for (const [log, owned] of this.#owned) {
      if (owned.revoking) continue;
      const candidates = [...this.#members].filter((member) => member.logs.includes(log));
      this.#moves.set(log, candidates[(candidates.indexOf(owned.member) + 1) % candidates.length] as Member);
      append(revoked, owned.member, owned);
    }
    this.#revoke(revoked);
  }

  /** Throws a member out, as after a session that it missed: its partitions are others' at once. What is returned lets it in again. */
  expel(member: Member): () => void {
    const lost = [...member.assignments.values()];
    this.leave(member);
    void member.revoke(lost, true);
    return () => {
      if (member.gone || this.#members.has(member)) return;
      member.showOutage(this.#outage);
      this.#admit(member);
    };
  }

  #admit(member: Member): void {
    this.#members.add(member);
    this.#fresh.add(member);
    this.#reconcileSoon();
  }

  #reconcileSoon(): void {
    if (this.#reconciling) return;
    this.#reconciling = true;
    queueMicrotask(() => {
      this.#reconciling = false;
      if (!this.away) this.#reconcile();
    });
  }

  /** One step towards the balance: asks back what must move, gives away what is free. Runs again whenever something was given up. */
  #reconcile(): void {
    const revoked = new Map<Member, Assignment[]>();
    const assigned = new Map<Member, Assignment[]>();
    for (const member of this.#fresh) if (this.#members.has(member)) assigned.set(member, []);
    this.#fresh.clear();
    for (const [log, member] of this.#balance()) {
      const owned = this.#owned.get(log);
      if (owned === undefined) {
        const assignment = new Assignment(log, member, this.#positions.get(log) as number);
        this.#owned.set(log, assignment);
        this.#moves.delete(log);
        log.readers.add(assignment);
        member.assignments.set(log.lane, assignment);
        append(assigned, member, assignment);
      } else if (owned.member !== member && !owned.revoking) append(revoked, owned.member, owned);
    }
    this.#revoke(revoked);
    for (const [member, assignments] of assigned) member.assign(assignments);
  }

  #revoke(revoked: ReadonlyMap<Member, readonly Assignment[]>): void {
    for (const [member, assignments] of revoked) {
      for (const assignment of assignments) assignment.revoking = true;
      void member.revoke(assignments, false).then(() => {
        for (const assignment of assignments) this.#release(assignment);
        this.#reconcileSoon();
      });
    }
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
      const mover = this.#moves.get(log);
      if (mover !== undefined && this.#members.has(mover)) give(log, mover);
      else if (owned !== undefined && !owned.revoking) give(log, owned.member);
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

function append<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
