import { setMaxListeners } from "node:events";
import { untilAborted } from "../../call.ts";
import { withKnownCorrelationId } from "../../correlation.ts";
import type { HexkitError } from "../../errors.ts";
import { factOf } from "../../redaction.ts";
import { consumerSpan } from "../../telemetry.ts";
import { type DecodedEvent, decode, decodeHeader, type Undecodable } from "./decode.ts";
import type { SourceRecord } from "./driver.ts";
import type { BatchOutcome, BatchTranslator, Translator } from "./event-subscriber.ts";
import { Failures, type FailuresOptions, place, position } from "./failures.ts";
import { over, type TaskOutcome } from "./lanes.ts";
import type { Partition, Task } from "./partition.ts";
import { isBatchTranslator, type Routes } from "./translator.ts";

export interface HandlingOptions extends FailuresOptions {
  readonly routes: Routes;
  readonly takesBatches: boolean;
  /** The topic whose records count as those of their `original_topic`. */
  readonly retryTopic: string | undefined;
}

/** A run of a translator under way. */
interface Run {
  readonly startedMs: number;
  readonly record: SourceRecord;
}

/** An event of a batch. */
interface Item {
  readonly task: Task;
  readonly decoded: DecodedEvent;
}

/** What happens to a record between its delivery and its being settled: decoding, attempts, retries, dead letter or failure policy. */
export class Handling {
  readonly #counts = { handled: 0, ignored: 0 };
  readonly #options: HandlingOptions;
  readonly #failures: Failures;
  /** In the order in which they began. */
  readonly #running = new Set<Run>();

  constructor(options: HandlingOptions) {
    this.#options = options;
    this.#failures = new Failures(options);
  }

  get counts(): Failures["counts"] & { readonly handled: number; readonly ignored: number } {
    return { ...this.#counts, ...this.#failures.counts };
  }

  /** The handler that has been running longest. */
  oldest(): { readonly sinceMs: number; readonly place: string } | undefined {
    const [first] = this.#running;
    return first === undefined ? undefined : { sinceMs: first.startedMs, place: place(first.record) };
  }

  /** The translator that takes a record in batches, by its headers alone. */
  batchOf(record: SourceRecord): BatchTranslator | undefined {
    const { takesBatches, retryTopic, routes } = this.#options;
    if (!takesBatches) return undefined;
    const topic = record.topic === retryTopic ? decodeHeader(record, "original_topic") : record.topic;
    const translator = routes.find(topic, decodeHeader(record, "type"));
    return translator !== undefined && isBatchTranslator(translator) ? translator : undefined;
  }

  /** Runs one task and calls `ended`, at once if its translator returns no promise: each costs, for every event. Never throws. */
  run(task: Task, ended: (outcome: TaskOutcome) => void): void {
    const startedMs = this.#options.context.clock.now();
    task.partition.enter(task);
    let pending: Promise<TaskOutcome> | undefined;
    try {
      pending = this.#handle(task);
    } catch (error) {
      this.#failUnexpectedly(task, error);
    }
    if (pending === undefined) {
      task.partition.exit();
      ended(over);
    } else void this.#follow(task, startedMs, pending, ended);
  }

  async #follow(task: Task, startedMs: number, pending: Promise<TaskOutcome>, ended: (outcome: TaskOutcome) => void): Promise<void> {
    const run = { startedMs, record: task.record };
    this.#running.add(run);
    let outcome = over;
    try {
      outcome = await pending;
    } catch (error) {
      this.#failUnexpectedly(task, error);
    }
    task.partition.exit();
    this.#running.delete(run);
    ended(outcome);
  }

  /** Handles one record; nothing is to be waited for if this returns nothing. */
  #handle(task: Task): Promise<TaskOutcome> | undefined {
    const decoded = this.#decode(task);
    if (decoded === undefined) return undefined;
    if (decoded.kind === "undecodable") return this.#failures.undecodable(task, decoded);
    let handler: void | Promise<void>;
    try {
      handler = this.#consume(decoded, task);
    } catch (error) {
      return this.#failures.attemptFailed(task, decoded, error);
    }
    if (isThenable(handler)) return this.#await(task, decoded, handler);
    this.#done(task);
    return undefined;
  }

  async #await(task: Task, decoded: DecodedEvent, handler: PromiseLike<void>): Promise<TaskOutcome> {
    try {
      await handler;
    } catch (error) {
      return await this.#failures.attemptFailed(task, decoded, error);
    }
    this.#done(task);
    return over;
  }

  /** Runs a batch, all of one translator. Never rejects. */
  async runBatch(tasks: readonly Task[]): Promise<readonly TaskOutcome[]> {
    const [first] = tasks as readonly [Task];
    const run = this.#begin(first.record);
    for (const task of tasks) task.partition.enter(task);
    try {
      return await this.#handleBatch(tasks, first.batch as BatchTranslator);
    } catch (error) {
      this.#failUnexpectedly(first, error);
      return tasks.map(() => over);
    } finally {
      for (const { partition } of tasks) partition.exit();
      this.#running.delete(run);
    }
  }

  #begin(record: SourceRecord): Run {
    const run = { startedMs: this.#options.context.clock.now(), record };
    this.#running.add(run);
    return run;
  }

  #failUnexpectedly(task: Task, error: unknown): void {
    task.partition.giveUp(task.record);
    const fact = `record ${place(task.record)} could not be handled: ${factOf(error)}`;
    this.#options.fail(this.#options.context.error("ERR_HEXKIT_PROVIDER_FAILED", fact, error));
  }

  async #handleBatch(tasks: readonly Task[], translator: BatchTranslator): Promise<readonly TaskOutcome[]> {
    const items: Item[] = [];
    for (const task of tasks) {
      const decoded = this.#decode(task);
      if (decoded?.kind === "undecodable") await this.#failures.undecodable(task, decoded);
      else if (decoded !== undefined) items.push({ task, decoded });
    }
    // A dead letter may have taken its time, or ended the subscription.
    const open = items.filter(({ task }) => task.partition.admits(task.record));
    if (open.length === 0) return tasks.map(() => over);
    const results = await this.#consumeBatch(open, translator);
    const outcomes = new Map<Task, TaskOutcome>();
    // What follows a failure with the same key waits for it, and is handled again after it.
    const held = new Set<string>();
    for (const [index, { task, decoded }] of open.entries()) {
      const result = results[index];
      if (held.has(task.lane)) outcomes.set(task, { retryInMs: 0 });
      else if (result === undefined) this.#done(task);
      else {
        const outcome = await this.#failures.attemptFailed(task, decoded, result.error);
        outcomes.set(task, outcome);
        if (outcome !== over) held.add(task.lane);
      }
    }
    return tasks.map((task) => outcomes.get(task) ?? over);
  }

  /** The event in a record, or why there is none; `undefined` if nothing is to be done with it (any more). */
  #decode(task: Task): DecodedEvent | Undecodable | undefined {
    const { record, partition } = task;
    if (!partition.admits(record)) return undefined;
    const { context, routes, retryTopic } = this.#options;
    const decoded = decode(record, routes, retryTopic);
    if (decoded.kind === "ignored") {
      this.#counts.ignored += 1;
      this.#options.settle(task);
      return undefined;
    }
    if (decoded.kind === "event" && decoded.eventIdInvented && task.failures === 0) {
      context.logger.warn({ ...position(record), type: decoded.event.type }, "an event has no valid event_id; a random one stands in");
    }
    return decoded;
  }

  #consume({ event, translator, correlationId }: DecodedEvent, { partition, failures }: Task): void | Promise<void> {
    const { context, settings } = this.#options;
    const { logger, system } = context;
    const { topic, eventId } = event;
    const attempt = failures + 1;
    const run = (signal: AbortSignal): void | Promise<void> =>
      withKnownCorrelationId(correlationId, () =>
        consumerSpan({ system, topic, eventId, group: settings.group }, event.headers, () =>
          (translator as Translator).consume(event, { signal, attempt, logger, correlationId }),
        ),
      );
    // Without a time limit no promise but the handler's own: each costs, for every event.
    return settings.handlerTimeoutMs === undefined ? run(partition.signal) : this.#limited([partition], async (signal) => run(signal));
  }

  async #consumeBatch(batch: readonly Item[], translator: BatchTranslator): Promise<readonly BatchOutcome[]> {
    const events = batch.map(({ decoded }) => decoded.event);
    const attempts = batch.map(({ task }) => task.failures + 1);
    const partitions = [...new Set(batch.map(({ task }) => task.partition))];
    try {
      const results = await this.#limited(partitions, async (signal) =>
        translator.consumeBatch(events, { signal, attempts, logger: this.#options.context.logger }),
      );
      if (results === undefined) return [];
      if (Array.isArray(results) && results.length === events.length) return results;
      throw new TypeError(
        `consumeBatch returned ${Array.isArray(results) ? `${results.length} outcomes` : typeof results} for ${events.length} events`,
      );
    } catch (error) {
      return events.map(() => ({ error }));
    }
  }

  /** Runs `work` with a signal that aborts with any of the partitions or when `handlerTimeoutMs` is over; then it has failed, whatever it does. */
  #limited<Result>(partitions: readonly Partition[], work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const { handlerTimeoutMs } = this.#options.settings;
    if (handlerTimeoutMs === undefined && partitions.length === 1) return work((partitions[0] as Partition).signal);
    return this.#withSignal(partitions, handlerTimeoutMs, work);
  }

  async #withSignal<Result>(
    partitions: readonly Partition[],
    timeoutMs: number | undefined,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const controller = new AbortController();
    // A batch may hand it on once per event.
    setMaxListeners(0, controller.signal);
    const giveUp = (): void => controller.abort(new Error("a partition was given up"));
    for (const { signal } of partitions) signal.addEventListener("abort", giveUp, { once: true });
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => controller.abort(this.#timeout(timeoutMs)), timeoutMs);
    try {
      return await untilAborted(work(controller.signal), controller.signal);
    } finally {
      clearTimeout(timer);
      for (const { signal } of partitions) signal.removeEventListener("abort", giveUp);
    }
  }

  #timeout(ms: number): HexkitError {
    return this.#options.context.error("ERR_HEXKIT_TIMEOUT", `the handler did not end within ${ms} ms (handlerTimeoutMs)`);
  }

  #done(task: Task): void {
    if (this.#options.settle(task)) this.#counts.handled += 1;
  }
}

function isThenable(value: unknown): value is PromiseLike<void> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
