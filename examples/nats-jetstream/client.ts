import type { ConsumerMessages, JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { type EventSource, HexkitError, type ProviderContext, untilAborted } from "hexkit";
import type { NatsOptions } from "./options.ts";
import type { Content } from "./records.ts";

// The only file that knows the npm packages of NATS.

export interface StreamFacts {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly replicas: number;
  readonly duplicateWindowMs?: number;
  /** Whether only the last message of each subject is kept. */
  readonly lastOnly?: boolean;
}

/** A message as it lies in a stream. */
export interface Stored extends Content {
  readonly sequence: number;
}

export interface Delivered extends Stored {
  /** Counts what the reader was given, from 1. */
  readonly delivery: number;
  readonly timestampMs: number;
  /** Messages of the subject that lie behind it. */
  readonly pending: number;
}

/** Reads one subject of a stream in order. */
export interface Reader {
  /** At most so many messages or bytes as fit into one delivery; ends when there are so many, or after a while. */
  fetch(): Promise<AsyncIterable<Delivered> & { close(): Promise<unknown> }>;
  close(): Promise<void>;
  /** Messages that it had not been given when it was opened. */
  readonly pending: number;
}

/** A request that was under way when the connection broke, or was not sent because there is none. */
class DisconnectedError extends Error {
  override readonly name = "DisconnectedError";
  constructor() {
    super("the connection to the servers is lost");
  }
}

const fetchMs = 20_000;
/** A reader that nobody asks for more is forgotten by the server. */
const inactiveMs = 60_000;
const wrongLastSequence = [10071, 10164];
const nameInUse = 10058;

/** Connects to the first server that answers. @throws the client's error if none does. */
export async function connect(options: NatsOptions, context: ProviderContext): Promise<NatsClient> {
  if (options.heartbeatIntervalMs > options.sessionTimeoutMs / 3) {
    const fact = `heartbeatIntervalMs ${options.heartbeatIntervalMs} is more than a third of sessionTimeoutMs ${options.sessionTimeoutMs}`;
    throw new HexkitError("ERR_HEXKIT_CONFIG_INVALID", `${fact}; set it to ${Math.floor(options.sessionTimeoutMs / 3)} or less`);
  }
  const [transport, { jetstream, jetstreamManager }] = await Promise.all([import("@nats-io/transport-node"), import("@nats-io/jetstream")]);
  const { servers, user, password, token, tls, connectTimeoutMs, requestTimeoutMs } = options;
  const connecting = transport.connect({
    servers: [...servers],
    name: `${context.service.name}.${context.service.instance}`,
    timeout: connectTimeoutMs,
    // For ever: sources and publishers say what is wrong meanwhile, and a changed password may be changed back.
    maxReconnectAttempts: -1,
    ignoreAuthErrorAbort: true,
    reconnectTimeWait: 250,
    pingInterval: 10_000,
    noAsyncTraces: true,
    ...(user !== undefined && { user }),
    ...(password !== undefined && { pass: password }),
    ...(token !== undefined && { token }),
    ...(tls?.enabled && { tls: { ...(tls.ca && { ca: tls.ca }), ...(tls.cert && { cert: tls.cert }), ...(tls.key && { key: tls.key }) } }),
  });
  try {
    const connection = await untilAborted(connecting, context.signal);
    const js = { timeout: requestTimeoutMs };
    const manager = await jetstreamManager(connection, { ...js, checkAPI: false });
    return new NatsClient(options, connection, jetstream(connection, js), manager, transport.headers);
  } catch (error) {
    void connecting.then((connection) => connection.close()).catch(() => {});
    throw error;
  }
}

/** One connection, shared by the drivers of a provider. Requests fail as soon as it breaks; the client goes on connecting again. */
export class NatsClient {
  readonly options: NatsOptions;
  /** Differs between all that connect. */
  readonly id = crypto.randomUUID();
  /** Subscriptions that have not left; closing makes them. */
  readonly sources = new Set<EventSource>();
  readonly #connection: NatsConnection;
  readonly #jetstream: JetStreamClient;
  readonly #manager: JetStreamManager;
  readonly #newHeaders: typeof import("@nats-io/transport-node").headers;
  readonly #underWay = new Set<(error: Error) => void>();
  readonly #listeners = new Set<(connected: boolean) => void>();
  #connected = true;
  #maxPayloadBytes = 0;
  #readers = 0;

  constructor(
    options: NatsOptions,
    connection: NatsConnection,
    jetstream: JetStreamClient,
    manager: JetStreamManager,
    newHeaders: typeof import("@nats-io/transport-node").headers,
  ) {
    this.options = options;
    this.#connection = connection;
    this.#jetstream = jetstream;
    this.#manager = manager;
    this.#newHeaders = newHeaders;
    void this.#watchConnection();
  }

  get connected(): boolean {
    return this.#connected;
  }

  get maxPayloadBytes(): number {
    this.#maxPayloadBytes = this.#connection.info?.max_payload ?? this.#maxPayloadBytes;
    return this.#maxPayloadBytes;
  }

  /** Calls back whenever the connection breaks or is there again. */
  onConnection(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** @throws ERR_HEXKIT_UNSUPPORTED without JetStream */
  async ping(signal: AbortSignal): Promise<void> {
    try {
      await untilAborted(
        this.#call(() => this.#manager.getAccountInfo()),
        signal,
      );
    } catch (error) {
      if ((error as Error).name !== "JetStreamNotEnabled" || this.#connection.info?.jetstream) throw error;
      throw new HexkitError("ERR_HEXKIT_UNSUPPORTED", "the server runs without JetStream: start it with --jetstream", { cause: error });
    }
  }

  /** Calls back with each message that is published to the subject from now on. */
  watch(subject: string, heard: (body: Uint8Array) => void): () => void {
    const subscription = this.#connection.subscribe(subject, {
      callback: (error, message) => (error === null ? heard(message.data) : undefined),
    });
    return () => subscription.unsubscribe();
  }

  /**
   * Resolves with the message's sequence once it is stored; `undefined` if the subject's last message is not the one that was `expected`.
   * `id`: a message of the same id is stored once.
   */
  async publish(
    subject: string,
    { headers, body }: Content,
    { id, expected }: { id?: string; expected?: number },
  ): Promise<number | undefined> {
    const all = this.#newHeaders();
    for (const [name, value] of headers) all.append(name, value);
    const options = {
      headers: all,
      ...(id && { msgID: id }),
      ...(expected !== undefined && { expect: { lastSubjectSequence: expected } }),
    };
    try {
      return (await this.#call(() => this.#jetstream.publish(subject, body, options))).seq;
    } catch (error) {
      if (expected !== undefined && wrongLastSequence.includes((error as { code: number }).code)) return undefined;
      throw error;
    }
  }

  async last(stream: string, subject: string): Promise<Stored | undefined> {
    const found = await this.#call(() => this.#manager.streams.getMessage(stream, { last_by_subj: subject }));
    return found === null ? undefined : { sequence: found.seq, headers: [], body: found.data };
  }

  async stream(name: string): Promise<{ readonly subjects: readonly string[]; readonly lastSequence: number } | undefined> {
    try {
      const { config, state } = await this.#call(() => this.#manager.streams.info(name));
      return { subjects: config.subjects, lastSequence: state.last_seq };
    } catch (error) {
      if ((error as Error).name === "StreamNotFoundError") return undefined;
      throw error;
    }
  }

  /** Does nothing if there is one of that name. */
  async createStream({ name, subjects, replicas, duplicateWindowMs, lastOnly }: StreamFacts): Promise<void> {
    const config = {
      name,
      subjects: [...subjects],
      num_replicas: replicas,
      ...(duplicateWindowMs !== undefined && { duplicate_window: nanos(duplicateWindowMs) }),
      ...(lastOnly && { max_msgs_per_subject: 1 }),
    };
    try {
      await this.#call(() => this.#manager.streams.add(config));
    } catch (error) {
      if ((error as { code: unknown }).code !== nameInUse) throw error;
    }
  }

  async purge(stream: string, subject: string): Promise<void> {
    await this.#call(() => this.#manager.streams.purge(stream, { filter: subject }));
  }

  /** A reader of a subject that begins at a sequence. */
  async read(stream: string, subject: string, from: number): Promise<Reader> {
    this.#readers += 1;
    const name = `${this.id}-${this.#readers}`;
    const { num_pending } = await this.#call(() =>
      this.#manager.consumers.add(stream, {
        name,
        filter_subject: subject,
        ack_policy: "none",
        deliver_policy: "by_start_sequence",
        opt_start_seq: from,
        inactive_threshold: nanos(inactiveMs),
        mem_storage: true,
        num_replicas: 1,
      }),
    );
    const consumer = await this.#call(() => this.#jetstream.consumers.get(stream, name));
    const max_bytes = Math.max(4 * 2 ** 20, 2 * this.maxPayloadBytes);
    return {
      pending: num_pending,
      fetch: async () => {
        const messages = await consumer.fetch({ max_bytes, expires: fetchMs });
        return { [Symbol.asyncIterator]: () => delivered(messages), close: () => messages.close() };
      },
      close: async () => void (await this.#call(() => this.#manager.consumers.delete(stream, name))),
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.sources].map((source) => source.leave()));
    await this.#connection.close();
  }

  async #watchConnection(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (type !== "disconnect" && type !== "reconnect" && type !== "close") continue;
      this.#connected = type === "reconnect";
      if (!this.#connected) for (const reject of this.#underWay) reject(new DisconnectedError());
      for (const listener of this.#listeners) listener(this.#connected);
    }
  }

  /** The client itself lets a request wait for its time limit, though the answer can no longer come. */
  #call<Result>(work: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (!this.#connected) throw new DisconnectedError();
      this.#underWay.add(reject);
      work()
        .then(resolve, reject)
        .finally(() => this.#underWay.delete(reject));
    });
  }
}

async function* delivered(messages: ConsumerMessages): AsyncGenerator<Delivered> {
  for await (const { info, headers, data } of messages) {
    yield {
      sequence: info.streamSequence,
      delivery: info.deliverySequence,
      timestampMs: Math.floor(info.timestampNanos / 1e6),
      pending: info.pending,
      headers: [...(headers ?? [])].flatMap(([name, values]) => values.map((value) => [name, value] as const)),
      body: data,
    };
  }
}

function nanos(ms: number): number {
  return ms * 1e6;
}
