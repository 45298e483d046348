import type { Watch } from "../../core/index.ts";
import type { Document, MongodbClient, Timestamp } from "./client.ts";
import { classifyMongodbError } from "./errors.ts";

const longestPauseMs = 5_000;
/** How long the server holds back an empty answer, and with it a connection after closing: nothing ends the request that waits. */
const awaitMs = 1_000;
/** Not patches: whoever is told of changes makes most of them itself, one for each change that it was told of. */
const pipeline = [{ $match: { operationType: { $ne: "update" } } }, { $project: { operationType: 1 } }];
const changes = new Set(["insert", "replace", "delete", "drop", "rename", "invalidate"]);

interface Stream {
  readonly resumeToken: unknown;
  next(): Promise<unknown>;
  close(): Promise<void>;
}

/** A change stream that goes on after interruptions; the npm driver's own tries once. */
export class CollectionWatch implements Watch {
  readonly #client: MongodbClient;
  readonly #collection: string;
  readonly #onChange: () => void;
  readonly #onEnd: (error: unknown) => void;
  readonly #closing = new AbortController();
  #stream: Stream | undefined;

  private constructor(client: MongodbClient, collection: string, onChange: () => void, onEnd: (error: unknown) => void) {
    this.#client = client;
    this.#collection = collection;
    this.#onChange = onChange;
    this.#onEnd = onEnd;
  }

  /** From a moment of the server's time that lies before this resolves: the stream itself is made only when it is first read. */
  static async open(
    client: MongodbClient,
    collection: string,
    onChange: () => void,
    onEnd: (error: unknown) => void,
    signal: AbortSignal | undefined,
  ): Promise<Watch> {
    const watch = new CollectionWatch(client, collection, onChange, onEnd);
    const from = await client.command({ ping: 1 }, { signal });
    void watch.#run({ startAtOperationTime: from.operationTime as Timestamp });
    return watch;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    // Not waited for: the server may be away, or hold back its answer.
    this.#stream?.close().catch(() => undefined);
  }

  async #run(from: Document): Promise<void> {
    const { signal } = this.#closing;
    let start = from;
    for (let failures = 0; !signal.aborted; ) {
      const stream = this.#open(start);
      this.#stream = stream;
      try {
        for (;;) {
          const change = (await stream.next()) as { operationType: string };
          if (signal.aborted) break;
          failures = 0;
          start = { resumeAfter: stream.resumeToken };
          if (changes.has(change.operationType)) this.#onChange();
          // The collection is gone; what is made in its place begins after this.
          if (change.operationType === "invalidate") {
            start = { startAfter: stream.resumeToken };
            break;
          }
        }
      } catch (error) {
        if (signal.aborted) break;
        const code = classifyMongodbError(error);
        if (isHistoryLost(error)) {
          start = {};
          this.#onChange();
        } else if (code !== "ERR_HEXKIT_UNAVAILABLE" && code !== "ERR_HEXKIT_TIMEOUT") {
          this.#onEnd(error);
          this.#closing.abort();
          break;
        } else if (stream.resumeToken !== undefined && stream.resumeToken !== null) start = { resumeAfter: stream.resumeToken };
        failures += 1;
        await this.#client.clock.sleep(Math.min(longestPauseMs, 50 * 2 ** Math.min(failures, 10)), signal);
      } finally {
        stream.close().catch(() => undefined);
      }
    }
  }

  #open(start: Document): Stream {
    const { socketTimeoutMs } = this.#client.options;
    // Shorter than what ends a silent connection.
    const maxAwaitTimeMS = socketTimeoutMs === 0 ? awaitMs : Math.max(1, Math.min(awaitMs, socketTimeoutMs / 2));
    return this.#client.collection(this.#collection).watch(pipeline, { ...start, maxAwaitTimeMS });
  }
}

/** The server no longer remembers where we were. */
function isHistoryLost(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === 286 || code === 280 || code === 136;
}
