import type { JoinRequest, TopicPartition } from "../../core/index.ts";
import { assignPartitions, type Assignment as Share } from "./assigner.ts";
import type { Cluster } from "./cluster.ts";
import type { KafkaOptions } from "./options.ts";
import type { Address, Requests } from "./protocol.ts";

/** What the join gave this member. */
export interface Membership {
  readonly memberId: string;
  readonly generationId: number;
  /** Whether this member deals out the partitions. */
  readonly leads: boolean;
  readonly partitions: readonly TopicPartition[];
  /** Partitions of the topics that matter to this member: of the whole group's if it leads. */
  readonly counts: ReadonlyMap<string, number>;
}

/** An offset and whose it is. */
export interface Position extends TopicPartition {
  readonly offset: number;
}

type Failure = Error & { readonly type?: string };

/** Both names of the protocol that Java, librdkafka and aiokafka offer by default, so that a group may mix clients. */
const protocols = ["roundrobin", "range"];

/** Speaks to the coordinator of one group, for one member. Throws the errors of the protocol. */
export class Group {
  readonly #cluster: Cluster;
  readonly #request: JoinRequest;
  readonly #options: KafkaOptions;
  #coordinator: Address | undefined;
  #memberId = "";

  constructor(cluster: Cluster, request: JoinRequest, options: KafkaOptions) {
    this.#cluster = cluster;
    this.#request = request;
    this.#options = options;
  }

  /** Waits until all members have come; what this one held before is no longer its own. */
  async join(): Promise<Membership> {
    const { wire } = this.#cluster;
    const metadata = wire.encodeSubscription(this.#request.topics);
    const joined = await this.#ask("joinGroup", {
      groupId: this.#request.group,
      memberId: this.#memberId,
      sessionTimeout: this.#options.sessionTimeoutMs,
      rebalanceTimeout: this.#options.rebalanceTimeoutMs,
      protocolType: "consumer",
      groupProtocols: protocols.map((name) => ({ name, metadata })),
    });
    const failure = wire.error(joined.errorCode) as Failure | undefined;
    if (failure?.type === "MEMBER_ID_REQUIRED") {
      this.#memberId = joined.memberId;
      return this.join();
    }
    this.#check(failure);
    this.#memberId = joined.memberId;
    const leads = joined.leaderId === joined.memberId;
    const members = joined.members.map((member) => ({ memberId: member.memberId, topics: wire.decodeSubscription(member.memberMetadata) }));
    const counts = await this.#partitionCounts([...new Set([...this.#request.topics, ...members.flatMap((member) => member.topics)])]);
    const shares = leads ? assignPartitions(members, counts) : new Map<string, Share>();
    const synced = await this.#ask("syncGroup", {
      groupId: this.#request.group,
      generationId: joined.generationId,
      memberId: joined.memberId,
      groupAssignment: [...shares].map(([memberId, share]) => ({ memberId, memberAssignment: wire.encodeAssignment(share) })),
    });
    this.#check(wire.error(synced.errorCode));
    const share = Object.entries(wire.decodeAssignment(synced.memberAssignment));
    const partitions = share.flatMap(([topic, numbers]) => numbers.map((partition) => ({ topic, partition })));
    return { memberId: joined.memberId, generationId: joined.generationId, leads, counts, partitions };
  }

  async heartbeat(generationId: number): Promise<void> {
    const { errorCode } = await this.#ask("heartbeat", {
      groupId: this.#request.group,
      groupGenerationId: generationId,
      memberId: this.#memberId,
    });
    this.#check(this.#cluster.wire.error(errorCode));
  }

  /** What the group remembers of partitions; those without a position are left out. */
  async positions(partitions: readonly TopicPartition[]): Promise<Position[]> {
    const answer = await this.#ask("offsetFetch", {
      groupId: this.#request.group,
      topics: byTopic(partitions, ({ partition }) => ({ partition })),
    });
    this.#check(this.#cluster.wire.error(answer.errorCode));
    for (const { errorCode } of answer.responses.flatMap((each) => each.partitions)) this.#check(this.#cluster.wire.error(errorCode));
    return readOffsets(answer.responses).filter(({ offset }) => offset >= 0);
  }

  /** Remembers positions on behalf of a generation: the broker refuses those of one that is over. */
  async commit(memberId: string, generationId: number, positions: readonly Position[]): Promise<void> {
    const answer = await this.#ask("offsetCommit", {
      groupId: this.#request.group,
      groupGenerationId: generationId,
      memberId,
      topics: byTopic(positions, ({ partition, offset }) => ({ partition, offset: String(offset) })),
    });
    for (const { errorCode } of answer.responses.flatMap((each) => each.partitions)) this.#check(this.#cluster.wire.error(errorCode));
  }

  /** Leaves, if this is a member. The connection may still wait for a join, hence a new one. */
  async leave(): Promise<void> {
    const memberId = this.#memberId;
    if (memberId === "") return;
    this.#memberId = "";
    this.#cluster.drop("group");
    await this.#ask("leaveGroup", { groupId: this.#request.group, memberId });
  }

  async #partitionCounts(topics: readonly string[]): Promise<Map<string, number>> {
    const found = await this.#cluster.topics(topics, this.#options.autoCreateTopics);
    return new Map(topics.map((topic) => [topic, found.get(topic)?.leaders.length ?? 0]));
  }

  async #ask<Name extends keyof Requests>(name: Name, body: Requests[Name][0]): Promise<Requests[Name][1]> {
    try {
      this.#coordinator ??= await this.#findCoordinator();
      return await this.#cluster.at(this.#coordinator, "group", name, body);
    } catch (error) {
      this.#coordinator = undefined;
      throw error;
    }
  }

  async #findCoordinator(): Promise<Address> {
    const { errorCode, coordinator } = await this.#cluster.anyBroker("findCoordinator", { groupId: this.#request.group });
    this.#check(this.#cluster.wire.error(errorCode));
    return { host: coordinator.host, port: coordinator.port };
  }

  #check(failure: Failure | undefined): void {
    if (failure === undefined) return;
    if (failure.type === "UNKNOWN_MEMBER_ID") this.#memberId = "";
    // Only a coordinator that answers like one is kept.
    if (failure.type === "NOT_COORDINATOR_FOR_GROUP" || failure.type === "GROUP_COORDINATOR_NOT_AVAILABLE") this.#coordinator = undefined;
    throw failure;
  }
}

/** Whether the error means that the partitions have been given to others. */
export function meansLost(error: unknown): boolean {
  const { type } = error as Failure;
  return type === "ILLEGAL_GENERATION" || type === "UNKNOWN_MEMBER_ID" || type === "FENCED_INSTANCE_ID";
}

export function meansRebalance(error: unknown): boolean {
  return (error as Failure).type === "REBALANCE_IN_PROGRESS";
}

/** Groups by topic, as requests want it. */
export function byTopic<Place extends TopicPartition, Facts extends { partition: number }>(
  places: readonly Place[],
  facts: (place: Place) => Facts,
): { topic: string; partitions: Facts[] }[] {
  const topics = new Map<string, Facts[]>();
  for (const place of places) {
    const known = topics.get(place.topic);
    if (known) known.push(facts(place));
    else topics.set(place.topic, [facts(place)]);
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}

export function readOffsets(
  responses: readonly { topic: string; partitions: readonly { partition: number; offset: string }[] }[],
): Position[] {
  return responses.flatMap(({ topic, partitions }) =>
    partitions.map(({ partition, offset }) => ({ topic, partition, offset: Number(offset) })),
  );
}
