import { withCorrelationId } from "../../correlation.ts";
import type { HexkitError } from "../../errors.ts";
import { deferred, settlesWithin } from "../../promise.ts";
import { consumerSpan } from "../../telemetry.ts";
import type { ProtocolContext } from "../index.ts";
import { Acknowledger } from "./acknowledger.ts";
import { type DecodedEvent, decode } from "./decode.ts";
import type { EventSink, EventSource, EventSubscriberDriver, SourceRecord, SourceTrouble, TopicPartition } from "./driver.ts";
import type { Subscription, SubscriptionState, SubscriptionStats, Translator } from "./event-subscriber.ts";
import { Lanes } from "./lanes.ts";
import { Partition, type Task } from "./partition.ts";
import type { SubscriberSettings } from "./settings.ts";
import type { Routes } from "./translator.ts";

export interface EngineOptions {
  readonly driver: EventSubscriberDriver;
  readonly context: ProtocolContext<SubscriberSettings>;
  readonly translators: readonly Translator[];
  readonly routes: Routes;
  readonly settings: SubscriberSettings & { readonly group: string };
}

/** What the last acknowledgement and the leaving of the group may take on top of the drain time. */
const farewellMs = 5_000;
/** The longest that a timer of Node waits; it takes more for nothing. */
const longestTimerMs = 2 ** 31 - 1;

/**
 * One subscription: takes records from a source, runs translators over them in key order, acknowledges what is settled.
 * The same for every driver. It begins by itself; it ends by `stop`, by a failure, or when its source gives up.
 */
export class Engine implements Subscription {
  readonly group: string;
  readonly topics: readonly string[];
  readonly done: Promise<void>;
  readonly #options: EngineOptions;
  readonly #partitions = new Map<string, Partition>();
  readonly #lanes: Lanes<Task>;
  readonly #acknowledger: Acknowledger;
  readonly #done = deferred<void>();
  readonly #counts = { received: 0, handled: 0, ignored: 0, failed: 0, skipped: 0 };
  #state: SubscriptionState = "starting";
  #trouble: SourceTrouble | undefined;
  #joining: Promise<EventSource> | undefined;
  #source: EventSource | undefined;
  #ending: Promise<void> | undefined;
  /** Aborts when handlers have had their time. */
  readonly #drained = new AbortController();
  /** Aborts when nothing is waited for any more, not even the broker. */
  readonly #abandoned = new AbortController();

  constructor(options: EngineOptions) {
    const { settings, routes, context } = options;
    this.#options = options;
    this.group = settings.group;
    this.topics = routes.topics;
    this.done = this.#done.promise;
    this.done.catch(() => undefined);
    this.#lanes = new Lanes(settings.concurrency, (task) => this.#handle(task));
    this.#acknowledger = new Acknowledger({
      every: settings.commitEvery,
      intervalMs: settings.commitIntervalMs,
      clock: context.clock,
      mapError: (error) => context.mapError(error, "acknowledge", `events of group ${JSON.stringify(this.group)}`),
      onFailure: (error) => this.#acknowledgementFailed(error),
    });
    void this.#start();
  }

  get state(): SubscriptionState {
    return this.#state;
  }

  stats(): SubscriptionStats {
    let inFlight = 0;
    for (const partition of this.#partitions.values()) inFlight += partition.inFlight;
    return { ...this.#counts, inFlight, lag: this.#source?.lag(), trouble: this.#trouble?.reason };
  }

  stop(options: { readonly drainTimeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    const drainTimeoutMs = options.drainTimeoutMs === undefined ? undefined : Math.min(options.drainTimeoutMs, longestTimerMs);
    const abandon = (): void => {
      this.#drained.abort();
      this.#abandoned.abort();
    };
    if (signal?.aborted) abandon();
    signal?.addEventListener("abort", abandon, { once: true });
    // It may be ending already, by a failure or with more patience.
    if (this.#ending !== undefined && drainTimeoutMs !== undefined) {
      void settlesWithin(this.#ending, drainTimeoutMs).then((ended) => ended || this.#drained.abort());
    }
    return this.#end(undefined, drainTimeoutMs);
  }

  async #start(): Promise<void> {
    const { context, driver, settings, translators } = this.#options;
    try {
      for (const translator of translators) await translator.prepare?.();
      if (this.#ending !== undefined) return;
      this.#joining = driver.join(
        { group: this.group, clientId: `${context.service.name}.${context.service.instance}`, topics: this.topics, from: settings.from },
        this.#sink(),
      );
      const source = await this.#joining;
      if (this.#ending !== undefined) return;
      this.#source = source;
      this.#acknowledger.attach(source);
      const paused = [...this.#partitions.values()].filter((partition) => partition.paused);
      if (paused.length > 0) source.pause(paused.map((partition) => partition.ref));
    } catch (error) {
      this.#fail(context.mapError(error, "subscribe", `group ${JSON.stringify(this.group)} to ${this.topics.join(", ")}`));
    }
  }

  #sink(): EventSink {
    return {
      assigned: (partitions) => this.#assigned(partitions),
      records: (partition, records) => this.#records(partition, records),
      revoked: (partitions, { lost }) => this.#revoked(partitions, lost),
      trouble: (trouble) => this.#setTrouble(trouble),
      failed: (error) => this.#fail(this.#options.context.mapError(error, "consume", `as group ${JSON.stringify(this.group)}`)),
    };
  }

  #assigned(refs: readonly TopicPartition[]): void {
    for (const ref of refs) {
      // One that was lost may come back before its loss has been dealt with.
      if (this.#partitions.get(keyOf(ref))?.state !== "open") this.#partitions.set(keyOf(ref), new Partition(ref, this.#options.settings));
    }
    if (this.#state === "starting") this.#state = this.#trouble === undefined ? "running" : "degraded";
  }

  #records(ref: TopicPartition, records: readonly SourceRecord[]): void {
    const partition = this.#partitions.get(keyOf(ref));
    // Late ones belong to whoever has the partition next.
    if (this.#ending !== undefined || partition?.state !== "open") return;
    this.#counts.received += records.length;
    for (const record of records) {
      const task = partition.take(record);
      // Bytes one to one: two keys share a lane only if they are equal, whatever they hold.
      const key =
        record.key === null ? "" : Buffer.from(record.key.buffer, record.key.byteOffset, record.key.byteLength).toString("latin1");
      this.#lanes.add(`${partition.id}/${key}`, task);
    }
    if (partition.full && !partition.paused) {
      partition.paused = true;
      this.#source?.pause([partition.ref]);
    }
  }

  /** What does not begin or is not settled stays unacknowledged and is delivered again. Never rejects. */
  async #handle(task: Task): Promise<void> {
    const { partition } = task;
    if (partition.state !== "open") return;
    await partition.run(async () => {
      try {
        if (await this.#process(task)) this.#settle(task);
      } catch (error) {
        this.#fail(
          this.#options.context.error(
            "ERR_HEXKIT_PROVIDER_FAILED",
            `record ${place(task.record)} could not be handled: ${factOf(error)}`,
            error,
          ),
        );
      }
    });
  }

  /** Resolves to whether the record is settled. */
  async #process({ record, partition }: Task): Promise<boolean> {
    const decoded = decode(record, this.#options.routes);
    if (decoded.kind === "ignored") {
      this.#counts.ignored += 1;
      return true;
    }
    if (decoded.kind === "undecodable") {
      return this.#failed(
        record,
        this.#options.context.error("ERR_HEXKIT_EVENT_UNDECODABLE", `record ${place(record)} cannot be decoded: ${decoded.reason}`),
      );
    }
    if (decoded.eventIdInvented) {
      this.#options.context.logger.warn(
        { ...position(record), type: decoded.event.type },
        "an event has no valid event_id; a random one stands in",
      );
    }
    try {
      await this.#consume(decoded, partition);
    } catch (error) {
      // Cancellation is no failure: the event is delivered again, here or elsewhere.
      if (partition.signal.aborted) return false;
      const { type, eventId } = decoded.event;
      return this.#failed(
        record,
        this.#options.context.error(
          "ERR_HEXKIT_EVENT_FAILED",
          `event ${eventId} of type ${JSON.stringify(type)} ${place(record)} failed: ${factOf(error)}`,
          error,
        ),
      );
    }
    this.#counts.handled += 1;
    return true;
  }

  #consume({ event, translator, correlationId }: DecodedEvent, partition: Partition): Promise<void> {
    const { context } = this.#options;
    return withCorrelationId(correlationId, () =>
      consumerSpan({ system: context.system, topic: event.topic, eventId: event.eventId, group: this.group }, event.headers, async () => {
        await translator.consume(event, { signal: partition.signal, attempt: 1, logger: context.logger, correlationId });
      }),
    );
  }

  #failed(record: SourceRecord, error: HexkitError): boolean {
    this.#counts.failed += 1;
    if (this.#options.settings.onFailure === "stop") {
      this.#fail(error);
      return false;
    }
    this.#counts.skipped += 1;
    this.#options.context.logger.error({ error, ...position(record) }, "an event failed and was skipped");
    return true;
  }

  #settle(task: Task): void {
    const { partition } = task;
    if (partition.state === "gone") return;
    partition.settled(task);
    this.#acknowledger.add(task);
    if (partition.paused && partition.state === "open" && partition.roomy) {
      partition.paused = false;
      this.#source?.resume([partition.ref]);
    }
  }

  async #revoked(refs: readonly TopicPartition[], lost: boolean): Promise<void> {
    const partitions = refs.flatMap((ref) => this.#partitions.get(keyOf(ref)) ?? []);
    await this.#drain(partitions, lost ? undefined : this.#options.settings.drainTimeoutMs, "the partition was given to another member");
    for (const partition of partitions) {
      const key = keyOf(partition.ref);
      if (this.#partitions.get(key) === partition) this.#partitions.delete(key);
    }
  }

  /** Lets running handlers end within the time given, acknowledges what is settled, and gives up the rest; without a time, all of it. */
  async #drain(partitions: readonly Partition[], timeoutMs: number | undefined, reason: string): Promise<void> {
    const draining = new Set(partitions);
    for (const partition of draining) if (partition.state === "open") partition.state = "draining";
    this.#lanes.drop((task) => draining.has(task.partition));
    if (timeoutMs !== undefined) {
      if (timeoutMs > 0) await settlesWithin(Promise.all(partitions.map((partition) => partition.idle())), timeoutMs, this.#drained.signal);
      await settlesWithin(this.#acknowledger.finish(this.#abandoned.signal), farewellMs, this.#abandoned.signal);
    }
    for (const partition of draining) partition.close(reason);
  }

  #setTrouble(trouble: SourceTrouble | undefined): void {
    const { logger } = this.#options.context;
    if (trouble !== undefined && this.#trouble?.reason !== trouble.reason)
      logger.warn({ group: this.group, ...trouble }, "subscription is degraded");
    if (trouble === undefined && this.#trouble !== undefined) logger.info({ group: this.group }, "subscription is well again");
    this.#trouble = trouble;
    if (this.#state === "running" && trouble !== undefined) this.#state = "degraded";
    if (this.#state === "degraded" && trouble === undefined) this.#state = "running";
  }

  #acknowledgementFailed(error: HexkitError): void {
    if (error.retryable || this.#ending !== undefined)
      this.#options.context.logger.warn({ error, group: this.group }, "events were not acknowledged and may be delivered again");
    else this.#fail(error);
  }

  #fail(error: HexkitError): void {
    if (this.#ending !== undefined)
      this.#options.context.logger.error({ error, group: this.group }, "a further failure while the subscription ends");
    else void this.#end(error);
  }

  #end(error: HexkitError | undefined, drainTimeoutMs = this.#options.settings.drainTimeoutMs): Promise<void> {
    this.#ending ??= this.#run(error, drainTimeoutMs);
    return this.#ending;
  }

  async #run(error: HexkitError | undefined, drainTimeoutMs: number): Promise<void> {
    const { context } = this.#options;
    this.#state = "stopping";
    if (error !== undefined) context.logger.error({ error, group: this.group }, "subscription failed");
    const partitions = [...this.#partitions.values()];
    if (partitions.length > 0) this.#source?.pause(partitions.map((partition) => partition.ref));
    await this.#drain(partitions, drainTimeoutMs, "the subscription has ended");
    this.#acknowledger.stop();
    await settlesWithin(this.#leave(), farewellMs, this.#abandoned.signal);
    this.#partitions.clear();
    if (error === undefined) {
      this.#state = "stopped";
      this.#done.resolve();
      return;
    }
    this.#state = "failed";
    this.#done.reject(error);
    context.fail(error);
  }

  /** Leaves the group, also if joining ends only later. */
  async #leave(): Promise<void> {
    try {
      const source = await this.#joining;
      await source?.leave();
    } catch (error) {
      if (this.#source !== undefined) this.#options.context.logger.warn({ error, group: this.group }, "leaving the group was not clean");
    }
  }
}

function position({ topic, partition, offset }: SourceRecord): TopicPartition & { readonly offset: number } {
  return { topic, partition, offset };
}

function place({ topic, partition, offset }: SourceRecord): string {
  return `at topic ${JSON.stringify(topic)}, partition ${partition}, offset ${offset}`;
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
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
