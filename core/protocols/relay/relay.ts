import { setMaxListeners } from "node:events";
import type { CallOptions } from "../../call.ts";
import type { Clock } from "../../clock.ts";
import { HexkitError } from "../../errors.ts";
import type { Logger } from "../../logging.ts";
import { settlesWithin } from "../../promise.ts";
import { DaoCalls } from "../dao/calls.ts";
import type { DaoDriver, DocumentId } from "../dao/driver.ts";
import { findBatches } from "../dao/find.ts";
import type { DaoSettings } from "../dao/settings.ts";
import type { EventPublisherDriver } from "../event-publisher/driver.ts";
import type { PublisherSettings } from "../event-publisher/settings.ts";
import type { ProtocolContext, ProtocolPart, SettleReport } from "../index.ts";
import { Check } from "./check.ts";
import { Lease } from "./lease.ts";
import { Pipeline, type Round } from "./pipeline.ts";
import { type Request, Requests } from "./requests.ts";
import { keepLease, Session, watchChanges } from "./session.ts";
import type { RelaySubject } from "./subject.ts";
import type { Waiter, WriteOutcome } from "./waiters.ts";

export interface RelaySettings {
  readonly relayIntervalMs: number;
  readonly leaseMs: number;
  readonly relayBatchSize: number;
  readonly maxInFlight: number;
  readonly publishWaitMs: number;
}

export interface RelayParts {
  readonly dao: ProtocolPart<DaoDriver>;
  readonly eventPublisher: ProtocolPart<EventPublisherDriver>;
}

/** What `health()` shows of a relay. */
export type RelayReport = {
  /** `leading`: this process publishes; `standby`: another does; `idle`: only `publishPending` publishes. */
  readonly state: "idle" | "standby" | "leading" | "stopped";
  /** Documents that were still to be published when last looked at. */
  readonly backlog: number | undefined;
  readonly inFlight: number;
  /** Since the start, by this process. */
  readonly published: number;
  readonly failed: number;
  /** Documents that cannot be published as they are. */
  readonly setAside: number;
  /** Why nothing goes on at present. */
  readonly trouble?: string;
};

const troublePauseMs = { first: 100, most: 5_000 };
/** How long a relay may take to finish when the registry closes: what it leaves is safe in the database. */
const stopMs = 5_000;
/** How long `publishPending` waits for another process that makes no progress, or for a database that is away. */
const patienceMs = 30_000;
const leastPauseMs = 10;
const gathering = { from: 16, ms: 10 };
const backlogIntervalMs = 5_000;
/** How long ending what hangs is waited for. */
const endMs = 1_000;

/** Publishes what is pending in one collection, as long as it holds the collection's lease. */
export class Relay {
  readonly #subject: RelaySubject;
  readonly #settings: RelaySettings;
  readonly #context: ProtocolContext<RelaySettings>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #dao: DaoDriver;
  readonly #calls: DaoCalls;
  readonly #lease: Lease;
  readonly #pipeline: Pipeline;
  readonly #check: Check;
  readonly #stopping = new AbortController();
  readonly #stopped = new AbortController();
  #isAutomatic = false;
  #running: Promise<void> | undefined;
  #session: Session | undefined;
  #state: RelayReport["state"] = "idle";
  #isWoken = false;
  #sleeper: AbortController | undefined;
  readonly #requests = new Requests();
  #trouble: HexkitError | undefined;
  #pauseMs = 0;
  /** Since it last rested. */
  #hasFailed = false;
  #hasSucceeded = false;
  #backlog: number | undefined;
  #countedAt = Number.NEGATIVE_INFINITY;

  constructor(subject: RelaySubject, { dao, eventPublisher }: RelayParts, context: ProtocolContext<RelaySettings>) {
    this.#subject = subject;
    this.#settings = context.settings;
    this.#context = context;
    this.#clock = context.clock;
    this.#logger = context.logger;
    this.#dao = dao.driver;
    const batchSize = Math.min(context.settings.relayBatchSize, context.settings.maxInFlight);
    const daoContext = dao.context as unknown as ProtocolContext<DaoSettings>;
    this.#calls = new DaoCalls({ ...daoContext, settings: { ...daoContext.settings, batchSize } });
    this.#lease = new Lease(subject.lease, dao.driver, this.#calls, context.settings.leaseMs);
    this.#pipeline = new Pipeline({
      subject,
      dao: dao.driver,
      calls: this.#calls,
      publisher: eventPublisher.driver,
      publisherContext: eventPublisher.context as unknown as ProtocolContext<PublisherSettings>,
      logger: context.logger,
      maxInFlight: context.settings.maxInFlight,
      isLeader: () => this.#lease.isHeld,
      wake: () => this.wake(),
      trouble: (error) => this.#enterTrouble(error),
      recovered: () => {
        this.#hasSucceeded = true;
      },
    });
    const { waiters } = this.#pipeline;
    this.#check = new Check(subject, this.#dao, this.#calls, waiters, this.#stopped.signal, () => this.#state === "leading");
    for (const { signal } of [this.#stopping, this.#stopped]) setMaxListeners(0, signal);
  }

  /** Publishes from now on whatever is pending, now and later. Safe twice. */
  start(): void {
    this.#isAutomatic = true;
    this.#run();
  }

  wake(): void {
    this.#isWoken = true;
    this.#sleeper?.abort();
  }

  report(): RelayReport {
    const { inFlight, published, failed, aside } = this.#pipeline;
    const trouble = this.#trouble === undefined ? {} : { trouble: this.#trouble.message };
    return { state: this.#state, backlog: this.#backlog, inFlight, published, failed, setAside: aside.size, ...trouble };
  }

  /** What is still to be published, if it is published at all without being asked for. */
  async openWork(signal: AbortSignal): Promise<SettleReport> {
    const { collection, pending } = this.#subject;
    const { inFlight, published, aside } = this.#pipeline;
    const mark = `${collection} ${published}`;
    if (!this.isAutomatic && this.#requests.size === 0)
      return { open: inFlight === 0 ? [] : [`collection ${collection}: ${inFlight} being published`], mark };
    const backlog = await this.#calls.run("count", collection, { signal }, (inCall) => this.#dao.count(collection, pending, inCall));
    if (backlog === 0) return { open: [], mark };
    if (aside.size >= backlog && inFlight === 0)
      throw this.#context.error(
        "ERR_HEXKIT_NOT_SETTLED",
        `collection ${collection}: ${backlog} cannot be published as they are; the log says why`,
      );
    const trouble = this.#trouble === undefined ? "" : ` (${this.#trouble.message})`;
    return { open: [`collection ${collection}: ${backlog} still to be published${trouble}`], mark };
  }

  get isAutomatic(): boolean {
    return this.#isAutomatic && !this.#stopping.signal.aborted;
  }

  /** Before a write whose publication is to be waited for. */
  expect(id: DocumentId, revision: string): Waiter {
    return this.#pipeline.waiters.expect(id, revision);
  }

  /** After a write that failed. */
  forget(waiters: readonly Waiter[]): void {
    for (const waiter of waiters) this.#pipeline.waiters.forget(waiter);
  }

  /** After a write: wakes the relay, and waits for what becomes of each document for `publishWaitMs` or until the signal aborts. */
  async written(waiters: readonly Waiter[], options: CallOptions = {}): Promise<readonly WriteOutcome[]> {
    const { publishWaitMs } = this.#settings;
    const outcomes = waiters.map((waiter) => this.#pipeline.waiters.wait(waiter, publishWaitMs, this.#clock, options.signal));
    if (this.isAutomatic) this.wake();
    void this.#check.run();
    return Promise.all(outcomes);
  }

  /** Resolves when every document that is pending now has been published; rejects once each has been tried and some failed. */
  async publishPending({ signal }: CallOptions = {}): Promise<void> {
    const about = `publishPending ${this.#subject.collection}`;
    if (this.#stopping.signal.aborted) throw this.#context.error("ERR_HEXKIT_CLOSED", `${about}: after the registry closed`);
    const request = this.#requests.add();
    const onAbort = (): void => {
      this.#requests.withdraw(request);
      request.answer.reject(this.#context.error("ERR_HEXKIT_ABORTED", `${about}: aborted by its signal`, signal?.reason));
    };
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#run();
    this.wake();
    try {
      await request.answer.promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    const [first] = request.failures;
    if (first === undefined) return;
    const count = request.failures.length;
    throw new HexkitError(first.code, `${about}: ${count} could not be published${count > 1 ? ", first of all" : ""}: ${first.message}`, {
      cause: first,
      origin: first.origin,
      failures: request.failures.slice(0, 100),
      redact: (text) => this.#context.redact(text),
    });
  }

  /** Publishes what is pending, as far as that goes on and time permits, then gives the lease back. */
  async stop(signal: AbortSignal): Promise<void> {
    const late = new AbortController();
    const giveUp = (): void => late.abort();
    const end = (): void => this.#session?.end();
    late.signal.addEventListener("abort", end, { once: true });
    signal.addEventListener("abort", giveUp, { once: true });
    const timer = setTimeout(giveUp, stopMs);
    if (signal.aborted) giveUp();
    this.#stopping.abort();
    this.wake();
    await this.#running;
    clearTimeout(timer);
    signal.removeEventListener("abort", giveUp);
    this.#stopped.abort();
    await this.#pipeline.stop();
    this.#requests.failAll(this.#context.error("ERR_HEXKIT_CLOSED", `publishPending ${this.#subject.collection}: the registry closed`));
    this.#state = "stopped";
  }

  #run(): void {
    if (this.#running !== undefined) return;
    this.#running = this.#loop().finally(() => {
      this.#running = undefined;
      // Asked for in the very moment in which the loop ended.
      if (this.#isWanted) this.#run();
    });
  }

  get #isWanted(): boolean {
    return !this.#stopping.signal.aborted && (this.#isAutomatic || this.#requests.size > 0);
  }

  async #loop(): Promise<void> {
    let progressAt = this.#clock.now();
    for (let failures = 0; this.#isWanted; ) {
      try {
        const answer = await this.#lease.acquire(this.#stopping.signal);
        failures = 0;
        this.#leaveTrouble();
        if (answer.granted) {
          await this.#lead(new Session(answer.fence));
          progressAt = this.#clock.now();
        } else {
          this.#state = "standby";
          if (await this.#watchProgress()) progressAt = this.#clock.now();
          this.#loseRequestsAfter(progressAt, undefined);
          // Not woken: what is written here is published elsewhere.
          const ms = Math.min(this.#settings.relayIntervalMs, Math.max(answer.expiresInMs, leastPauseMs));
          await this.#clock.sleep(ms, this.#stopping.signal);
        }
      } catch (error) {
        if (this.#stopping.signal.aborted) break;
        this.#enterTrouble(error as HexkitError);
        this.#loseRequestsAfter(progressAt, error as HexkitError);
        failures += 1;
        await this.#clock.sleep(pause(failures), this.#stopping.signal);
      }
    }
    if (this.#state !== "stopped") this.#state = "idle";
  }

  /** Publishes until the lease is lost, nothing is wanted any more, or the registry closes. */
  async #lead(session: Session): Promise<void> {
    this.#session = session;
    this.#state = "leading";
    session.signal.addEventListener("abort", () => this.wake(), { once: true });
    const wake = (): void => this.wake();
    const { collection } = this.#subject;
    const tasks = [keepLease(session, this.#lease, this.#calls, (error) => this.#enterTrouble(error))];
    if (this.#isAutomatic && this.#dao.capabilities.watch)
      tasks.push(watchChanges(session, this.#dao, this.#calls, collection, this.#logger, wake));
    try {
      while (!session.isOver) {
        const isLast = !this.#isWanted;
        // When the registry closes, what was written meanwhile goes out, unless that does not go on anyway.
        if (isLast && (!this.#isAutomatic || this.#trouble !== undefined)) break;
        this.#isWoken = false;
        await this.#round(session, this.#requests.take());
        if (isLast) break;
        await this.#rest(session);
      }
      if (this.#trouble === undefined) await session.until(this.#pipeline.settled());
    } catch (error) {
      if (!session.isOver) throw error;
    } finally {
      session.end();
      this.#session = undefined;
      await settlesWithin(Promise.all(tasks), endMs);
      await this.#giveBack();
    }
  }

  async #round(session: Session, requests: readonly Request[]): Promise<void> {
    const round: Round = { seen: 0, skipped: 0, failures: [] };
    const { waiters } = this.#pipeline;
    const { collection, pending: filter, sort } = this.#subject;
    try {
      let turn = waiters.turn();
      const batches = findBatches(this.#dao, this.#calls, collection, { filter, sort }, { signal: session.signal });
      for await (const batch of batches) {
        await this.#pipeline.begin(session, round, batch, turn, requests.length > 0);
        await this.#pipeline.room(session, this.#calls.context.settings.batchSize);
        turn = waiters.turn();
      }
      this.#backlog = round.seen;
      if (requests.length > 0) await session.until(this.#pipeline.settled());
    } catch (error) {
      this.#requests.putBack(requests);
      throw error;
    }
    this.#requests.advance(requests, round, !session.isOver && round.skipped === 0);
  }

  /** Until there is something to do. What is in trouble is not pressed. */
  async #rest(session: Session): Promise<void> {
    const isBusy = (): boolean => session.isOver || !this.#isWanted || this.#requests.size > 0;
    if (this.#hasFailed) this.#pauseMs = Math.min(troublePauseMs.most, Math.max(troublePauseMs.first, this.#pauseMs * 2));
    else if (this.#hasSucceeded) this.#leaveTrouble();
    if (this.#hasSucceeded) this.#pauseMs = Math.min(this.#pauseMs, troublePauseMs.first);
    this.#hasFailed = false;
    this.#hasSucceeded = false;
    // Under load a few more come together, for the price of a moment.
    if (this.#pauseMs === 0 && this.#pipeline.inFlight >= gathering.from && !isBusy())
      await this.#clock.sleep(gathering.ms, session.signal);
    const until = this.#clock.now() + this.#pauseMs;
    while (!isBusy() && this.#clock.now() < until) await this.#sleep(until - this.#clock.now());
    if (!isBusy() && !this.#isWoken && this.#pauseMs === 0) await this.#sleep(this.#settings.relayIntervalMs);
  }

  async #giveBack(): Promise<void> {
    const inTime = new AbortController();
    const timer = setTimeout(() => inTime.abort(), 1_000);
    // If it cannot be given back, its time runs out.
    await this.#lease.release(inTime.signal).catch(() => undefined);
    clearTimeout(timer);
  }

  /** Counts what another process has still to publish; resolves to whether that became less. */
  async #watchProgress(): Promise<boolean> {
    const isAsked = this.#requests.size > 0;
    if (!isAsked && this.#clock.now() - this.#countedAt < backlogIntervalMs) return false;
    const { collection, pending } = this.#subject;
    const before = this.#backlog ?? Number.POSITIVE_INFINITY;
    this.#backlog = await this.#calls.run("count", collection, { signal: this.#stopping.signal }, (inCall) =>
      this.#dao.count(collection, pending, inCall),
    );
    this.#countedAt = this.#clock.now();
    if (this.#backlog === 0) this.#requests.satisfyAll();
    return this.#backlog < before;
  }

  #loseRequestsAfter(progressAt: number, cause: HexkitError | undefined): void {
    if (this.#requests.size === 0 || this.#clock.now() - progressAt < patienceMs) return;
    const fact = cause?.message ?? `another process holds the lease and published nothing for ${patienceMs} ms`;
    const about = `publishPending ${this.#subject.collection}: ${fact}`;
    this.#requests.failAll(this.#context.error("ERR_HEXKIT_TIMEOUT", about, cause));
  }

  async #sleep(ms: number): Promise<void> {
    const sleeper = new AbortController();
    this.#sleeper = sleeper;
    await this.#clock.sleep(ms, sleeper.signal);
    this.#sleeper = undefined;
  }

  #enterTrouble(error: HexkitError): void {
    if (this.#trouble === undefined)
      this.#logger.warn({ error }, `the relay of ${this.#subject.collection} is in trouble and goes on trying`);
    this.#trouble = error;
    this.#hasFailed = true;
  }

  #leaveTrouble(): void {
    if (this.#trouble !== undefined) this.#logger.info({}, `the relay of ${this.#subject.collection} is well again`);
    this.#trouble = undefined;
    this.#pauseMs = 0;
  }
}

/** Doubles, with jitter. */
function pause(failures: number): number {
  return Math.min(troublePauseMs.most, troublePauseMs.first * 2 ** Math.min(failures - 1, 10)) * (0.5 + Math.random() / 2);
}
