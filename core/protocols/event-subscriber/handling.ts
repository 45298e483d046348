import { untilAborted } from "../../call.ts";
import { withCorrelationId } from "../../correlation.ts";
import type { HexkitError } from "../../errors.ts";
import { consumerSpan } from "../../telemetry.ts";
import type { ProtocolContext } from "../index.ts";
import type { DeadLetters } from "./dead-letters.ts";
import { type DecodedEvent, decode, type Undecodable } from "./decode.ts";
import type { SourceRecord } from "./driver.ts";
import type { BatchOutcome, BatchTranslator, Translator } from "./event-subscriber.ts";
import { over, type TaskOutcome } from "./lanes.ts";
import type { Partition, Task } from "./partition.ts";
import { forbidsRetry, retryDelay } from "./retry.ts";
import type { SubscriberSettings } from "./settings.ts";
import type { Routes } from "./translator.ts";

export interface HandlingOptions {
  readonly context: ProtocolContext<SubscriberSettings>;
  readonly settings: SubscriberSettings & { readonly group: string };
  readonly routes: Routes;
  /** The topic whose records count as those of their `original_topic`. */
  readonly retryTopic: string | undefined;
  /** Where failed events go, if they go anywhere. */
  readonly deadLetters: { readonly writer: DeadLetters; readonly topic: string } | undefined;
  /** A record needs nothing more. */
  settle(task: Task): void;
  /** The subscription cannot go on. */
  fail(error: HexkitError): void;
}

/** A run of a translator under way. */
interface Run {
  readonly startedMs: number;
  readonly record: SourceRecord;
}

/** What happens to a record between its delivery and its being settled: decoding, attempts, retries, dead letter or failure policy. */
export class Handling {
  readonly counts = { handled: 0, ignored: 0, retried: 0, failed: 0, deadLettered: 0, skipped: 0 };
  readonly #options: HandlingOptions;
  /** In the order in which they began. */
  readonly #running = new Set<Run>();

  constructor(options: HandlingOptions) {
    this.#options = options;
  }

  /** The handler that has been running longest. */
  oldest(): { readonly sinceMs: number; readonly place: string } | undefined {
    const [first] = this.#running;
    return first === undefined ? undefined : { sinceMs: first.startedMs, place: place(first.record) };
  }

  /** Runs one task or a batch. What is neither settled nor run again stays unacknowledged and is delivered again. Never rejects. */
  async run(tasks: readonly Task[]): Promise<readonly TaskOutcome[]> {
    const [task] = tasks as readonly [Task];
    const run = { startedMs: this.#options.context.clock.now(), record: task.record };
    this.#running.add(run);
    for (const { partition } of tasks) partition.enter();
    try {
      if (task.batch === undefined) return [await this.#handle(task)];
      return await this.#handleBatch(tasks, task.batch);
    } catch (error) {
      const fact = `record ${place(task.record)} could not be handled: ${factOf(error)}`;
      this.#options.fail(this.#options.context.error("ERR_HEXKIT_PROVIDER_FAILED", fact, error));
      return tasks.map(() => over);
    } finally {
      for (const { partition } of tasks) partition.exit();
      this.#running.delete(run);
    }
  }

  async #handle(task: Task): Promise<TaskOutcome> {
    const decoded = await this.#decode(task);
    if (decoded === undefined) return over;
    try {
      await this.#consume(decoded, task);
    } catch (error) {
      return this.#attemptFailed(task, decoded, error);
    }
    this.#done(task);
    return over;
  }

  async #handleBatch(tasks: readonly Task[], translator: BatchTranslator): Promise<readonly TaskOutcome[]> {
    const outcomes = new Map<Task, TaskOutcome>();
    const batch: { readonly task: Task; readonly decoded: DecodedEvent }[] = [];
    for (const task of tasks) {
      const decoded = await this.#decode(task);
      if (decoded !== undefined) batch.push({ task, decoded });
    }
    if (batch.length > 0) {
      const results = await this.#consumeBatch(batch, translator);
      // What follows a failure with the same key waits for it, and is handled again after it.
      const held = new Set<string>();
      for (const [index, { task, decoded }] of batch.entries()) {
        if (held.has(task.lane)) {
          outcomes.set(task, { retryInMs: 0 });
          continue;
        }
        const result = results[index];
        if (result === undefined) this.#done(task);
        else {
          const outcome = await this.#attemptFailed(task, decoded, result.error);
          outcomes.set(task, outcome);
          if (outcome.retryInMs !== undefined) held.add(task.lane);
        }
      }
    }
    return tasks.map((task) => outcomes.get(task) ?? over);
  }

  /** The event in a record; `undefined` if there is none for a translator, which is dealt with then. */
  async #decode(task: Task): Promise<DecodedEvent | undefined> {
    const { record, partition } = task;
    if (partition.state !== "open") return undefined;
    const { context, routes, retryTopic } = this.#options;
    const decoded = decode(record, routes, retryTopic);
    if (decoded.kind === "ignored") {
      this.counts.ignored += 1;
      this.#options.settle(task);
      return undefined;
    }
    if (decoded.kind === "undecodable") {
      const error = context.error("ERR_HEXKIT_EVENT_UNDECODABLE", `record ${place(record)} cannot be decoded: ${decoded.reason}`);
      task.firstError = error;
      await this.#failedForGood(task, decoded, error);
      return undefined;
    }
    if (decoded.eventIdInvented && task.failures === 0) {
      context.logger.warn({ ...position(record), type: decoded.event.type }, "an event has no valid event_id; a random one stands in");
    }
    return decoded;
  }

  async #consume({ event, translator, correlationId }: DecodedEvent, { partition, failures }: Task): Promise<void> {
    const { context, settings } = this.#options;
    const attempt = failures + 1;
    await this.#limited([partition], (signal) =>
      withCorrelationId(correlationId, () =>
        consumerSpan(
          { system: context.system, topic: event.topic, eventId: event.eventId, group: settings.group },
          event.headers,
          async () => {
            await (translator as Translator).consume(event, { signal, attempt, logger: context.logger, correlationId });
          },
        ),
      ),
    );
  }

  async #consumeBatch(
    batch: readonly { readonly task: Task; readonly decoded: DecodedEvent }[],
    translator: BatchTranslator,
  ): Promise<readonly BatchOutcome[]> {
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
  async #limited<Result>(partitions: readonly Partition[], work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const { handlerTimeoutMs } = this.#options.settings;
    const [only] = partitions as readonly [Partition];
    if (handlerTimeoutMs === undefined && partitions.length === 1) return work(only.signal);
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(new Error("a partition was given up"));
    for (const { signal } of partitions) {
      if (signal.aborted) onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
    }
    const timer =
      handlerTimeoutMs === undefined ? undefined : setTimeout(() => controller.abort(this.#timeout(handlerTimeoutMs)), handlerTimeoutMs);
    try {
      return await untilAborted(work(controller.signal), controller.signal);
    } finally {
      clearTimeout(timer);
      for (const { signal } of partitions) signal.removeEventListener("abort", onAbort);
    }
  }

  #timeout(ms: number): HexkitError {
    return this.#options.context.error("ERR_HEXKIT_TIMEOUT", `the handler did not end within ${ms} ms (handlerTimeoutMs)`);
  }

  #done(task: Task): void {
    this.counts.handled += 1;
    this.#options.settle(task);
  }

  async #attemptFailed(task: Task, decoded: DecodedEvent, error: unknown): Promise<TaskOutcome> {
    const { context, settings } = this.#options;
    const { record, partition } = task;
    // Whatever fails while the partition is being given up may fail because of that: the event is delivered again, here or elsewhere.
    if (partition.state !== "open") {
      if (!partition.signal.aborted)
        context.logger.warn({ error, ...position(record) }, "an event failed while its partition was given up; it will be delivered again");
      return over;
    }
    if (task.failures === 0) task.firstError = error;
    task.failures += 1;
    if (task.failures <= settings.maxRetries && !forbidsRetry(error)) {
      const retryInMs = retryDelay(task.failures, settings);
      this.counts.retried += 1;
      const details = { ...position(record), eventId: decoded.event.eventId, attempt: task.failures, retryInMs: Math.round(retryInMs) };
      context.logger.warn({ error, ...details }, "an event failed and will be tried again");
      return { retryInMs };
    }
    const { type, eventId } = decoded.event;
    const tries = task.failures === 1 ? "" : ` ${task.failures} times`;
    const fact = `event ${eventId} of type ${JSON.stringify(type)} ${place(record)} failed${tries}: ${factOf(error)}`;
    await this.#failedForGood(task, decoded, context.error("ERR_HEXKIT_EVENT_FAILED", fact, error));
    return over;
  }

  async #failedForGood(task: Task, decoded: DecodedEvent | Undecodable, error: HexkitError): Promise<void> {
    const { context, settings, deadLetters, fail, settle } = this.#options;
    const { record } = task;
    this.counts.failed += 1;
    if (deadLetters !== undefined) {
      try {
        await deadLetters.writer.write(
          { record, decoded, error: task.firstError, attempts: Math.max(1, task.failures) },
          deadLetters.topic,
        );
      } catch (writeError) {
        const fact = `${error.message}; and its dead letter could not be written to ${JSON.stringify(deadLetters.topic)}: ${factOf(writeError)}`;
        fail(context.error("ERR_HEXKIT_EVENT_FAILED", fact, writeError));
        return;
      }
      this.counts.deadLettered += 1;
      context.logger.error(
        { error, ...position(record), deadLetterTopic: deadLetters.topic },
        "an event failed and went to the dead letters",
      );
      settle(task);
    } else if (settings.onFailure === "skip") {
      this.counts.skipped += 1;
      context.logger.error({ error, ...position(record) }, "an event failed and was skipped");
      settle(task);
    } else fail(error);
  }
}

function position({ topic, partition, offset }: SourceRecord): {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
} {
  return { topic, partition, offset };
}

function place({ topic, partition, offset }: SourceRecord): string {
  return `at topic ${JSON.stringify(topic)}, partition ${partition}, offset ${offset}`;
}

/** Anything can be thrown, also what has no text. */
function factOf(error: unknown): string {
  if (error instanceof Error) return error.message || error.name;
  try {
    return String(error);
  } catch {
    return `a thrown ${typeof error}`;
  }
}
