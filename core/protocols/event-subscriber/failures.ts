import type { HexkitError } from "../../errors.ts";
import { factOf } from "../../redaction.ts";
import type { ProtocolContext } from "../index.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { DecodedEvent, Undecodable } from "./decode.ts";
import type { SourceRecord } from "./driver.ts";
import { over, type TaskOutcome } from "./lanes.ts";
import type { Task } from "./partition.ts";
import { forbidsRetry, retryDelay } from "./retry.ts";
import type { SubscriberSettings } from "./settings.ts";

export interface FailuresOptions {
  readonly context: ProtocolContext<SubscriberSettings>;
  readonly settings: SubscriberSettings & { readonly group: string };
  /** Where failed events go, if they go anywhere. */
  readonly deadLetters: { readonly writer: DeadLetters; readonly topic: string } | undefined;
  /** A record needs nothing more. Returns whether that still counts: of a partition that is gone it does not. */
  settle(task: Task): boolean;
  /** The subscription cannot go on. */
  fail(error: HexkitError): void;
}

/** The outcome of a task that is neither settled nor run again here: it stays unacknowledged and is delivered again. */
const unsettled: TaskOutcome = Object.freeze({});

/** What happens to a record that fails: another attempt, its dead letter, or the failure policy. */
export class Failures {
  readonly counts = { retried: 0, failed: 0, deadLettered: 0, skipped: 0 };
  readonly #options: FailuresOptions;

  constructor(options: FailuresOptions) {
    this.#options = options;
  }

  undecodable(task: Task, decoded: Undecodable): Promise<TaskOutcome> {
    const fact = `record ${place(task.record)} cannot be decoded: ${decoded.reason}`;
    const error = this.#options.context.error("ERR_HEXKIT_EVENT_UNDECODABLE", fact);
    task.firstError = error;
    return this.#failedForGood(task, decoded, error);
  }

  /** `over` if the event is settled even so. */
  async attemptFailed(task: Task, decoded: DecodedEvent, error: unknown): Promise<TaskOutcome> {
    const { context, settings } = this.#options;
    const { record, partition } = task;
    // Whatever fails while the partition is being given up may fail because of that: the event is delivered again, here or elsewhere.
    if (partition.state !== "open") {
      if (!partition.signal.aborted)
        context.logger.warn({ error, ...position(record) }, "an event failed while its partition was given up; it will be delivered again");
      partition.giveUp(record);
      return unsettled;
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
    return await this.#failedForGood(task, decoded, context.error("ERR_HEXKIT_EVENT_FAILED", fact, error));
  }

  async #failedForGood(task: Task, decoded: DecodedEvent | Undecodable, error: HexkitError): Promise<TaskOutcome> {
    const { context, settings, deadLetters, fail, settle } = this.#options;
    const { record, partition, firstError } = task;
    if (deadLetters !== undefined) {
      const { writer, topic } = deadLetters;
      try {
        await writer.write({ record, decoded, error: firstError, attempts: Math.max(1, task.failures) }, topic, partition.signal);
      } catch (writeError) {
        // Whoever has the partition next deals with the event.
        if (partition.state === "gone") return unsettled;
        this.counts.failed += 1;
        partition.giveUp(record);
        const fact = `${error.message}; and its dead letter could not be written to ${JSON.stringify(topic)}: ${factOf(writeError)}`;
        fail(context.error("ERR_HEXKIT_EVENT_FAILED", fact, writeError));
        return unsettled;
      }
      this.counts.failed += 1;
      this.counts.deadLettered += 1;
      context.logger.error({ error, ...position(record), deadLetterTopic: topic }, "an event failed and went to the dead letters");
      settle(task);
      return over;
    }
    this.counts.failed += 1;
    if (settings.onFailure === "skip") {
      this.counts.skipped += 1;
      context.logger.error({ error, ...position(record) }, "an event failed and was skipped");
      settle(task);
      return over;
    }
    partition.giveUp(record);
    fail(error);
    return unsettled;
  }
}

export function position({ topic, partition, offset }: SourceRecord): {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
} {
  return { topic, partition, offset };
}

export function place({ topic, partition, offset }: SourceRecord): string {
  return `at topic ${JSON.stringify(topic)}, partition ${partition}, offset ${offset}`;
}
