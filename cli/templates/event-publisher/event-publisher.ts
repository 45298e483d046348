import type { CallOptions, Clock, EventPublisherDriver, OutgoingRecord, SendOutcome } from "hexkit";
import type { Client } from "./client.ts";

/** Sends events. What a publisher owes is written beside `EventPublisherDriver`. */
export class MyTechnologyPublisherDriver implements EventPublisherDriver {
  readonly maxRecordBytes: number;
  readonly #client: Client;
  readonly #clock: Clock;

  constructor(client: Client, maxMessageBytes: number, clock: Clock) {
    this.maxRecordBytes = maxMessageBytes;
    this.#client = client;
    this.#clock = clock;
  }

  /** Topics come into being with their first message. */
  async prepare(): Promise<void> {}

  /** The broker keeps each topic in order. */
  lane({ topic }: OutgoingRecord): string {
    return topic;
  }

  async send(_lane: string, records: readonly OutgoingRecord[], { signal }: CallOptions): Promise<readonly SendOutcome[]> {
    const outcomes: SendOutcome[] = [];
    const failed = new Map<string, SendOutcome>();
    for (const record of records) {
      // Behind a failed event nothing of its key is stored, so that sending again keeps the order.
      const outcome = failed.get(record.key) ?? (await this.#store(record, signal));
      if (outcome.error !== undefined) failed.set(record.key, outcome);
      outcomes.push(outcome);
    }
    return outcomes;
  }

  async #store({ topic, key, value, headers }: OutgoingRecord, signal: AbortSignal | undefined): Promise<SendOutcome> {
    try {
      signal?.throwIfAborted();
      await this.#client.store(topic, { key, value, headers, storedAt: this.#clock.now() });
      return {};
    } catch (error) {
      return { error };
    }
  }
}
