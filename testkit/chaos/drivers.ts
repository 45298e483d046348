import type {
  EventSink,
  EventSource,
  EventSubscriberDriver,
  JoinRequest,
  ObjectRef,
  ObjectStorageDriver,
  SourceRecord,
  TopicPartition,
} from "../../core/index.ts";
import type { Run } from "./operations.ts";

/** A driver (or what one hands out) whose methods go through the plan as `protocol.method`. `instead` replaces some of the real ones. */
export function throughPlan<Driver extends object>(protocol: string, driver: Driver, run: Run, instead: Partial<Driver> = {}): Driver {
  const methods = new Map<string | symbol, unknown>();
  // Over an empty object, because a proxy over a frozen driver could not answer otherwise than it does.
  return new Proxy(Object.create(driver) as Driver, {
    get(_, name) {
      const known = methods.get(name);
      if (known !== undefined) return known;
      const replaced = (instead as Record<string | symbol, unknown>)[name];
      const value: unknown = replaced ?? Reflect.get(driver, name, driver);
      if (typeof value !== "function" || typeof name === "symbol" || name === "constructor") return value;
      const method = (...args: unknown[]): unknown => run(`${protocol}.${name}`, args, (...given) => Reflect.apply(value, driver, given));
      methods.set(name, method);
      return method;
    },
  });
}

/**
 * Takes a call that acquires something through the plan. Whoever called it can release only what it got: of what else was acquired, because the
 * answer was lost or the call happened twice, nothing stays.
 */
export async function acquireThroughPlan<Acquired>(
  run: Run,
  operation: string,
  args: readonly unknown[],
  acquire: (...args: never[]) => Promise<Acquired>,
  release: (acquired: Acquired) => unknown,
): Promise<Acquired> {
  const acquired: Acquired[] = [];
  try {
    const answer = await run(operation, args, async (...given) => {
      acquired.push(await acquire(...given));
      return acquired.at(-1);
    });
    for (const other of acquired.slice(0, -1)) await release(other);
    return answer as Acquired;
  } catch (error) {
    for (const other of acquired) await release(other);
    throw error;
  }
}

/** A subscriber's driver: its sources and what they deliver go through the plan as well. */
export function subscriberThroughPlan(driver: EventSubscriberDriver, run: Run): EventSubscriberDriver {
  const join = async (request: JoinRequest, sink: EventSink): Promise<EventSource> => {
    const delivery = new Delivery(sink, run);
    const source = await driver.join(request, delivery);
    const leave = (): Promise<void> => {
      delivery.end();
      return source.leave();
    };
    return throughPlan("eventSubscriber", source, run, { leave });
  };
  const runOrJoin: Run = (operation, args, real) =>
    operation === "eventSubscriber.join"
      ? acquireThroughPlan(run, operation, args, join, (source) => source.leave())
      : run(operation, args, real);
  return throughPlan("eventSubscriber", driver, runOrJoin);
}

/** A storage's driver: bodies and uploads that nobody gets to know are freed again. */
export function storageThroughPlan(driver: ObjectStorageDriver, run: Run): ObjectStorageDriver {
  const start = (object: ObjectRef, options: Parameters<ObjectStorageDriver["startUpload"]>[1]): Promise<string> =>
    driver.startUpload(object, options);
  const get: ObjectStorageDriver["get"] = (object, options) => driver.get(object, options);
  const runOrFree: Run = (operation, args, real) => {
    if (operation === "objectStorage.get") return acquireThroughPlan(run, operation, args, get, ({ body }) => body.destroy());
    if (operation !== "objectStorage.startUpload") return run(operation, args, real);
    const object = args[0] as ObjectRef;
    return acquireThroughPlan(run, operation, args, start, (uploadId) => driver.abortUpload({ ...object, uploadId }, {}));
  };
  return throughPlan("objectStorage", driver, runOrFree);
}

/** Deliveries of one partition, one after the other. */
interface Line {
  readonly waiting: (readonly [TopicPartition, readonly SourceRecord[]])[];
  /** One is on its way. */
  busy: boolean;
  /** The partition has been revoked: what has not arrived never does. */
  dropped: boolean;
}

/** The way of records from a source to the engine. What is held up holds up what follows it in its partition, and nothing else. */
class Delivery implements EventSink {
  readonly #sink: EventSink;
  readonly #run: Run;
  readonly #lines = new Map<string, Line>();
  #ended = false;

  constructor(sink: EventSink, run: Run) {
    this.#sink = sink;
    this.#run = run;
  }

  /** Nothing arrives any more. */
  end(): void {
    this.#ended = true;
    for (const line of this.#lines.values()) line.dropped = true;
  }

  assigned(partitions: readonly TopicPartition[]): void {
    if (!this.#ended) this.#sink.assigned(partitions);
  }

  records(partition: TopicPartition, records: readonly SourceRecord[]): void {
    if (this.#ended) return;
    const name = nameOf(partition);
    const line = this.#lines.get(name) ?? { waiting: [], busy: false, dropped: false };
    this.#lines.set(name, line);
    line.waiting.push([partition, records]);
    this.#advance(line);
  }

  async revoked(partitions: readonly TopicPartition[], options: { readonly lost: boolean }): Promise<void> {
    if (this.#ended) return;
    for (const partition of partitions) {
      const line = this.#lines.get(nameOf(partition));
      if (line !== undefined) line.dropped = true;
      this.#lines.delete(nameOf(partition));
    }
    await this.#sink.revoked(partitions, options);
  }

  trouble(trouble: Parameters<EventSink["trouble"]>[0]): void {
    if (!this.#ended) this.#sink.trouble(trouble);
  }

  failed(error: unknown): void {
    if (this.#ended) return;
    this.end();
    this.#sink.failed(error);
  }

  #advance(line: Line): void {
    while (!line.busy && !line.dropped) {
      const next = line.waiting.shift();
      if (next === undefined) return;
      const outcome = this.#run("eventSubscriber.records", next, (partition: TopicPartition, records: readonly SourceRecord[]) => {
        if (!line.dropped) this.#sink.records(partition, records);
      });
      if (!(outcome instanceof Promise)) continue;
      line.busy = true;
      outcome.then(
        () => {
          line.busy = false;
          this.#advance(line);
        },
        (error: unknown) => {
          if (!line.dropped) this.failed(error);
        },
      );
    }
  }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
