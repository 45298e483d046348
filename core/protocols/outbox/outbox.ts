import type { CallOptions } from "../../call.ts";
import type { Schema, SchemaOutput } from "../../schema.ts";
import type { Dao, DaoSpec, DaoTransaction } from "../dao/dao.ts";
import type { Payload } from "../event-publisher/event-publisher.ts";

/** What the documents of one collection are, and what their events are. */
export interface OutboxSpec<S extends Schema = Schema> extends DaoSpec<S> {
  /** The topic of the events, best one for each collection. ASCII. */
  readonly topic: string;
  /**
   * Makes an event's payload, the full state, from a document as it is stored. `null`: this state has no event. Must depend on nothing else: it is called
   * again for each repetition.
   */
  toEvent(dto: SchemaOutput<S>): Payload | null | Promise<Payload | null>;
  /** Whether events are published by themselves; otherwise only `publishPending` and `republish` publish. Default: true. */
  readonly autoPublish?: boolean;
}

/**
 * A DAO whose every write is published: `upserted` with the full state after insert, update and upsert, `deleted` with an empty payload after delete, under
 * the id as key and the write's correlation id. Consume them with `daoTranslator`.
 *
 * Document and event never disagree: what is to be published is part of the document, and a relay publishes it, in this process or another, also after a crash. The
 * events of one id come in the order of its writes; states that are written faster than they are published may be left out, the last never is; an event
 * may come twice. A write waits until its event is published, at most the setting `publishWaitMs`; it succeeds also if that fails, since it is stored and
 * will be published. Inside a transaction it does not wait: nothing is published before the commit.
 *
 * Deleted documents leave their id behind, so that the deletion can be published again; `insert` and `upsert` may take it anew. Unique
 * indexes leave out documents that have none of their fields. Documents that were never written through an outbox count as live, and get an event by their next
 * write or by `republish`.
 *
 * @throws as `Dao`; also ERR_HEXKIT_NOT_ASCII for an id that cannot be a key, and ERR_HEXKIT_CORRELATION_ID_MISSING outside any correlation context if the
 * publisher's `generateCorrelationId` is off. Nothing is written then.
 */
export interface Outbox<Dto> extends Dao<Dto> {
  /**
   * Publishes what is pending now. Resolves when all of it is published, by whichever process.
   * @throws when each has been tried and some failed: the first one's error, with all in `failures`. ERR_HEXKIT_TIMEOUT if another process publishes and
   * makes no progress for 30 s, or the database is away as long; ERR_HEXKIT_ABORTED, ERR_HEXKIT_CLOSED.
   */
  publishPending(options?: CallOptions): Promise<void>;
  /**
   * Publishes the present state of every document again, deletions included, under a new event id and the stored correlation id. Marks all as
   * pending, a few at a time, and then does as `publishPending`. If it is interrupted, what was marked is published all the same.
   */
  republish(options?: CallOptions): Promise<void>;
  /** The same as part of a transaction of the binding that the setting `dao` names. What it writes is published after the commit. */
  in(transaction: DaoTransaction): Dao<Dto>;
}

export interface OutboxFactory {
  /**
   * Gives the outbox of one collection, makes missing indexes as `DaoFactory.open` does, and begins to publish what is pending. A collection may be opened more than
   * once with the same topic; the first `toEvent` counts.
   * @throws as `DaoFactory.open`; ERR_HEXKIT_INVALID_ARGUMENT for a bad topic or `toEvent`, or another topic than before; ERR_HEXKIT_NOT_ASCII;
   * ERR_HEXKIT_UNSUPPORTED if the database has no leases.
   */
  open<const S extends Schema>(spec: OutboxSpec<S>, options?: CallOptions): Promise<Outbox<SchemaOutput<S>>>;
}
