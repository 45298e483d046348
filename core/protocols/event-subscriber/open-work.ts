import type { HexkitError } from "../../errors.ts";
import { factOf } from "../../redaction.ts";
import type { ProtocolContext, SettleReport } from "../index.ts";
import type { PartitionExtent, TopicAccess } from "./driver.ts";
import type { Subscription } from "./event-subscriber.ts";
import type { Task } from "./partition.ts";

/** What the engine of a subscription knows and the broker does not. */
export interface EngineWork {
  readonly inFlight: number;
  /** They wait for their next attempt. */
  readonly waiting: readonly Pick<Task, "record" | "failures" | "firstError">[];
  readonly failure: HexkitError | undefined;
}

/** A subscription that acknowledges what is settled when it is asked for its work. */
type Working = Pick<Subscription, "group" | "topics" | "state" | "stats"> & { work(): Promise<EngineWork> };

/** Tells what subscriptions have still to handle: by what the broker remembers of their groups, so that other members of a group count as well. */
export class OpenWork {
  readonly #access: TopicAccess | undefined;
  readonly #context: Pick<ProtocolContext, "call" | "error">;
  /** By partition of a group: position and end when it was last looked at. */
  readonly #looks = new Map<string, string>();
  /** By partition of a group: up to where there was nothing but what a broker keeps for itself. */
  readonly #hollow = new Map<string, number>();

  constructor(access: TopicAccess | undefined, context: Pick<ProtocolContext, "call" | "error">) {
    this.#access = access;
    this.#context = context;
  }

  /** @throws ERR_HEXKIT_NOT_SETTLED if one has failed, ERR_HEXKIT_UNSUPPORTED if the driver cannot look at topics. */
  async report(subscriptions: readonly Working[], signal: AbortSignal): Promise<SettleReport> {
    const reports = await Promise.all(subscriptions.map((each) => this.#ofOne(each, signal)));
    return { open: reports.flatMap(({ open }) => open), mark: reports.map(({ mark }) => mark).join() };
  }

  async #ofOne(subscription: Working, signal: AbortSignal): Promise<SettleReport> {
    const { group, topics } = subscription;
    const about = `group ${JSON.stringify(group)}`;
    if (subscription.state === "stopped") return { open: [], mark: "" };
    const access = this.#access;
    if (access === undefined)
      throw this.#context.error("ERR_HEXKIT_UNSUPPORTED", `${about}: the plugin cannot tell where its groups stand`);
    const { inFlight, waiting, failure } = await subscription.work();
    if (failure !== undefined)
      throw this.#context.error("ERR_HEXKIT_NOT_SETTLED", `the subscription of ${about} has failed: ${failure.message}`, failure);
    // The counters before the broker: what is settled in between makes another report.
    const { received, handled, retried, trouble } = subscription.stats();
    const [extents, positions] = await this.#context.call("read", `what is open of ${about}`, { signal }, () =>
      Promise.all([access.extents(topics, { signal }), access.positions(group, topics, { signal })]),
    );
    const open: string[] = [];
    for (const extent of extents) {
      const known = positions.find((at) => at.topic === extent.topic && at.partition === extent.partition)?.offset;
      const at = Math.max(extent.start, known ?? extent.start);
      if (at >= extent.end || (await this.#isHollow(about, { ...extent, start: at }, inFlight, signal))) continue;
      const many = extent.end - at;
      open.push(`${about}: ${many} unhandled from offset ${at} of topic ${JSON.stringify(extent.topic)}, partition ${extent.partition}`);
    }
    for (const { record, failures, firstError } of waiting) {
      const place = `topic ${JSON.stringify(record.topic)}, partition ${record.partition}, offset ${record.offset}`;
      open.push(`${about}: the event at ${place} failed (${failures}) and waits to be tried again: ${factOf(firstError)}`);
    }
    if (inFlight > waiting.length) open.push(`${about}: ${inFlight - waiting.length} in the hands of translators or waiting for them`);
    if (subscription.state === "starting" || subscription.state === "stopping")
      open.push(`${about}: the subscription is ${subscription.state}`);
    if (trouble !== undefined && open.length > 0) open.push(`${about}: ${trouble}`);
    const ends = extents.map(({ topic, partition, end }) => `${topic}/${partition}:${end}`);
    return { open, mark: [group, subscription.state, received, handled, retried, ...ends].join() };
  }

  /** Whether what is left of a partition holds no record, as behind transactions or where a broker has compacted: a group never gets past it. */
  async #isHollow(about: string, extent: PartitionExtent, inFlight: number, signal: AbortSignal): Promise<boolean> {
    const key = `${about} ${extent.topic}/${extent.partition}`;
    if (this.#hollow.get(key) === extent.end) return true;
    const look = `${extent.start}-${extent.end}`;
    // Only what has not moved since the last look: else records are on their way.
    const isStill = inFlight === 0 && this.#looks.get(key) === look;
    this.#looks.set(key, look);
    if (!isStill) return false;
    for await (const records of (this.#access as TopicAccess).read(extent, { signal })) if (records.length > 0) return false;
    this.#hollow.set(key, extent.end);
    return true;
  }
}
