/** A member of a group and the topics that it subscribed to. */
export interface GroupMember {
  readonly memberId: string;
  readonly topics: readonly string[];
}

/** Topic → partitions, of one member. */
export type Assignment = Record<string, number[]>;

/**
 * Shares partitions among the members that subscribed to their topic; kafkajs's own assigner deals out every topic to
 * every member, and what goes to one that did not ask for it is read by no one. A topic that only some want is given out
 * first, so that those who are free for anything even out the rest. Numbers differ by one at most where all want the same.
 */
export function assignPartitions(members: readonly GroupMember[], partitionCounts: ReadonlyMap<string, number>): Map<string, Assignment> {
  const assignments = new Map<string, Assignment>();
  const load = new Map<string, number>();
  const sorted = [...members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  for (const { memberId } of sorted) {
    assignments.set(memberId, Object.create(null));
    load.set(memberId, 0);
  }
  const wanting = (topic: string): GroupMember[] => sorted.filter((member) => member.topics.includes(topic));
  const topics = [...new Set(sorted.flatMap((member) => member.topics))].sort();
  topics.sort((a, b) => wanting(a).length - wanting(b).length);
  for (const topic of topics) {
    const candidates = wanting(topic);
    for (let partition = 0; partition < (partitionCounts.get(topic) ?? 0); partition += 1) {
      const { memberId } = candidates.reduce((least, each) =>
        (load.get(each.memberId) as number) < (load.get(least.memberId) as number) ? each : least,
      );
      load.set(memberId, (load.get(memberId) as number) + 1);
      const assignment = assignments.get(memberId) as Assignment;
      assignment[topic] = [...(assignment[topic] ?? []), partition];
    }
  }
  return assignments;
}
