import { type EventPublisherDriver, HexkitError, type OutgoingRecord, type SendOutcome } from "hexkit";
import type { NatsClient } from "./client.ts";
import { isPassing } from "./errors.ts";
import { encodeRecord } from "./records.ts";
import { hash, Topics } from "./topics.ts";

/** Messages of one topic that are under way at a time: each lane waits for the answer to one before it sends the next. */
const lanes = 64;

export class NatsPublisherDriver implements EventPublisherDriver {
  readonly #client: NatsClient;
  readonly #topics: Topics;
  /** Partitions of the topics that are known. */
  readonly #counts = new Map<string, number>();
  /** By what the server recognises a record that is sent again, because the answer to it was lost. */
  readonly #ids = new WeakMap<OutgoingRecord, string>();
  #sent = 0;

  constructor(client: NatsClient) {
    this.#client = client;
    this.#topics = new Topics(client);
  }

  get maxRecordBytes(): number {
    return this.#client.maxPayloadBytes;
  }

  async prepare(topic: string): Promise<void> {
    await this.#partitions(topic);
  }

  lane({ topic, key }: OutgoingRecord): string {
    return `${hash(key) % lanes}/${topic}`;
  }

  // #region send
  async send(_lane: string, records: readonly OutgoingRecord[]): Promise<readonly SendOutcome[]> {
    const outcomes: SendOutcome[] = [];
    const failed = new Map<string, SendOutcome>();
    let away: SendOutcome | undefined;
    for (const record of records) {
      const outcome = away ?? failed.get(record.key) ?? (await this.#store(record));
      outcomes.push(outcome);
      const { error } = outcome;
      // The rest would only wait as long for nothing. It is sent again, all of it, in order.
      if (isPassing(error)) away = outcome;
      else if (error !== undefined && !failed.has(record.key)) failed.set(record.key, { error: notSent(error) });
    }
    return outcomes;
  }
  // #endregion

  async #store(record: OutgoingRecord): Promise<SendOutcome> {
    const { topic, key } = record;
    let id = this.#ids.get(record);
    if (id === undefined) {
      this.#sent += 1;
      id = `${this.#client.id}.${this.#sent}`;
      this.#ids.set(record, id);
    }
    try {
      const partitions = await this.#partitions(topic);
      await this.#client.publish(this.#topics.subject(topic, hash(key) % partitions), encodeRecord(record), { id });
      return {};
    } catch (error) {
      // It is looked at again before the next attempt.
      this.#counts.delete(topic);
      return { error };
    }
  }

  async #partitions(topic: string): Promise<number> {
    let count = this.#counts.get(topic);
    if (count === undefined) {
      count = await this.#topics.demand(topic);
      this.#counts.set(topic, count);
    }
    return count;
  }
}

function notSent(cause: unknown): HexkitError {
  return new HexkitError("ERR_HEXKIT_EVENT_ORDER", "not sent, because an earlier event with the same key failed", { cause });
}
