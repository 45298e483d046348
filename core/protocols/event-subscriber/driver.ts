import type { CallOptions } from "../../call.ts";

export interface TopicPartition {
  readonly topic: string;
  /** From 0. A broker without partitions gives 0. */
  readonly partition: number;
}

/** A record's content in ASCII. */
export interface RecordText {
  readonly key: string;
  readonly value: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** A record as it lies in the broker, undecoded. */
export interface SourceRecord extends TopicPartition {
  /** Position in the partition; grows, may have gaps. A safe integer. */
  readonly offset: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  /** In wire order; names may repeat. */
  readonly headers: readonly (readonly [name: string, value: Uint8Array | null])[];
  /** When the record was produced, in milliseconds since the epoch. */
  readonly timestampMs: number;
  /** The same key, value and headers, from a driver that has them as ASCII text anyway: then nobody decodes the bytes. */
  readonly text?: RecordText | undefined;
}

export interface JoinRequest {
  /** Members of one group share the partitions; the group's position survives its members. */
  readonly group: string;
  readonly clientId: string;
  /** At least one; no duplicates. */
  readonly topics: readonly string[];
  /** Where a group without a position begins. */
  readonly from: "earliest" | "latest";
}

/** Why a source is not delivering although it runs, in words for an operator. */
export interface SourceTrouble {
  readonly reason: string;
  readonly error?: unknown;
}

/**
 * The engine's side of a subscription. A source calls it; none of these throws.
 * Per partition the source delivers in offset order, each offset once per assignment.
 */
export interface EventSink {
  /**
   * These partitions are this member's from now on; delivery begins after it. Called after every (re)join, also with none.
   * Start positions are fixed by then: a new group that begins at the latest gets whatever is published from here on.
   */
  assigned(partitions: readonly TopicPartition[]): void;
  /** Records of one partition that is assigned; of others they are passed over. The engine takes them all; it calls `pause` when it has enough. */
  records(partition: TopicPartition, records: readonly SourceRecord[]): void;
  /**
   * These partitions are about to go to another member. Resolves when running handlers are done (or their
   * drain time is over) and everything settled has been acknowledged; the source then gives them up.
   * `lost`: they are gone already, so nothing can be acknowledged any more.
   */
  revoked(partitions: readonly TopicPartition[], options: { readonly lost: boolean }): Promise<void>;
  /** Something is in the way (topic missing, broker away); `undefined` when it is over. The source goes on trying. */
  trouble(trouble: SourceTrouble | undefined): void;
  /** The source has given up and delivers nothing more. It is left; if the error is a passing one, the group is joined anew. */
  failed(error: unknown): void;
}

/** One membership in a group. */
export interface EventSource {
  /** Stops delivery from these partitions, keeping the membership. Records under way may still arrive. Repeated calls are harmless. */
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  /**
   * These records are settled. Resolves once the broker remembers it: a successor in the group gets none of them,
   * and every record that is not acknowledged. A log-based driver commits the position before the first
   * unacknowledged record (`OffsetTracker`). Records of partitions that have since been revoked are passed over.
   */
  acknowledge(records: readonly SourceRecord[], options: CallOptions): Promise<void>;
  /** Records not yet delivered, over all assigned partitions; `undefined` if unknown. Does no I/O. */
  lag(): number | undefined;
  /** Leaves the group so that others take over at once, and frees everything. Calls no sink method afterwards. Safe twice. */
  leave(): Promise<void>;
}

/** Where the records of a partition begin and end. */
export interface PartitionExtent extends TopicPartition {
  /** No record lies before it. */
  readonly start: number;
  /** Behind the last record; where the next one goes. Never falls. */
  readonly end: number;
}

/** Where a group goes on in a partition. */
export interface PartitionPosition extends TopicPartition {
  readonly offset: number;
}

/**
 * Looks at topics past any group, for tools and tests; a driver that cannot leaves it out. Topics are never created by it, and one that does not exist
 * has no partitions. Throws its client's own errors.
 */
export interface TopicAccess {
  /** Names of all topics that exist, the broker's own excepted. */
  list(options: CallOptions): Promise<readonly string[]>;
  /** By partition of these topics. What a publisher was told is stored lies before `end`. */
  extents(topics: readonly string[], options: CallOptions): Promise<readonly PartitionExtent[]>;
  /** The records from `start` up to `end`, which is not among them, in batches and in order. Records that are not there, or not any more, are left out. */
  read(extent: PartitionExtent, options: CallOptions): AsyncIterable<readonly SourceRecord[]>;
  /** What the broker remembers of a group; partitions of which it remembers nothing are left out. */
  positions(group: string, topics: readonly string[], options: CallOptions): Promise<readonly PartitionPosition[]>;
  /** Deletes the records before each `end`, also where the topic is compacted. Offsets go on growing. */
  clear(extents: readonly PartitionExtent[], options: CallOptions): Promise<void>;
}

/** Reads records as a member of a group. Throws its client's own errors. */
export interface EventSubscriberDriver {
  readonly topics?: TopicAccess | undefined;
  /**
   * Resolves when the source is set up; assignments and records come through the sink, also before it resolves.
   * A missing topic is no error: the source waits for it and says so by `trouble`.
   */
  join(request: JoinRequest, sink: EventSink): Promise<EventSource>;
}
