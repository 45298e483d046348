import { connect as connectSocket, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import type { Logger } from "../../core/index.ts";
import type { Assignment } from "./assigner.ts";
import type { Address, Coded, Link, Requests, WireOptions } from "./protocol.ts";

interface KafkajsRequest {
  request: { apiKey: number; apiVersion: number; apiName: string; encode(): Promise<unknown> };
  response: { decode(payload: Buffer): Promise<unknown>; parse(decoded: unknown): Promise<unknown> };
  requestTimeout?: number;
  logResponseError?: boolean;
}

interface KafkajsConnection {
  requestQueue: { pending: unknown[]; scheduleCheckPendingRequests(): void };
  connect(): Promise<unknown>;
  disconnect(): Promise<unknown>;
  authenticate(): Promise<void>;
  isConnected(): boolean;
  setVersions(versions: object): void;
  setSupportAuthenticationProtocol(supported: boolean): void;
  send(request: KafkajsRequest): Promise<unknown>;
  rejectRequests(error: Error): void;
}

interface Encoder {
  readonly buffer: Buffer;
  writeInt16(value: number): Encoder;
  writeInt32(value: number): Encoder;
  writeBoolean(value: boolean): Encoder;
  writeString(value: string | null): Encoder;
  writeBuffer(value: Buffer): Encoder;
  writeArray(values: readonly string[], type: "string"): Encoder;
}

interface Decoder {
  readInt16(): number;
  readInt32(): number;
  readInt64(): { toString(): string };
  readString(): string;
  readBytes(): Buffer | null;
  readArray<Item>(read: (decoder: Decoder) => Item): Item[];
}

/** What is taken from inside kafkajs. The package has no `exports`, so its files can be reached; they are checked when loaded. */
export interface Internals {
  Connection: new (options: object) => KafkajsConnection;
  Encoder: new () => Encoder;
  Decoder: new (data: Buffer) => Decoder;
  requests: Record<string, { protocol(options: { version: number }): (body: object) => KafkajsRequest }>;
  createErrorFromCode(code: number): Error;
  KafkaJSConnectionClosedError: new (message: string, address: Address) => Error;
  MemberMetadata: { encode(content: object): Buffer; decode(bytes: Buffer): { topics: string[] } };
  MemberAssignment: { encode(content: object): Buffer; decode(bytes: Buffer): { assignment: Assignment } | null };
}

/** The versions spoken: the newest that kafkajs knows, all of them served by Kafka 2.3 to 4.3 at least. */
const versions: Readonly<Record<keyof Requests, readonly [api: string, version: number]>> = {
  metadata: ["Metadata", 6],
  produce: ["Produce", 7],
  fetch: ["Fetch", 11],
  listOffsets: ["ListOffsets", 3],
  findCoordinator: ["GroupCoordinator", 2],
  joinGroup: ["JoinGroup", 5],
  syncGroup: ["SyncGroup", 3],
  heartbeat: ["Heartbeat", 3],
  offsetFetch: ["OffsetFetch", 4],
  offsetCommit: ["OffsetCommit", 5],
  leaveGroup: ["LeaveGroup", 3],
  deleteRecords: ["DeleteRecords", 1],
  describeConfigs: ["DescribeConfigs", 2],
  alterConfigs: ["AlterConfigs", 1],
};

class RequestTimeoutError extends Error {
  override readonly name = "RequestTimeoutError";

  constructor(what: string, ms: number, { host, port }: Address) {
    super(`${host}:${port} has not answered ${what} within ${ms} ms`);
  }
}

/** A connection of kafkajs, of which requests and answers pass through by their codes. */
export class KafkajsLink implements Link {
  readonly #kafkajs: Internals;
  readonly #address: Address;
  readonly #connection: KafkajsConnection;
  readonly #requestTimeoutMs: number;
  #socket: Socket | undefined;
  #opened: Promise<void> | undefined;
  #closed = false;

  constructor(kafkajs: Internals, address: Address, clientId: string, options: WireOptions, logger: Logger) {
    this.#kafkajs = kafkajs;
    this.#address = address;
    this.#requestTimeoutMs = options.requestTimeoutMs;
    this.#connection = new kafkajs.Connection({
      ...address,
      clientId,
      ssl: options.tls,
      // A copy, since kafkajs keeps state in it.
      sasl: options.sasl === undefined ? undefined : { ...options.sasl },
      connectionTimeout: options.connectTimeoutMs,
      // Its own check wakes up ten times a second on every connection.
      enforceRequestTimeout: false,
      logger: quiet(logger),
      socketFactory: ({ host, port, ssl, onConnect }: Address & { ssl?: ConnectionOptions; onConnect: () => void }) => {
        const socket = ssl
          ? connectTls({ host, port, ...(isIP(host) === 0 && { servername: host }), ...ssl }, onConnect)
          : connectSocket({ host, port }, onConnect);
        socket.setNoDelay(true).setKeepAlive(true, 60_000);
        socket.on("close", () => this.close());
        this.#socket = socket;
        return socket;
      },
    });
    // kafkajs 2.2.4 re-arms this timer though nothing is pending, with a negative delay: 5.7 % of a core when idle.
    const queue = this.#connection.requestQueue;
    const schedule = queue.scheduleCheckPendingRequests;
    queue.scheduleCheckPendingRequests = function scheduleIfPending() {
      if (this.pending.length > 0) schedule.call(this);
    };
  }

  get closed(): boolean {
    return this.#closed;
  }

  async request<Name extends keyof Requests>(name: Name, body: Requests[Name][0]): Promise<Requests[Name][1]> {
    this.#opened ??= this.#open();
    await this.#opened;
    const request = this.#protocol(name, body);
    return (await this.#inTime(this.#connection.send(request), name, request.requestTimeout)) as Requests[Name][1];
  }

  close(reason: Error = this.#closedError()): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.rejectRequests(reason);
    // Clears kafkajs's timers; nothing is under way that it could wait for.
    void this.#connection.disconnect();
    this.#socket?.destroy();
  }

  async #open(): Promise<void> {
    try {
      if (this.#closed) throw this.#closedError();
      await this.#connection.connect();
      await this.#inTime(this.#greet(), "the first requests");
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async #greet(): Promise<void> {
    const answer = (await this.#connection.send(this.#plainRequest("ApiVersions", 2, {}))) as {
      apiVersions: { apiKey: number; minVersion: number; maxVersion: number }[];
    };
    this.#connection.setVersions(Object.fromEntries(answer.apiVersions.map((each) => [each.apiKey, each])));
    this.#connection.setSupportAuthenticationProtocol(true);
    await this.#connection.authenticate();
  }

  /** An answer that comes too late would hold up what follows it, so the connection ends with the first. */
  async #inTime<Result>(answer: Promise<Result>, what: string, ms = this.#requestTimeoutMs): Promise<Result> {
    const timer = setTimeout(() => this.close(new RequestTimeoutError(what, ms, this.#address)), ms);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  #closedError(): Error {
    return new this.#kafkajs.KafkaJSConnectionClosedError("connection closed", this.#address);
  }

  #plainRequest(api: string, version: number, body: object): KafkajsRequest {
    return (this.#kafkajs.requests[api] as Internals["requests"][string]).protocol({ version })(body);
  }

  #protocol<Name extends keyof Requests>(name: Name, body: Requests[Name][0]): KafkajsRequest {
    const [api, version] = versions[name];
    const base = this.#plainRequest(
      api,
      version,
      name === "produce" ? { topicData: [] } : name === "fetch" ? fetchBody(body as Requests["fetch"][0]) : body,
    );
    // kafkajs's `parse` throws the first error that it finds in an answer, and what else is in it is lost.
    const response = { decode: base.response.decode, parse: async (decoded: unknown) => decoded };
    const own = { ...base, response, logResponseError: false };
    if (name === "metadata")
      return { ...own, request: { ...base.request, encode: async () => this.#encodeMetadata(body as Requests["metadata"][0]) } };
    if (name === "describeConfigs")
      return { ...own, response: { ...response, decode: async (payload) => readConfigs(await base.response.decode(payload)) } };
    if (name === "fetch") return { ...own, response: { ...response, decode: async (payload) => this.#decodeFetch(payload) } };
    if (name === "produce") {
      const { timeoutMs } = body as Requests["produce"][0];
      return {
        ...own,
        request: { ...base.request, encode: async () => this.#encodeProduce(body as Requests["produce"][0]) },
        response: { ...response, decode: async (payload) => readProduced(await base.response.decode(payload)) },
        // The broker answers at the end of its own time; that answer is worth more than a timeout here.
        requestTimeout: timeoutMs + 2_000,
      };
    }
    return own;
  }

  /** kafkajs asks for all topics of the cluster when none are named. */
  #encodeMetadata({ topics, allowAutoTopicCreation }: Requests["metadata"][0]): Encoder {
    const encoder = new this.#kafkajs.Encoder();
    return (topics === null ? encoder.writeInt32(-1) : encoder.writeArray(topics, "string")).writeBoolean(allowAutoTopicCreation);
  }

  #encodeProduce({ topic, partition, batch, timeoutMs }: Requests["produce"][0]): Encoder {
    return new this.#kafkajs.Encoder()
      .writeString(null)
      .writeInt16(-1)
      .writeInt32(timeoutMs)
      .writeInt32(1)
      .writeString(topic)
      .writeInt32(1)
      .writeInt32(partition)
      .writeInt32(batch.length)
      .writeBuffer(batch);
  }

  #decodeFetch(payload: Buffer): Requests["fetch"][1] {
    const decoder = new this.#kafkajs.Decoder(payload);
    const int64 = (): number => Number(decoder.readInt64().toString());
    decoder.readInt32();
    const error = decoder.readInt16();
    if (error !== 0) throw this.#kafkajs.createErrorFromCode(error);
    decoder.readInt32();
    return decoder.readArray(() => ({
      topic: decoder.readString(),
      partitions: decoder.readArray(() => {
        const partition = decoder.readInt32();
        const errorCode = decoder.readInt16();
        const highWatermark = int64();
        decoder.readInt64();
        decoder.readInt64();
        const aborted = decoder.readArray(() => ({ producerId: BigInt(decoder.readInt64().toString()), firstOffset: int64() }));
        decoder.readInt32();
        return { partition, errorCode, highWatermark, aborted, batches: decoder.readBytes() ?? Buffer.alloc(0) };
      }),
    }));
  }
}

function fetchBody({ maxWaitMs, maxBytes, topics }: Requests["fetch"][0]): object {
  return { maxWaitTime: maxWaitMs, minBytes: 1, maxBytes, topics };
}

/** kafkajs names entries otherwise when it reads them than when it writes them. */
function readConfigs(decoded: unknown): Requests["describeConfigs"][1] {
  const { resources } = decoded as {
    resources: (Coded & { configEntries: { configName: string; configValue: string; configSource: number }[] })[];
  };
  return {
    resources: resources.map(({ errorCode, configEntries }) => ({
      errorCode,
      configEntries: configEntries.map(({ configName, configValue, configSource }) => ({
        name: configName,
        value: configValue,
        source: configSource,
      })),
    })),
  };
}

function readProduced(decoded: unknown): Coded {
  const { topics } = decoded as { topics: { partitions: Coded[] }[] };
  return { errorCode: topics[0]?.partitions[0]?.errorCode ?? -1 };
}

/** kafkajs shouts about what is retried here; its lines are for those who look for them, and without what was sent or answered. */
function quiet(logger: Logger): object {
  const debug = (message: string, extra: { broker?: string; error?: unknown } = {}): void =>
    logger.debug({ broker: extra.broker, ...(typeof extra.error === "string" && { reason: extra.error }) }, `kafkajs: ${message}`);
  const target: object = { namespace: () => target, debug, info: debug, warn: debug, error: debug };
  return target;
}
