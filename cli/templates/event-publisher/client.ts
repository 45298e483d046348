/** What the broker keeps of an event. */
export interface Message {
  readonly key: string;
  readonly value: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly storedAt: number;
}

/** What the client throws. */
export class BrokerError extends Error {
  readonly reason: "away" | "refused";

  constructor(reason: "away" | "refused", message: string) {
    super(message);
    this.reason = reason;
  }
}

const brokers = new Map<string, Map<string, Message[]>>();

/**
 * Stands in for the client of your technology, with a broker inside this process, so that the rest can be tried.
 * Replace it: import the npm package here by `import()`, name it in `package` of the plugin, and make it an optional peer.
 */
export class Client {
  readonly #topics: Map<string, Message[]>;
  #open = true;

  private constructor(topics: Map<string, Message[]>) {
    this.#topics = topics;
  }

  static async connect(url: string): Promise<Client> {
    const topics = brokers.get(url) ?? new Map<string, Message[]>();
    brokers.set(url, topics);
    return new Client(topics);
  }

  async ping(): Promise<void> {
    if (!this.#open) throw new BrokerError("away", "the connection is closed");
  }

  /** Appends a message, once the broker has it. */
  async store(topic: string, message: Message): Promise<void> {
    await this.ping();
    const messages = this.#topics.get(topic) ?? [];
    this.#topics.set(topic, messages);
    messages.push(message);
  }

  async read(topic: string): Promise<readonly Message[]> {
    await this.ping();
    return this.#topics.get(topic) ?? [];
  }

  async close(): Promise<void> {
    this.#open = false;
  }
}
