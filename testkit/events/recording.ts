import { type CallOptions, HexkitError, type PartitionExtent, type Registry, type SourceRecord } from "../../core/index.ts";
import { Topics } from "../reach.ts";

/** An event as it lies in its topic. */
export interface RecordedEvent {
  readonly topic: string;
  /** Empty if the record has none. */
  readonly type: string;
  /** Empty if the record has none. */
  readonly key: string;
  /** Parsed JSON; `null` for a record without value. */
  readonly payload: unknown;
  /** As it was sent; empty if the record has none. */
  readonly eventId: string;
  /** All but `type` and `event_id`, the last of equal names; `undefined` unless the recording has `captureHeaders`. */
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: Date;
}

export interface RecordOptions extends CallOptions {
  /** Keeps the headers, so that they can be expected. Default: off. */
  readonly captureHeaders?: boolean;
  /** Whose broker is listened to. Default: that of `eventPublisher`, else of `eventSubscriber`. */
  readonly binding?: string;
}

/** Takes what is added to some topics between its begin and its stop. Holds nothing open: leaving it alone is safe. */
export interface Recording extends AsyncDisposable {
  readonly topics: readonly string[];
  /**
   * In the order of each partition; over partitions by their time, which is a guess.
   * @throws ERR_HEXKIT_RECORDING_OPEN before it has stopped.
   */
  readonly events: readonly RecordedEvent[];
  /**
   * Reads exactly what has been added until now, and waits for nothing more. Safe twice: later calls give the same.
   * @throws ERR_HEXKIT_EVENT_UNDECODABLE if a record holds no JSON, and what reading throws.
   */
  stop(options?: CallOptions): Promise<readonly RecordedEvent[]>;
}

/**
 * Begins to record what is added to a topic, or several, by whomever. A topic that does not exist yet is recorded from its first record.
 * @throws ERR_HEXKIT_UNSUPPORTED if the plugin cannot look at topics, ERR_HEXKIT_UNBOUND, ERR_HEXKIT_INVALID_ARGUMENT, ERR_HEXKIT_CLOSED, and what the
 * broker's plugin throws.
 */
export async function recordEvents(
  registry: Registry,
  topics: string | readonly string[],
  { captureHeaders = false, binding, signal }: RecordOptions = {},
): Promise<Recording> {
  const names = [...new Set(typeof topics === "string" ? [topics] : topics)];
  if (names.length === 0 || names.some((name) => typeof name !== "string" || name === ""))
    throw new HexkitError("ERR_HEXKIT_INVALID_ARGUMENT", "recordEvents: it takes the name of a topic, or a list of them");
  const reader = await Topics.of(registry, "recordEvents", binding);
  const begin = await reader.run("record", names, { signal }, () => reader.access.extents(names, { signal }));
  return new TopicRecording(reader, names, begin, captureHeaders);
}

class TopicRecording implements Recording {
  readonly topics: readonly string[];
  readonly #reader: Topics;
  readonly #begin: readonly PartitionExtent[];
  readonly #captureHeaders: boolean;
  #stopping: Promise<readonly RecordedEvent[]> | undefined;
  #events: readonly RecordedEvent[] | undefined;

  constructor(reader: Topics, topics: readonly string[], begin: readonly PartitionExtent[], captureHeaders: boolean) {
    this.topics = topics;
    this.#reader = reader;
    this.#begin = begin;
    this.#captureHeaders = captureHeaders;
  }

  get events(): readonly RecordedEvent[] {
    if (this.#events === undefined)
      throw new HexkitError(
        "ERR_HEXKIT_RECORDING_OPEN",
        `recording of ${this.topics.join(", ")}: its events can be read once it has stopped: await recording.stop()`,
      );
    return this.#events;
  }

  stop(options: CallOptions = {}): Promise<readonly RecordedEvent[]> {
    this.#stopping ??= this.#stop(options).catch((error) => {
      this.#stopping = undefined;
      throw error;
    });
    return this.#stopping;
  }

  async #stop({ signal }: CallOptions): Promise<readonly RecordedEvent[]> {
    const { access } = this.#reader;
    const partitions = await this.#reader.run("record", this.topics, { signal }, async () => {
      const added = (await access.extents(this.topics, { signal })).map((extent) => {
        const before = this.#begin.find(({ topic, partition }) => topic === extent.topic && partition === extent.partition);
        return { ...extent, start: Math.max(extent.start, before?.end ?? 0) };
      });
      return Promise.all(added.filter(({ start, end }) => start < end).map((extent) => this.#read(extent, signal)));
    });
    this.#events = merge(partitions.map((records) => records.map((record) => this.#toEvent(record))));
    return this.#events;
  }

  async #read(extent: PartitionExtent, signal: AbortSignal | undefined): Promise<readonly SourceRecord[]> {
    const all: SourceRecord[] = [];
    for await (const records of this.#reader.access.read(extent, { signal })) all.push(...records);
    return all;
  }

  #toEvent(record: SourceRecord): RecordedEvent {
    const { topic, partition, offset, key, value, timestampMs } = record;
    const headers = Object.fromEntries(record.headers.flatMap(([name, bytes]) => (bytes === null ? [] : [[name, textOf(bytes)]])));
    const { type = "", event_id: eventId = "", ...others } = headers;
    let payload: unknown;
    try {
      payload = value === null ? null : JSON.parse(textOf(value));
    } catch (error) {
      const place = `topic ${JSON.stringify(topic)}, partition ${partition}, offset ${offset}`;
      throw this.#reader.context.error("ERR_HEXKIT_EVENT_UNDECODABLE", `the recorded value at ${place} is not JSON`, error);
    }
    return {
      topic,
      type,
      key: key === null ? "" : textOf(key),
      payload,
      eventId,
      headers: this.#captureHeaders ? others : undefined,
      partition,
      offset,
      timestamp: new Date(timestampMs),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Partitions keep their order, whatever their times say. */
function merge(partitions: readonly (readonly RecordedEvent[])[]): RecordedEvent[] {
  const queues = partitions.map((events) => [...events]);
  const merged: RecordedEvent[] = [];
  for (;;) {
    let first: RecordedEvent[] | undefined;
    for (const queue of queues) {
      const [head] = queue;
      if (head !== undefined && (first?.[0] === undefined || head.timestamp < first[0].timestamp)) first = queue;
    }
    if (first === undefined) return merged;
    merged.push(first.shift() as RecordedEvent);
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
