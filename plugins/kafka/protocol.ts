import type { ConnectionOptions } from "node:tls";
import type { Assignment } from "./assigner.ts";
import type { AbortedTransaction } from "./records.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface WireOptions {
  readonly tls: ConnectionOptions | undefined;
  readonly sasl: { readonly mechanism: string; readonly username: string; readonly password: string } | undefined;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

type PerPartition<Facts> = readonly { readonly topic: string; readonly partitions: readonly ({ readonly partition: number } & Facts)[] }[];
export type Coded = { readonly errorCode: number };

/** What has a configuration; type 2 is a topic. */
interface Resource {
  readonly type: number;
  readonly name: string;
}

export interface ConfigEntry {
  readonly name: string;
  readonly value: string;
  /** 1: set for this topic. */
  readonly source: number;
}

/** The requests in use: what is asked and what is answered. Errors are codes in the answer, one for each thing asked for. */
export interface Requests {
  metadata: [
    /** `null`: all topics of the cluster. */
    { topics: readonly string[] | null; allowAutoTopicCreation: boolean },
    {
      brokers: readonly (Address & { readonly nodeId: number })[];
      topicMetadata: readonly {
        topicErrorCode: number;
        topic: string;
        partitionMetadata: readonly { partitionId: number; leader: number }[];
      }[];
    },
  ];
  produce: [{ topic: string; partition: number; batch: Buffer; timeoutMs: number }, Coded];
  fetch: [
    { maxWaitMs: number; maxBytes: number; topics: PerPartition<{ fetchOffset: number; maxBytes: number }> },
    PerPartition<Coded & { highWatermark: number; aborted: readonly AbortedTransaction[]; batches: Buffer }>,
  ];
  listOffsets: [{ topics: PerPartition<{ timestamp: number }> }, { responses: PerPartition<Coded & { offset: string }> }];
  findCoordinator: [{ groupId: string }, Coded & { coordinator: Address & { nodeId: number } }];
  joinGroup: [
    {
      groupId: string;
      memberId: string;
      sessionTimeout: number;
      rebalanceTimeout: number;
      protocolType: "consumer";
      groupProtocols: readonly { name: string; metadata: Buffer }[];
    },
    Coded & {
      generationId: number;
      leaderId: string;
      memberId: string;
      members: readonly { memberId: string; memberMetadata: Buffer }[];
    },
  ];
  syncGroup: [
    {
      groupId: string;
      generationId: number;
      memberId: string;
      groupAssignment: readonly { memberId: string; memberAssignment: Buffer }[];
    },
    Coded & { memberAssignment: Buffer },
  ];
  heartbeat: [{ groupId: string; groupGenerationId: number; memberId: string }, Coded];
  offsetFetch: [{ groupId: string; topics: PerPartition<unknown> }, Coded & { responses: PerPartition<Coded & { offset: string }> }];
  offsetCommit: [
    { groupId: string; groupGenerationId: number; memberId: string; topics: PerPartition<{ offset: string }> },
    { responses: PerPartition<Coded> },
  ];
  leaveGroup: [{ groupId: string; memberId: string }, Coded];
  deleteRecords: [{ topics: PerPartition<{ offset: string }>; timeout: number }, { topics: PerPartition<Coded> }];
  describeConfigs: [{ resources: readonly Resource[] }, { resources: readonly (Coded & { configEntries: readonly ConfigEntry[] })[] }];
  /** Replaces everything that was set for the resource. */
  alterConfigs: [
    { resources: readonly (Resource & { configEntries: readonly Pick<ConfigEntry, "name" | "value">[] })[]; validateOnly: boolean },
    { resources: readonly Coded[] },
  ];
}

/** One connection, opened by the first request. Closed for good by `close` or when it breaks. */
export interface Link {
  readonly closed: boolean;
  request<Name extends keyof Requests>(name: Name, body: Requests[Name][0]): Promise<Requests[Name][1]>;
  /** Fails what is under way. */
  close(): void;
}

/** The protocol, as far as this plugin speaks it. */
export interface Wire {
  link(address: Address, clientId: string): Link;
  /** The client's error for a code of the protocol; `undefined` for success. */
  error(code: number): Error | undefined;
  encodeSubscription(topics: readonly string[]): Buffer;
  decodeSubscription(metadata: Buffer): readonly string[];
  encodeAssignment(assignment: Assignment): Buffer;
  decodeAssignment(bytes: Buffer): Assignment;
}
