import { HexkitError } from "hexkit";
import type { NatsClient } from "./client.ts";
import type { NatsOptions } from "./options.ts";

/** How long the server recognises a message that comes again: longer than an event is under way. */
const duplicateWindowMs = 300_000;

/** Characters that names of streams or parts of subjects must not hold are written as `=` and two digits. */
export function token(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, (char) => `=${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}

/** FNV-1a: the same in every process and version. */
export function hash(key: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) value = Math.imul(value ^ key.charCodeAt(index), 0x01000193);
  return value >>> 0;
}

/** A topic is a stream of its own, with one subject for each partition. */
export class Topics {
  readonly #client: NatsClient;
  readonly #options: NatsOptions;

  constructor(client: NatsClient) {
    this.#client = client;
    this.#options = client.options;
  }

  stream(topic: string): string {
    return `${this.#options.prefix}_topic_${token(topic)}`;
  }

  subject(topic: string, partition: number): string {
    return `${this.#options.prefix}.topic.${token(topic)}.${partition}`;
  }

  /** How many partitions the topic has; `undefined` if there is no such topic. @throws ERR_HEXKIT_CONFIG_INVALID for a stream that is not laid out as ours are. */
  async find(topic: string): Promise<number | undefined> {
    const name = this.stream(topic);
    const stream = await this.#client.stream(name);
    if (stream === undefined) return undefined;
    const expected = stream.subjects.map((_, partition) => this.subject(topic, partition));
    if (expected.every((subject) => stream.subjects.includes(subject))) return expected.length;
    const fact = `stream ${name} of topic ${JSON.stringify(topic)} has the subjects ${stream.subjects.join(", ")}`;
    throw new HexkitError("ERR_HEXKIT_CONFIG_INVALID", `${fact}; it needs one for each partition: ${expected.join(", ")}`);
  }

  /** `find`, and makes the topic if that is allowed. @throws ERR_HEXKIT_TOPIC_NOT_FOUND otherwise. */
  async demand(topic: string): Promise<number> {
    const found = await this.find(topic);
    if (found !== undefined) return found;
    const { autoCreateTopics, partitions, replicas } = this.#options;
    const name = this.stream(topic);
    if (!autoCreateTopics) {
      const wayOut = `make it (nats stream add ${name} --subjects=${this.subject(topic, 0)},…) or set autoCreateTopics`;
      throw new HexkitError(
        "ERR_HEXKIT_TOPIC_NOT_FOUND",
        `there is no topic ${JSON.stringify(topic)}, that is no stream ${name}; ${wayOut}`,
      );
    }
    const subjects = Array.from({ length: partitions }, (_, partition) => this.subject(topic, partition));
    await this.#client.createStream({ name, subjects, replicas, duplicateWindowMs });
    // Somebody else may have been quicker, with another number.
    return (await this.find(topic)) ?? partitions;
  }
}
