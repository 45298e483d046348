import type { HexkitError } from "../../errors.ts";
import { deferred, settlesWithin } from "../../promise.ts";
import type { ProtocolContext } from "../index.ts";
import { Acknowledger } from "./acknowledger.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { EventSink, EventSource, EventSubscriberDriver, SourceRecord, SourceTrouble, TopicPartition } from "./driver.ts";
import type { AnyTranslator, BatchTranslator, Subscription, SubscriptionState, SubscriptionStats } from "./event-subscriber.ts";
import { Handling } from "./handling.ts";
import { Lanes } from "./lanes.ts";
import { Partition, type Task } from "./partition.ts";
import type { SubscriberSettings } from "./settings.ts";
import { isBatchTranslator, type Routes } from "./translator.ts";
import { Watchdog } from "./watchdog.ts";

export interface EngineOptions {
  readonly driver: EventSubscriberDriver;
  readonly context: ProtocolContext<SubscriberSettings>;
  readonly translators: readonly AnyTranslator[];
  readonly routes: Routes;
  readonly settings: SubscriberSettings & { readonly group: string };
  readonly retryTopic: string | undefined;
  readonly deadLetters: { readonly writer: DeadLetters; readonly topic: string } | undefined;
}

/** What the last acknowledgement and the leaving of the group may take on top of the drain time. */
const farewellMs = 5_000;
/** The longest that a timer of Node waits; it takes more for nothing. */
const longestTimerMs = 2 ** 31 - 1;
const restartDelayMs = { first: 250, most: 10_000 };

/**
 * One subscription: takes records from a source, runs translators over them in key order, acknowledges what is settled.
 * The same for every driver. It begins by itself; it ends by `stop`, by a failure, or when its source gives up too often.
 */
export class Engine implements Subscription {
  readonly group: string;
  readonly topics: readonly string[];
  readonly done: Promise<void>;
  readonly #options: EngineOptions;
  readonly #partitions = new Map<string, Partition>();
  readonly #handling: Handling;
  readonly #lanes: Lanes<Task>;
  readonly #acknowledger: Acknowledger;
  readonly #watchdog: Watchdog;
  readonly #done = deferred<void>();
  readonly #takesBatches: boolean;
  #received = 0;
  #restarts = 0;
  /** Restarts since something was settled last. */
  #restartsInARow = 0;
  #lastRecordMs: number;
  #state: SubscriptionState = "starting";
  #trouble: SourceTrouble | undefined;
  /** The trouble that joining again is meant to end. */
  #restartTrouble: SourceTrouble | undefined;
  #stall: string | undefined;
  #joining: Promise<EventSource> | undefined;
  #source: EventSource | undefined;
  #restarting = false;
  #ending: Promise<void> | undefined;
  /** Aborts when the end begins. */
  readonly #ended = new AbortController();
  /** Aborts when handlers have had their time. */
  readonly #drained = new AbortController();
  /** Aborts when nothing is waited for any more, not even the broker. */
  readonly #abandoned = new AbortController();

  constructor(options: EngineOptions) {
    const { settings, routes, context, translators, retryTopic, deadLetters } = options;
    this.#options = options;
    this.group = settings.group;
    this.topics = retryTopic === undefined || routes.topics.includes(retryTopic) ? routes.topics : [...routes.topics, retryTopic];
    this.done = this.#done.promise;
    this.done.catch(() => undefined);
    this.#takesBatches = translators.some(isBatchTranslator);
    this.#lastRecordMs = context.clock.now();
    this.#handling = new Handling({
      context,
      settings,
      routes,
      retryTopic,
      deadLetters,
      settle: (task) => this.#settle(task),
      fail: (error) => this.#fail(error),
    });
    this.#lanes = new Lanes({
      concurrency: settings.concurrency,
      maxBatch: settings.maxBatch,
      batchOf: (task) => task.batch,
      run: (tasks) => this.#handling.run(tasks),
    });
    this.#acknowledger = new Acknowledger({
      every: settings.commitEvery,
      intervalMs: settings.commitIntervalMs,
      clock: context.clock,
      mapError: (error) => context.mapError(error, "acknowledge", `events of group ${JSON.stringify(this.group)}`),
      onFailure: (error) => this.#acknowledgementFailed(error),
    });
    this.#watchdog = new Watchdog({
      stallTimeoutMs: settings.stallTimeoutMs,
      clock: context.clock,
      oldestHandler: () => this.#handling.oldest(),
      waiting: () => this.#waiting(),
      stalled: (reason) => this.#setStall(reason),
      starved: (reason) => void this.#restart(context.error("ERR_HEXKIT_UNAVAILABLE", reason)),
    });
    void this.#start();
  }

  get state(): SubscriptionState {
    return this.#state;
  }

  stats(): SubscriptionStats {
    let inFlight = 0;
    for (const partition of this.#partitions.values()) inFlight += partition.inFlight;
    const { counts } = this.#handling;
    const trouble = this.#trouble?.reason ?? this.#stall;
    return { received: this.#received, ...counts, restarts: this.#restarts, inFlight, lag: this.#source?.lag(), trouble };
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
    const { context, translators } = this.#options;
    try {
      for (const translator of translators) await translator.prepare?.();
    } catch (error) {
      this.#fail(context.mapError(error, "subscribe", `group ${JSON.stringify(this.group)} to ${this.topics.join(", ")}`));
      return;
    }
    await this.#join();
  }

  async #join(): Promise<void> {
    const { context, driver, settings } = this.#options;
    if (this.#ending !== undefined) return;
    try {
      const clientId = `${context.service.name}.${context.service.instance}`;
      const joining = driver.join({ group: this.group, clientId, topics: this.topics, from: settings.from }, this.#sink());
      this.#joining = joining;
      const source = await joining;
      if (this.#ending !== undefined || this.#joining !== joining) return;
      this.#source = source;
      this.#acknowledger.attach(source);
      const paused = [...this.#partitions.values()].filter((partition) => partition.paused);
      if (paused.length > 0) source.pause(paused.map((partition) => partition.ref));
    } catch (error) {
      this.#sourceFailed(context.mapError(error, "subscribe", `group ${JSON.stringify(this.group)} to ${this.topics.join(", ")}`));
    }
  }

  /** What a source calls; one that has been left is not listened to any more. */
  #sink(): EventSink {
    const generation = this.#restarts;
    const current = (): boolean => generation === this.#restarts;
    return {
      assigned: (partitions) => current() && this.#assigned(partitions),
      records: (partition, records) => current() && this.#records(partition, records),
      revoked: async (partitions, { lost }) => {
        if (current()) await this.#revoked(partitions, lost);
      },
      trouble: (trouble) => current() && this.#setTrouble(trouble),
      failed: (error) =>
        current() && this.#sourceFailed(this.#options.context.mapError(error, "consume", `as group ${JSON.stringify(this.group)}`)),
    };
  }

  #assigned(refs: readonly TopicPartition[]): void {
    for (const ref of refs) {
      // One that was lost may come back before its loss has been dealt with.
      if (this.#partitions.get(keyOf(ref))?.state !== "open") this.#partitions.set(keyOf(ref), new Partition(ref, this.#options.settings));
    }
    this.#lastRecordMs = this.#options.context.clock.now();
    if (this.#state === "starting") this.#state = "running";
    if (this.#trouble === this.#restartTrouble) this.#setTrouble(undefined);
    this.#showHealth();
  }

  #records(ref: TopicPartition, records: readonly SourceRecord[]): void {
    const partition = this.#partitions.get(keyOf(ref));
    // Late ones belong to whoever has the partition next.
    if (this.#ending !== undefined || partition?.state !== "open") return;
    this.#received += records.length;
    this.#lastRecordMs = this.#options.context.clock.now();
    for (const record of records) {
      const task = partition.take(record, this.#takesBatches ? this.#batchOf(record) : undefined);
      this.#lanes.add(task.lane, task);
    }
    if (partition.full && !partition.paused) {
      partition.paused = true;
      this.#source?.pause([partition.ref]);
    }
  }

  /** The translator that takes a record in batches, by its headers alone. */
  #batchOf(record: SourceRecord): BatchTranslator | undefined {
    const text = (name: string): string => {
      const value = record.headers.findLast(([header]) => header === name)?.[1];
      return value == null ? "" : Buffer.from(value).toString("utf8");
    };
    const topic = record.topic === this.#options.retryTopic ? text("original_topic") : record.topic;
    const translator = this.#options.routes.find(topic, text("type"));
    return translator !== undefined && isBatchTranslator(translator) ? translator : undefined;
  }

  #settle(task: Task): void {
    const { partition } = task;
    if (partition.state === "gone") return;
    this.#restartsInARow = 0;
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

  /** For the watchdog: since when nothing has come although there is room for it. */
  #waiting(): { readonly sinceMs: number; readonly lag: number } | undefined {
    const partitions = [...this.#partitions.values()];
    if (this.#state !== "running" || partitions.some(({ inFlight, paused }) => inFlight > 0 || paused)) return undefined;
    return { sinceMs: this.#lastRecordMs, lag: this.#source?.lag() ?? 0 };
  }

  #setTrouble(trouble: SourceTrouble | undefined): void {
    const { logger } = this.#options.context;
    if (trouble !== undefined && this.#trouble?.reason !== trouble.reason)
      logger.warn({ group: this.group, ...trouble }, "subscription is degraded");
    if (trouble === undefined && this.#trouble !== undefined) logger.info({ group: this.group }, "subscription is well again");
    this.#trouble = trouble;
    this.#showHealth();
  }

  #setStall(reason: string | undefined): void {
    const { logger } = this.#options.context;
    if (reason !== undefined && this.#stall !== reason) logger.warn({ group: this.group, reason }, "subscription is stalled");
    if (reason === undefined && this.#stall !== undefined) logger.info({ group: this.group }, "subscription goes on");
    this.#stall = reason;
    this.#showHealth();
  }

  #showHealth(): void {
    if (this.#state !== "running" && this.#state !== "degraded") return;
    this.#state = this.#trouble === undefined && this.#stall === undefined ? "running" : "degraded";
  }

  #acknowledgementFailed(error: HexkitError): void {
    if (error.retryable || this.#ending !== undefined)
      this.#options.context.logger.warn({ error, group: this.group }, "events were not acknowledged and may be delivered again");
    else this.#fail(error);
  }

  #sourceFailed(error: HexkitError): void {
    if (error.retryable) void this.#restart(error);
    else this.#fail(error);
  }

  /** Leaves the group and joins it again, after a pause that grows; too often in a row without progress, the subscription fails. */
  async #restart(error: HexkitError): Promise<void> {
    const { context, settings } = this.#options;
    if (this.#ending !== undefined || this.#restarting) return;
    if (this.#restartsInARow >= settings.maxRestarts) {
      this.#fail(error);
      return;
    }
    this.#restarting = true;
    const pauseMs = Math.min(restartDelayMs.first * 2 ** this.#restartsInARow, restartDelayMs.most);
    this.#restartsInARow += 1;
    this.#restartTrouble = { reason: `joining again after: ${error.message}`, error };
    this.#setTrouble(this.#restartTrouble);
    const partitions = [...this.#partitions.values()];
    await this.#drain(partitions, undefined, "the group is joined again");
    await settlesWithin(this.#leave(), farewellMs, this.#abandoned.signal);
    this.#restarts += 1;
    this.#joining = undefined;
    this.#source = undefined;
    this.#partitions.clear();
    await context.clock.sleep(pauseMs, this.#ended.signal);
    this.#restarting = false;
    if (this.#ending !== undefined) return;
    await this.#join();
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
    this.#ended.abort();
    this.#watchdog.stop();
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

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
