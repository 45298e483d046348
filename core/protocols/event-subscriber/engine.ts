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

  constructor(options: EngineOptions) {
    const { settings, routes, context } = options;
    this.#options = options;
    this.group = settings.group;
    this.topics = routes.topics;
    this.done = this.#done.promise;
    this.done.catch(() => undefined);
    this.#lanes = new Lanes(settings.concurrency, (task) => this.#handle(task));
    this.#acknowledger = new Acknowledger(
      { every: settings.commitEvery, intervalMs: settings.commitIntervalMs },
      (error) => context.mapError(error, "acknowledge", `events of group ${JSON.stringify(this.group)}`),
      (error) => this.#acknowledgementFailed(error),
    );
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

  stop({ drainTimeoutMs, signal }: { readonly drainTimeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#end(undefined, drainTimeoutMs, signal);
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
      source.pause([...this.#partitions.values()].filter((partition) => partition.paused).map((partition) => partition.ref));
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
    for (const ref of refs) this.#partition(ref);
    if (this.#state === "starting") this.#state = this.#trouble === undefined ? "running" : "degraded";
  }

  #partition(ref: TopicPartition): Partition {
    const key = `${ref.topic}/${ref.partition}`;
    let partition = this.#partitions.get(key);
    if (partition === undefined) {
      partition = new Partition(ref, this.#options.settings);
      this.#partitions.set(key, partition);
    }
    return partition;
  }

  #records(ref: TopicPartition, records: readonly SourceRecord[]): void {
    if (this.#ending !== undefined) return;
    const partition = this.#partition(ref);
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

  /** What does not begin or is not settled stays unacknowledged and is delivered again. */
  async #handle(task: Task): Promise<void> {
    const { partition } = task;
    if (partition.state !== "open") return;
    if (await partition.run(() => this.#process(task))) this.#settle(task);
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
      const fact = error instanceof Error ? error.message : String(error);
      return this.#failed(
        record,
        this.#options.context.error(
          "ERR_HEXKIT_EVENT_FAILED",
          `event ${eventId} of type ${JSON.stringify(type)} ${place(record)} failed: ${fact}`,
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
    const { partition, record } = task;
    if (partition.state === "gone") return;
    partition.settled(task);
    this.#acknowledger.add(record);
    if (partition.paused && partition.state === "open" && partition.roomy) {
      partition.paused = false;
      this.#source?.resume([partition.ref]);
    }
  }

  async #revoked(refs: readonly TopicPartition[], lost: boolean): Promise<void> {
    const keys = refs.map((ref) => `${ref.topic}/${ref.partition}`);
    const partitions = keys.flatMap((key) => this.#partitions.get(key) ?? []);
    await this.#drain(partitions, lost ? undefined : this.#options.settings.drainTimeoutMs, "the partition was given to another member");
    for (const key of keys) this.#partitions.delete(key);
  }

  /** Lets running handlers end within the time given, acknowledges what is settled, and gives up the rest; without a time, all of it. */
  async #drain(partitions: readonly Partition[], timeoutMs: number | undefined, reason: string, signal?: AbortSignal): Promise<void> {
    const draining = new Set(partitions);
    for (const partition of draining) partition.state = "draining";
    this.#lanes.drop((task) => draining.has(task.partition));
    if (timeoutMs !== undefined) {
      if (timeoutMs > 0) await settlesWithin(Promise.all(partitions.map((partition) => partition.idle())), timeoutMs, signal);
      await settlesWithin(this.#acknowledger.flush(), farewellMs, signal);
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

  #end(error: HexkitError | undefined, drainTimeoutMs = this.#options.settings.drainTimeoutMs, signal?: AbortSignal): Promise<void> {
    this.#ending ??= this.#run(error, drainTimeoutMs, signal);
    return this.#ending;
  }

  async #run(error: HexkitError | undefined, drainTimeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    const { context } = this.#options;
    this.#state = "stopping";
    if (error !== undefined) context.logger.error({ error, group: this.group }, "subscription failed");
    const partitions = [...this.#partitions.values()];
    this.#source?.pause(partitions.map((partition) => partition.ref));
    await this.#drain(partitions, drainTimeoutMs, "the subscription has ended", signal);
    this.#acknowledger.stop();
    await settlesWithin(this.#leave(), farewellMs, signal);
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
