import { setMaxListeners } from "node:events";
import { HexkitError } from "../../errors.ts";
import type { Logger } from "../../logging.ts";
import { producerSpan } from "../../telemetry.ts";
import type { DaoCalls } from "../dao/calls.ts";
import type { DaoDriver, StoredDocument } from "../dao/driver.ts";
import type { EventPublisherDriver, OutgoingRecord } from "../event-publisher/driver.ts";
import { SendQueue } from "../event-publisher/send-queue.ts";
import type { PublisherSettings } from "../event-publisher/settings.ts";
import type { ProtocolContext } from "../index.ts";
import { Flags } from "./flags.ts";
import type { Session } from "./session.ts";
import { SetAside } from "./set-aside.ts";
import { type Emission, idText, type RelaySubject } from "./subject.ts";
import { Waiters } from "./waiters.ts";

export interface PipelineSurroundings {
  readonly subject: RelaySubject;
  readonly dao: DaoDriver;
  readonly calls: DaoCalls;
  readonly publisher: EventPublisherDriver;
  readonly publisherContext: ProtocolContext<PublisherSettings>;
  readonly logger: Logger;
  readonly maxInFlight: number;
  /** Asked right before each send. */
  isLeader(): boolean;
  /** There is more to publish. */
  wake(): void;
  /** Something failed that may pass. */
  trouble(error: HexkitError): void;
  recovered(): void;
}

/** What one reading of all that is pending came to. */
export interface Round {
  /** Documents that were pending. */
  seen: number;
  /** Not begun, because they or an earlier one of their group were under way. */
  skipped: number;
  readonly failures: HexkitError[];
}

interface Group {
  readonly batch: readonly StoredDocument[];
  count: number;
  /** Another document of it waits. */
  isAwaited: boolean;
}

/** Publishes pending documents, many at once but of each group one after the other, and marks them. */
export class Pipeline {
  readonly waiters = new Waiters();
  readonly aside: SetAside;
  readonly #with: PipelineSurroundings;
  readonly #queue: SendQueue;
  readonly #flags: Flags;
  readonly #stopped = new AbortController();
  /** By document. */
  readonly #flights = new Map<string, Promise<void>>();
  readonly #groups = new Map<string, Group>();
  #landed: (() => void)[] = [];
  published = 0;
  failed = 0;

  constructor(surroundings: PipelineSurroundings) {
    this.#with = surroundings;
    const { publisher, publisherContext, calls, dao, subject, trouble, wake } = surroundings;
    this.aside = new SetAside(calls.context.clock);
    this.#flags = new Flags(dao, calls, subject.collection, this.#stopped.signal, wake, trouble);
    this.#queue = new SendQueue({
      driver: this.#fenced(publisher),
      clock: calls.context.clock,
      logger: surroundings.logger,
      deliveryTimeoutMs: publisherContext.settings.deliveryTimeoutMs,
      mapError: (error, operation, about) => publisherContext.mapError(error, operation, about),
      error: (code, message, cause) => publisherContext.error(code, message, cause),
    });
    setMaxListeners(0, this.#stopped.signal);
  }

  /** Under way: being made, sent or marked. */
  get inFlight(): number {
    return this.#flights.size;
  }

  /** Begins with those documents of a batch that may be published now. `turn`: when the batch was asked for. */
  async begin(session: Session, round: Round, batch: readonly StoredDocument[], turn: number, isForced: boolean): Promise<void> {
    round.seen += batch.length;
    const flights: { document: StoredDocument; group: string; land: () => void }[] = [];
    for (const document of batch) {
      const group = this.#admit(document, batch, round, isForced);
      if (group !== undefined) flights.push({ document, group, land: this.#takeOff(document, group) });
    }
    // In order; each is numbered before the next.
    const emissions = await Promise.all(flights.map(({ document }) => this.#emit(document, session)));
    const blocked = new Set<string>();
    emissions.forEach((emission, index) => {
      const { document, group, land } = flights[index] as (typeof flights)[number];
      if (session.isOver || blocked.has(group)) land();
      else if (emission instanceof HexkitError) {
        if (emission.retryable) blocked.add(group);
        this.#fail(round, document, undefined, turn, emission);
        land();
      } else if (emission === undefined) {
        land();
        this.#with.wake();
      } else this.#send(session, round, document, emission, turn, land);
    });
  }

  /** Resolves when there is room for another batch, or the session is over. */
  async room(session: Session, batchSize: number): Promise<void> {
    const most = Math.max(0, this.#with.maxInFlight - batchSize);
    while (this.inFlight > most && !session.isOver) {
      await session.until(new Promise<void>((resolve) => this.#landed.push(resolve)));
    }
  }

  /** Resolves when all that is under way now has come to its end. */
  async settled(): Promise<void> {
    await Promise.all(this.#flights.values());
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.waiters.answer(this.waiters.all(), "late");
    await this.#queue.flush(this.#stopped.signal);
    await this.settled();
  }

  /** The group of a document that may be begun with. */
  #admit(document: StoredDocument, batch: readonly StoredDocument[], round: Round, isForced: boolean): string | undefined {
    const id = idText(document._id);
    // What is under way may be an older state of it.
    if (this.#flights.has(id)) {
      round.skipped += 1;
      return undefined;
    }
    const name = this.#with.subject.group(document);
    const group = this.#groups.get(name);
    // Together with others of the same batch is fine: nothing of them has been sent, and the queue keeps their order.
    if (group !== undefined && group.batch !== batch) {
      group.isAwaited = true;
      round.skipped += 1;
      return undefined;
    }
    if (!isForced && this.aside.holds(id, this.#with.subject.revision(document))) return undefined;
    if (group === undefined) this.#groups.set(name, { batch, count: 1, isAwaited: false });
    else group.count += 1;
    return name;
  }

  #takeOff(document: StoredDocument, name: string): () => void {
    const id = idText(document._id);
    let land!: () => void;
    this.#flights.set(
      id,
      new Promise((resolve) => {
        land = resolve;
      }),
    );
    return () => {
      this.#flights.delete(id);
      const group = this.#groups.get(name) as Group;
      group.count -= 1;
      if (group.count === 0) {
        this.#groups.delete(name);
        if (group.isAwaited) this.#with.wake();
      }
      land();
      for (const landed of this.#landed.splice(0)) landed();
    };
  }

  async #emit(document: StoredDocument, session: Session): Promise<Emission | undefined | HexkitError> {
    const { subject, calls } = this.#with;
    try {
      return await subject.emit(document, session.sequence(), session.signal);
    } catch (error) {
      return calls.context.mapError(error, "publish", subject.describe(document));
    }
  }

  #send(session: Session, round: Round, document: StoredDocument, emission: Emission, turn: number, land: () => void): void {
    const { event, id, revision } = emission;
    const mark = (): void =>
      this.#flags.set(emission, () => {
        this.published += 1;
        this.aside.forget(idText(id));
        land();
        this.waiters.answer(this.waiters.of(id, revision, turn), "published");
        this.#with.recovered();
      });
    if (event === undefined) {
      mark();
      return;
    }
    const { record, eventId } = event;
    const attributes = { system: this.#with.publisherContext.system, topic: record.topic, eventId };
    const sending = producerSpan(attributes, (trace) => this.#queue.add(traced(record, trace), session.signal));
    sending.then(mark, (error: HexkitError) => {
      // Without the lease it was not sent, or whoever holds it now sends it again.
      if (!this.#with.isLeader()) session.end();
      else if (!session.isOver && error.code !== "ERR_HEXKIT_ABORTED") this.#fail(round, document, emission, turn, error);
      land();
    });
  }

  #fail(round: Round, document: StoredDocument, emission: Emission | undefined, turn: number, error: HexkitError): void {
    const { logger, subject } = this.#with;
    this.failed += 1;
    round.failures.push(error);
    if (error.retryable) this.#with.trouble(error);
    else {
      this.aside.put(idText(document._id), subject.revision(document));
      logger.warn({ error }, `${subject.describe(document)} cannot be published as it is; it is set aside and tried again now and then`);
    }
    this.waiters.answer(this.waiters.of(document._id, emission?.revision ?? "", turn), error);
  }

  /** A driver that sends nothing when the lease is not certainly ours. */
  #fenced(driver: EventPublisherDriver): EventPublisherDriver {
    const { isLeader, publisherContext } = this.#with;
    return {
      get maxRecordBytes() {
        return driver.maxRecordBytes;
      },
      prepare: (topic, options) => driver.prepare(topic, options),
      lane: (record) => driver.lane(record),
      send: async (lane, records, options) => {
        if (!isLeader()) throw publisherContext.error("ERR_HEXKIT_ABORTED", "publish: the relay's lease was over; it was not sent");
        return driver.send(lane, records, options);
      },
    };
  }
}

function traced(record: OutgoingRecord, trace: readonly (readonly [string, string])[]): OutgoingRecord {
  return trace.length === 0 ? record : { ...record, headers: [...record.headers, ...trace] };
}
