import type { Logger } from "../../logging.ts";
import type { SubscriptionState } from "./event-subscriber.ts";

/** Where a trouble comes from: the source, the joining again after it gave up, a handler that does not end. */
export type TroubleKind = "source" | "rejoin" | "stall";

/** A subscription's state and what is in its way, with a log line for every change. */
export class Condition {
  state: SubscriptionState = "starting";
  readonly #group: string;
  readonly #logger: Logger;
  readonly #reasons: Partial<Record<TroubleKind, string | undefined>> = {};

  constructor(group: string, logger: Logger) {
    this.#group = group;
    this.#logger = logger;
  }

  /** Why the subscription is not well, the broker's reasons first. */
  get trouble(): string | undefined {
    return this.#reasons.source ?? this.#reasons.rejoin ?? this.#reasons.stall;
  }

  /** Partitions, or none, have been assigned. */
  joined(): void {
    if (this.state === "starting") this.state = "running";
    this.show("rejoin", undefined);
  }

  /** Something is in the way, or is no longer. */
  show(kind: TroubleKind, reason: string | undefined, error?: unknown): void {
    const [before, well] = [this.#reasons[kind], this.trouble === undefined];
    this.#reasons[kind] = reason;
    if (reason !== undefined && reason !== before)
      this.#logger.warn({ group: this.#group, reason, ...(error !== undefined && { error }) }, "subscription is degraded");
    else if (!well && this.trouble === undefined) this.#logger.info({ group: this.#group }, "subscription is well again");
    if (this.state === "running" || this.state === "degraded") this.state = this.trouble === undefined ? "running" : "degraded";
  }
}
