import type { LeaseAnswer, LeaseClaim } from "../../core/index.ts";
import type { Document, MongodbClient, RawCollection } from "./client.ts";
import { isDuplicateId } from "./errors.ts";

const name = "hexkit_leases";
const isOver = { $lte: [{ $ifNull: ["$expires_at", new Date(0)] }, "$$NOW"] };
const remaining = { $subtract: ["$expires_at", "$$NOW"] };

/** Leases in a collection of their own, by the server's time (`$$NOW`). A document stays for ever, because it remembers the fence. */
export class Leases {
  readonly #leases: RawCollection;

  constructor(client: MongodbClient) {
    this.#leases = client.collection(name);
  }

  async acquire({ name, owner, ttlMs }: LeaseClaim, options: Document): Promise<LeaseAnswer> {
    // In one write, so that reading and deciding happen at the same moment of the server's time.
    const mine = { $and: [{ $eq: ["$owner", { $literal: owner }] }, { $not: [isOver] }] };
    const free = { $or: [isOver, { $eq: ["$owner", { $literal: owner }] }] };
    const grant = (field: string, value: unknown): Document => ({ [field]: { $cond: [free, value, `$${field}`] } });
    const update = [
      {
        $set: {
          ...grant("fence", { $cond: [mine, "$fence", { $add: [{ $ifNull: ["$fence", 0] }, 1] }] }),
          ...grant("owner", { $literal: owner }),
          ...grant("expires_at", { $add: ["$$NOW", ttlMs] }),
        },
      },
    ];
    for (;;) {
      try {
        const lease: Document | null = await this.#leases.findOneAndUpdate({ _id: name }, update, {
          ...options,
          upsert: true,
          returnDocument: "after",
          projection: { owner: 1, fence: 1, remaining },
        });
        if (lease?.owner === owner) return { granted: true, fence: lease.fence };
        return { granted: false, expiresInMs: Math.max(0, Number(lease?.remaining ?? 0)) };
      } catch (error) {
        // Two made it at the same time.
        if (!isDuplicateId(error)) throw error;
      }
    }
  }

  async renew({ name, owner, ttlMs, fence }: LeaseClaim & { readonly fence: number }, options: Document): Promise<boolean> {
    const held = { _id: name, owner, fence, $expr: { $not: [isOver] } };
    const { matchedCount } = await this.#leases.updateOne(held, [{ $set: { expires_at: { $add: ["$$NOW", ttlMs] } } }], options);
    return matchedCount === 1;
  }

  async release({ name, owner, fence }: { name: string; owner: string; fence: number }, options: Document): Promise<void> {
    await this.#leases.updateOne({ _id: name, owner, fence }, { $set: { owner: null, expires_at: new Date(0) } }, options);
  }
}
