import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { decodeRecord } from "../../examples/nats-jetstream/records.ts";
import { natsUrl } from "../services/nats.ts";
import { type ScriptedServer, startServer } from "../services/server.mjs";
import type { ProviderTimes, Service } from "./service.ts";
import { Stage, type StoredRecord } from "./stage.ts";

/** The scenarios' stage on NATS. Offsets are counted within their partition here, without the gaps that they have in the stream. */
export class NatsStage extends Stage {
  #own: ScriptedServer | undefined;

  get #server(): string {
    return (this.#own?.addresses.NATS_URL ?? natsUrl()) as string;
  }

  override provider(options: ProviderTimes = {}): Service["provider"] {
    return { plugin: "nats", options: { servers: [this.#server], ...options } };
  }

  override async ownBroker(): Promise<Pick<ScriptedServer, "kill" | "restart">> {
    this.#own ??= await startServer("nats");
    return this.#own;
  }

  override async createTopic(topic: string, partitions: number): Promise<void> {
    const subjects = Array.from({ length: partitions }, (_, partition) => `hexkit.topic.${topic}.${partition}`);
    await this.#manage((manager) => manager.streams.add({ name: `hexkit_topic_${topic}`, subjects, duplicate_window: 300e9 }));
  }

  override async committed(group: string, topic: string): Promise<Map<number, number>> {
    // First, since the group may go on meanwhile.
    const positions = await this.#positions(group, topic);
    const committed = new Map([...positions.keys()].map((partition) => [partition, 0]));
    for (const { partition, sequence } of await this.#places(topic)) {
      if (sequence < (positions.get(partition) ?? 0)) committed.set(partition, (committed.get(partition) ?? 0) + 1);
    }
    return committed;
  }

  override async ends(topic: string): Promise<Map<number, number>> {
    const ends = new Map<number, number>();
    for (let partition = 0; partition < (await this.#partitions(topic)); partition += 1) ends.set(partition, 0);
    for (const { partition } of await this.#places(topic)) ends.set(partition, (ends.get(partition) ?? 0) + 1);
    return ends;
  }

  override async members(group: string): Promise<string[]> {
    const state = await this.#last<{ members: object }>(`hexkit.group.${group}.members`);
    return Object.keys(state?.members ?? {});
  }

  override async read(topic: string): Promise<StoredRecord[]> {
    const counts = new Map<number, number>();
    return (await this.#places(topic)).map(({ partition, key, value, headers }) => {
      const offset = counts.get(partition) ?? 0;
      counts.set(partition, offset + 1);
      const texts = headers.map(([name, text]) => [name, Buffer.from(text ?? []).toString()]);
      return { partition, offset, key: key && Buffer.from(key), value: value && Buffer.from(value), headers: Object.fromEntries(texts) };
    });
  }

  #partitions(topic: string): Promise<number> {
    return this.#manage(async (manager) => {
      const found = await manager.streams.info(`hexkit_topic_${topic}`).catch(() => undefined);
      return found?.config.subjects.length ?? 0;
    });
  }

  /** By partition, the sequence that the group reads next. */
  #positions(group: string, topic: string): Promise<Map<number, number>> {
    return this.#manage(async (manager) => {
      const partitions = await this.#partitions(topic);
      const next = async (_: unknown, partition: number): Promise<readonly [number, number]> => {
        const subject = `hexkit.group.${group}.position.${topic}.${partition}`;
        const found = await manager.streams.getMessage("hexkit_groups", { last_by_subj: subject });
        return [partition, found?.json<{ next: number }>().next ?? 0];
      };
      return new Map(await Promise.all(Array.from({ length: partitions }, next)));
    });
  }

  /** Every message of a topic, in the order of the stream. */
  #places(topic: string) {
    return this.#manage(async (manager, connection) => {
      const name = `hexkit_topic_${topic}`;
      const { state } = await manager.streams.info(name).catch(() => ({ state: { messages: 0 } }));
      const places: (ReturnType<typeof decodeRecord> & { partition: number; sequence: number })[] = [];
      if (state.messages === 0) return places;
      const consumer = await jetstream(connection).consumers.get(name);
      for await (const { headers = [], data, subject, seq } of await consumer.fetch({ max_messages: state.messages })) {
        const all = [...headers].flatMap(([each, values]) => values.map((value) => [each, value] as const));
        const partition = Number(subject.slice(subject.lastIndexOf(".") + 1));
        places.push({ ...decodeRecord({ headers: all, body: data }), partition, sequence: seq });
      }
      return places;
    });
  }

  async #last<Value>(subject: string): Promise<Value | undefined> {
    return this.#manage(async (manager) => (await manager.streams.getMessage("hexkit_groups", { last_by_subj: subject }))?.json<Value>());
  }

  async #manage<Result>(work: (manager: JetStreamManager, connection: NatsConnection) => Promise<Result>): Promise<Result> {
    const connection = await connect({ servers: this.#server });
    try {
      return await work(await jetstreamManager(connection), connection);
    } finally {
      await connection.close();
    }
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    try {
      await super[Symbol.asyncDispose]();
    } finally {
      await this.#own?.stop();
    }
  }
}
