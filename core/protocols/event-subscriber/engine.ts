import type { HexkitError } from "../../errors.ts";
import { deferred, longestTimerMs, settlesWithin } from "../../promise.ts";
import type { ProtocolContext } from "../index.ts";
import { Acknowledger } from "./acknowledger.ts";
import { Condition } from "./condition.ts";
import type { DeadLetters } from "./dead-letters.ts";
import { drain } from "./drain.ts";
import type { EventSource, EventSubscriberDriver, SourceRecord, TopicPartition } from "./driver.ts";
import type { AnyTranslator, Subscription, SubscriptionState, SubscriptionStats } from "./event-subscriber.ts";
import { Handling } from "./handling.ts";
import { Lanes } from "./lanes.ts";
import { Membership } from "./membership.ts";
import type { EngineWork } from "./open-work.ts";
import type { Partition, Task } from "./partition.ts";
import { Partitions } from "./partitions.ts";
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

/**
 * One subscription: takes records from a source, runs translators over them in key order, acknowledges what is settled.
 * The same for every driver. It begins by itself; it ends by `stop`, by a failure, or when its source gives up too often.
 */
export class Engine implements Subscription {
  readonly group: string;
  readonly topics: readonly string[];
  readonly done: Promise<void>;
  readonly #options: EngineOptions;
  readonly #partitions: Partitions;
  readonly #handling: Handling;
  readonly #lanes: Lanes<Task>;
  readonly #membership: Membership;
  readonly #watchdog: Watchdog;
  readonly #condition: Condition;
  readonly #done = deferred<void>();
  /** One per membership: what is left of an old one does not matter to the next. */
  #acknowledger: Acknowledger;
  #received = 0;
  #failure: HexkitError | undefined;
  #lastRecordMs: number;
  #ending: Promise<void> | undefined;
  /** Aborts when the end begins. */
  readonly #ended = new AbortController();
  /** Aborts when handlers have had their time. */
  readonly #drained = new AbortController();
  /** Aborts when nothing is waited for any more, not even the broker. */
  readonly #abandoned = new AbortController();

  constructor(options: EngineOptions) {
    const { settings, routes, context, translators, retryTopic, deadLetters } = options;
    const { clock, logger } = context;
    this.#options = options;
    this.group = settings.group;
    this.topics = retryTopic === undefined || routes.topics.includes(retryTopic) ? routes.topics : [...routes.topics, retryTopic];
    this.done = this.#done.promise;
    this.done.catch(() => undefined);
    this.#lastRecordMs = clock.now();
    this.#partitions = new Partitions(settings);
    this.#condition = new Condition(this.group, logger);
    this.#handling = new Handling({
      context,
      takesBatches: translators.some(isBatchTranslator),
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
      run: (task, ended) => this.#handling.run(task, ended),
      runBatch: (tasks) => this.#handling.runBatch(tasks),
      keeps: (task) => task.partition.keeps(task),
      awaits: ({ partition, record }) => {
        if (partition.state !== "open") partition.giveUp(record);
        return partition.state === "open";
      },
    });
    this.#acknowledger = this.#newAcknowledger();
    this.#membership = this.#newMembership();
    this.#watchdog = new Watchdog({
      stallTimeoutMs: settings.stallTimeoutMs,
      clock,
      oldestHandler: () => this.#handling.oldest(),
      waiting: () => this.#waiting(),
      stalled: (reason) => this.#condition.show("stall", reason),
      starved: (reason) => void this.#membership.restart(context.error("ERR_HEXKIT_UNAVAILABLE", reason)),
    });
    void this.#start();
  }

  get state(): SubscriptionState {
    return this.#condition.state;
  }

  stats(): SubscriptionStats {
    const { counts } = this.#handling;
    const { inFlight } = this.#partitions;
    const { restarts, source } = this.#membership;
    return { received: this.#received, ...counts, restarts, inFlight, lag: source?.lag(), trouble: this.#condition.trouble };
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

  /** For `openWork`: acknowledges what is settled, and tells what the broker cannot. */
  async work(): Promise<EngineWork> {
    await this.#acknowledger.flush();
    const waiting = this.#lanes.paused;
    return { inFlight: this.#partitions.inFlight, waiting, failure: this.#failure };
  }

  async #start(): Promise<void> {
    try {
      for (const translator of this.#options.translators) await translator.prepare?.();
    } catch (error) {
      this.#fail(this.#mapError(error, "subscribe"));
      return;
    }
    await this.#membership.join();
  }

  #mapError(error: unknown, operation: "subscribe" | "consume"): HexkitError {
    const group = `group ${JSON.stringify(this.group)}`;
    return this.#options.context.mapError(
      error,
      operation,
      operation === "consume" ? `as ${group}` : `${group} to ${this.topics.join(", ")}`,
    );
  }

  #newMembership(): Membership {
    const { context, driver, settings } = this.#options;
    const clientId = `${context.service.name}.${context.service.instance}`;
    return new Membership({
      driver,
      request: { group: this.group, clientId, topics: this.topics, from: settings.from },
      clock: context.clock,
      maxRestarts: settings.maxRestarts,
      provenMs: settings.stallTimeoutMs,
      ended: this.#ended.signal,
      abandoned: this.#abandoned.signal,
      sink: {
        assigned: (partitions) => this.#assigned(partitions),
        records: (partition, records) => this.#records(partition, records),
        revoked: (partitions, { lost }) => this.#revoked(partitions, lost),
        trouble: (trouble) => this.#condition.show("source", trouble?.reason, trouble?.error),
      },
      mapError: (error, operation) => this.#mapError(error, operation),
      joined: (source) => this.#joined(source),
      lost: (error) => this.#lost(error),
      failed: (error) => this.#fail(error),
      leftUncleanly: (error) => context.logger.warn({ error, group: this.group }, "leaving the group was not clean"),
    });
  }

  #newAcknowledger(): Acknowledger {
    const { context, settings } = this.#options;
    const acknowledger: Acknowledger = new Acknowledger({
      every: settings.commitEvery,
      intervalMs: settings.commitIntervalMs,
      clock: context.clock,
      mapError: (error) => context.mapError(error, "acknowledge", `events of group ${JSON.stringify(this.group)}`),
      onFailure: (error) => {
        if (acknowledger === this.#acknowledger) this.#acknowledgementFailed(error);
      },
    });
    return acknowledger;
  }

  #joined(source: EventSource): void {
    this.#acknowledger.attach(source);
    const paused = this.#partitions.all.filter((partition) => partition.paused);
    if (paused.length > 0) source.pause(paused.map((partition) => partition.ref));
  }

  /** The source is left, and with it everything that is not acknowledged: it is delivered again by the next one. */
  #lost(error: HexkitError): void {
    this.#acknowledger.stop();
    this.#acknowledger = this.#newAcknowledger();
    for (const partition of this.#partitions.all) partition.close("the group is joined again");
    this.#partitions.clear();
    this.#lanes.drop();
    this.#condition.show("rejoin", `joining again after: ${error.message}`, error);
    this.#condition.show("source", undefined);
  }

  #assigned(refs: readonly TopicPartition[]): void {
    for (const ref of refs) this.#partitions.assign(ref);
    this.#lastRecordMs = this.#options.context.clock.now();
    this.#condition.joined();
  }

  #records(ref: TopicPartition, records: readonly SourceRecord[]): void {
    const partition = this.#partitions.find(ref);
    // Late ones belong to whoever has the partition next.
    if (this.#ending !== undefined || partition?.state !== "open") return;
    this.#received += records.length;
    this.#lastRecordMs = this.#options.context.clock.now();
    this.#watchdog.delivered();
    for (const record of records) {
      const task = partition.take(record, this.#handling.batchOf(record));
      this.#lanes.add(task.lane, task);
    }
    this.#lanes.start();
    if (partition.full && !partition.paused) {
      partition.paused = true;
      this.#membership.source?.pause([partition.ref]);
    }
  }

  #settle(task: Task): boolean {
    const { partition } = task;
    if (partition.state === "gone") return false;
    this.#membership.progressed();
    partition.settled(task);
    this.#acknowledger.add(task);
    if (partition.paused && partition.state === "open" && partition.roomy) {
      partition.paused = false;
      this.#membership.source?.resume([partition.ref]);
    }
    return true;
  }

  async #revoked(refs: readonly TopicPartition[], lost: boolean): Promise<void> {
    const partitions = refs.flatMap((ref) => this.#partitions.find(ref) ?? []);
    await this.#drain(partitions, lost ? undefined : this.#options.settings.drainTimeoutMs, "the partition was given to another member");
    for (const partition of partitions) this.#partitions.remove(partition);
  }

  #drain(partitions: readonly Partition[], timeoutMs: number | undefined, reason: string): Promise<void> {
    const acknowledge = (): Promise<void> => this.#acknowledger.finish(this.#abandoned.signal);
    const signals = { drained: this.#drained.signal, abandoned: this.#abandoned.signal };
    return drain(partitions, { lanes: this.#lanes, acknowledge, ...signals, timeoutMs, reason });
  }

  /** For the watchdog: since when nothing has come although there is room for it. */
  #waiting(): { readonly sinceMs: number; readonly lag: number } | undefined {
    if (this.state !== "running") return undefined;
    if (this.#partitions.all.some(({ inFlight, paused }) => inFlight > 0 || paused)) return undefined;
    return { sinceMs: this.#lastRecordMs, lag: this.#membership.source?.lag() ?? 0 };
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
    this.#condition.state = "stopping";
    this.#ended.abort();
    this.#watchdog.stop();
    if (error !== undefined) context.logger.error({ error, group: this.group }, "subscription failed");
    const partitions = this.#partitions.all;
    if (partitions.length > 0) this.#membership.source?.pause(partitions.map((partition) => partition.ref));
    await this.#drain(partitions, drainTimeoutMs, "the subscription has ended");
    this.#acknowledger.stop();
    await this.#membership.leave();
    this.#partitions.clear();
    if (error === undefined) {
      this.#condition.state = "stopped";
      this.#done.resolve();
      return;
    }
    this.#failure = error;
    this.#condition.state = "failed";
    this.#done.reject(error);
    context.fail(error);
  }
}
