import type { JoinRequest, TopicPartition } from "../../core/index.ts";
import { type Assignment, OwnedPartition } from "./assignment.ts";
import type { Cluster, Topic } from "./cluster.ts";
import { byTopic, type Group, type Position, readOffsets } from "./group.ts";

const timestamps = { earliest: -2, latest: -1 };

/** Where a source begins to read: at what its group remembers, else at the earliest or latest record. */
export class StartingPositions {
  readonly #cluster: Cluster;
  readonly #group: Group;
  readonly #request: JoinRequest;
  readonly #autoCreateTopics: boolean;
  /** Ends of the partitions when this source began, for `from: "latest"`. A partition that is newer is read from its first record. */
  #ends: ReadonlyMap<string, number> | undefined;

  constructor(cluster: Cluster, group: Group, request: JoinRequest, autoCreateTopics: boolean) {
    this.#cluster = cluster;
    this.#group = group;
    this.#request = request;
    this.#autoCreateTopics = autoCreateTopics;
  }

  /** Notes where "latest" is, if that is asked for and not known yet. */
  async noteEnds(): Promise<void> {
    if (this.#request.from !== "latest" || this.#ends !== undefined) return;
    const leaders = leadersOf(await this.#cluster.topics(this.#request.topics, this.#autoCreateTopics));
    const partitions = [...leaders].flatMap(([topic, nodes]) => nodes.map((_, partition) => ({ topic, partition })));
    const ends = await listOffsets(this.#cluster, partitions, leaders, "latest");
    this.#ends = new Map(ends.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]));
  }

  async of(assignment: Assignment, partitions: readonly TopicPartition[]): Promise<OwnedPartition[]> {
    if (partitions.length === 0) return [];
    const committed = await this.#group.positions(partitions);
    const at = (places: readonly Position[], { topic, partition }: TopicPartition): number | undefined =>
      places.find((place) => place.topic === topic && place.partition === partition)?.offset;
    const fresh = partitions.filter((place) => at(committed, place) === undefined);
    const starts = fresh.length === 0 ? [] : await this.#firstPositions(fresh);
    // Remembered at once, or a restart before the first acknowledgement would begin at another "latest".
    if (this.#ends !== undefined && starts.length > 0) await this.#group.commit(assignment.memberId, assignment.generationId, starts);
    return partitions.map((place) => {
      const known = at(committed, place);
      return new OwnedPartition(assignment, { topic: place.topic, partition: place.partition }, known ?? at(starts, place) ?? 0, known);
    });
  }

  async #firstPositions(partitions: readonly TopicPartition[]): Promise<Position[]> {
    const leaders = leadersOf(await this.#cluster.topics([...new Set(partitions.map(({ topic }) => topic))], false));
    const first = await listOffsets(this.#cluster, partitions, leaders, "earliest");
    return first.map((place) => ({ ...place, offset: Math.max(place.offset, this.#ends?.get(`${place.topic}/${place.partition}`) ?? 0) }));
  }
}

/** Who leads the partitions of topics that were found. */
export function leadersOf(topics: ReadonlyMap<string, Topic>): Map<string, readonly number[]> {
  return new Map([...topics].map(([name, { leaders }]) => [name, leaders]));
}

/** First or next offset of partitions, asked of their leaders. @throws LEADER_NOT_AVAILABLE if one has none. */
export async function listOffsets(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
  leaders: ReadonlyMap<string, readonly number[]>,
  which: keyof typeof timestamps,
): Promise<Position[]> {
  const nodes = new Map<number, TopicPartition[]>();
  for (const at of partitions) {
    const node = leaders.get(at.topic)?.[at.partition] ?? -1;
    nodes.set(node, [...(nodes.get(node) ?? []), at]);
  }
  const answers = await Promise.all(
    [...nodes].map(([node, at]) =>
      cluster.broker(node, "control", "listOffsets", {
        topics: byTopic(at, ({ partition }) => ({ partition, timestamp: timestamps[which] })),
      }),
    ),
  );
  return answers.flatMap(({ responses }) => {
    for (const { errorCode } of responses.flatMap((each) => each.partitions)) {
      const error = cluster.wire.error(errorCode);
      if (error !== undefined) throw error;
    }
    return readOffsets(responses);
  });
}
