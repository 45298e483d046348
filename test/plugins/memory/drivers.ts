import type {
  Clock,
  EventPublisherDriver,
  EventSink,
  EventSource,
  EventSubscriberDriver,
  JoinRequest,
  OutgoingRecord,
  Plugin,
  ProviderContext,
  SourceRecord,
  TopicPartition,
} from "../../../core/index.ts";
import { plugin as memory } from "../../../plugins/memory/index.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** The two drivers of one memory provider, as a registry would hold them. */
export async function openDrivers(
  options: { space?: string; partitions?: number } = {},
  scope: object = {},
  clock: Clock = { now: () => 1_700_000_000_000, sleep: async () => {} },
  plugin: Plugin = memory,
) {
  const context: ProviderContext = {
    provider: "memory",
    plugin: "memory",
    service: { name: "test", instance: "001" },
    logger: silent,
    clock,
    signal: new AbortController().signal,
    scope,
  };
  const provides = plugin.provides as Record<string, (client: unknown, context: ProviderContext) => unknown>;
  const client = await plugin.open({ partitions: 3, maxMessageBytes: 1000, ...options }, context);
  return {
    publisher: (await provides.eventPublisher?.(client, context)) as EventPublisherDriver,
    subscriber: (await provides.eventSubscriber?.(client, context)) as EventSubscriberDriver,
    close: async () => plugin.close?.(client),
  };
}

/** Sends as the portable publisher does: by lane, in order. */
export async function send(publisher: EventPublisherDriver, records: readonly OutgoingRecord[]): Promise<void> {
  const lanes = new Map<string, OutgoingRecord[]>();
  for (const record of records) {
    const lane = publisher.lane(record);
    lanes.set(lane, [...(lanes.get(lane) ?? []), record]);
  }
  for (const [lane, batch] of lanes) await publisher.send(lane, batch, {});
}

export const record = (topic: string, key: string, value: string): OutgoingRecord => ({ topic, key, value, headers: [["type", "t"]] });

/** An engine that only writes down what it is told. */
export class RecordingSink implements EventSink {
  readonly received: SourceRecord[] = [];
  readonly holding = new Set<string>();
  readonly revocations: TopicPartition[][] = [];
  readonly failures: unknown[] = [];
  source: EventSource | undefined;
  onRecords: (partition: TopicPartition, records: readonly SourceRecord[]) => void = () => {};
  onRevoked: (partitions: readonly TopicPartition[]) => Promise<void> = async () => {};

  get values(): string[] {
    return this.received.map(({ value }) => Buffer.from(value ?? []).toString());
  }

  assigned(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) this.holding.add(`${topic}/${partition}`);
  }

  records(partition: TopicPartition, records: readonly SourceRecord[]): void {
    this.received.push(...records);
    this.onRecords(partition, records);
  }

  async revoked(partitions: readonly TopicPartition[]): Promise<void> {
    this.revocations.push([...partitions]);
    await this.onRevoked(partitions);
    for (const { topic, partition } of partitions) this.holding.delete(`${topic}/${partition}`);
  }

  trouble(): void {}

  failed(error: unknown): void {
    this.failures.push(error);
  }
}

export async function join(
  subscriber: EventSubscriberDriver,
  request: Partial<JoinRequest> & { topics: readonly string[] },
): Promise<{ sink: RecordingSink; source: EventSource }> {
  const sink = new RecordingSink();
  const source = await subscriber.join({ group: "group", clientId: "test.001", from: "earliest", ...request }, sink);
  sink.source = source;
  return { sink, source };
}

/** Lets everything that the broker has scheduled happen: it needs a few turns of the event loop and no time. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
