import type { NatsClient } from "./client.ts";
import { type GroupState, nobody } from "./group.ts";
import { type Topics, token } from "./topics.ts";

/** Where a member begins to read, and whose partition it is. */
export interface Position {
  readonly next: number;
  readonly owner: string;
}

export interface Versioned<Value> {
  readonly value: Value;
  /** 0: nothing is stored. */
  readonly sequence: number;
}

/**
 * What groups remember, in a stream that keeps the last message of each subject. Each write names the message that it replaces, so that of two
 * members that write at once one learns that it was too late.
 */
export class GroupStore {
  readonly #client: NatsClient;
  readonly #stream: string;
  readonly #subject: string;

  constructor(client: NatsClient, group: string) {
    this.#client = client;
    const { prefix } = client.options;
    this.#stream = `${prefix}_groups`;
    this.#subject = `${prefix}.group.${token(group)}`;
  }

  async prepare(): Promise<void> {
    if ((await this.#client.stream(this.#stream)) !== undefined) return;
    const { prefix, replicas } = this.#client.options;
    await this.#client.createStream({ name: this.#stream, subjects: [`${prefix}.group.>`], replicas, lastOnly: true });
  }

  /** Calls back with every new state. */
  watch(heard: (state: GroupState) => void): () => void {
    return this.#client.watch(`${this.#subject}.members`, (body) => heard(parse(body)));
  }

  async state(): Promise<Versioned<GroupState>> {
    return (await this.#read<GroupState>("members")) ?? { value: nobody, sequence: 0 };
  }

  /** Resolves with whether nobody else has written since. */
  async replaceState({ sequence }: Versioned<GroupState>, next: GroupState): Promise<boolean> {
    return (await this.#write("members", next, sequence)) !== undefined;
  }

  /** A sign of life. Resolves once it is stored. */
  async beat(member: string): Promise<void> {
    await this.#client.publish(`${this.#subject}.beat.${member}`, { headers: [], body: Buffer.of() }, {});
  }

  /** The number of a member's last sign of life; it grows. */
  async lastBeat(member: string): Promise<number> {
    return (await this.#client.last(this.#stream, `${this.#subject}.beat.${member}`))?.sequence ?? 0;
  }

  /** Takes the signs of life of a member away that is no more. */
  async forget(member: string): Promise<void> {
    await this.#client.purge(this.#stream, `${this.#subject}.beat.${member}`);
  }

  position(topic: string, partition: number): Promise<Versioned<Position> | undefined> {
    return this.#read(`position.${token(topic)}.${partition}`);
  }

  /** Resolves with the sequence of what was written; `undefined` if somebody else has written since. */
  writePosition(topic: string, partition: number, position: Position, sequence: number): Promise<number | undefined> {
    return this.#write(`position.${token(topic)}.${partition}`, position, sequence);
  }

  /** With `latest`, a group begins behind what is there now: fixed for each partition by the first member that looks. */
  async fixStarts(topics: Topics, topic: string, partitions: number): Promise<void> {
    const next = ((await this.#client.stream(topics.stream(topic)))?.lastSequence ?? 0) + 1;
    const fix = (_: unknown, partition: number): Promise<unknown> => this.writePosition(topic, partition, { next, owner: "" }, 0);
    await Promise.all(Array.from({ length: partitions }, fix));
  }

  async #read<Value>(name: string): Promise<Versioned<Value> | undefined> {
    const found = await this.#client.last(this.#stream, `${this.#subject}.${name}`);
    return found && { value: parse(found.body), sequence: found.sequence };
  }

  #write(name: string, value: unknown, expected: number): Promise<number | undefined> {
    return this.#client.publish(`${this.#subject}.${name}`, { headers: [], body: Buffer.from(JSON.stringify(value)) }, { expected });
  }
}

function parse<Value>(body: Uint8Array): Value {
  return JSON.parse(Buffer.from(body).toString());
}
