import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { isHexkitError, openRegistry, type Registry } from "../../core/index.ts";
import { plugin } from "../../plugins/mongodb/index.ts";
import { databaseName } from "../services/mongodb.ts";
import { type ScriptedServer, startServer } from "../services/server.mjs";

// R22, as far as one node allows: the primary is killed and started again while transactions run.

export interface OutagePlan {
  readonly workers: number;
  readonly kills: number;
  /** Transactions that are committed between two kills, at least. */
  readonly between: number;
}

export interface OutageFigures {
  readonly committed: number;
  readonly unknown: number;
  readonly refused: number;
  readonly attempts: number;
  readonly longestMs: number;
  readonly recoveryMs: number;
}

const accounts = 6;
const timeoutMs = 30_000;
const amount = { type: "object", required: ["id", "amount"], properties: { id: { type: "string" }, amount: { type: "integer" } } } as const;
const entry = {
  type: "object",
  required: ["id", "from", "to", "amount"],
  properties: { id: { type: "string" }, from: { type: "string" }, to: { type: "string" }, amount: { type: "integer" } },
} as const;

export async function openOwn(server: ScriptedServer, settings: object = {}, options: object = {}): Promise<Registry> {
  return openRegistry({
    config: {
      providers: {
        db: { plugin: "mongodb", options: { dsn: server.addresses.MONGODB_DSN as string, database: databaseName(), ...options } },
      },
      protocols: { dao: { provider: "db", transactionTimeoutMs: timeoutMs, ...settings } },
    },
    env: {},
    plugins: [plugin],
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  });
}

/** Moves money between accounts, two updates and an insert at a time, while the server is killed. Every ledger entry must be whole, and nothing be lost. */
export async function transactionsOverOutages({ workers, kills, between }: OutagePlan): Promise<OutageFigures> {
  const server = await startServer("mongodb");
  try {
    await using registry = await openOwn(server);
    const factory = registry.get("dao");
    const balances = await factory.open({ name: "accounts", schema: amount, idField: "id" });
    const ledger = await factory.open({ name: "ledger", schema: entry, idField: "id" });
    await balances.insertMany(Array.from({ length: accounts }, (_, n) => ({ id: `a${n}`, amount: 0 })));
    const outcomes = new Map<string, "committed" | "unknown" | "refused">();
    const count = (what: string): number => [...outcomes.values()].filter((outcome) => outcome === what).length;
    let [attempts, longestMs, over] = [0, 0, false];
    const surprises: unknown[] = [];
    let lastCommitMs = performance.now();
    const transfer = async (): Promise<void> => {
      const id = randomUUID();
      const begin = performance.now();
      const [from, to] = [`a${Math.floor(Math.random() * accounts)}`, `a${Math.floor(Math.random() * accounts)}`];
      try {
        await factory.transaction(async (tx) => {
          attempts += 1;
          const mine = balances.in(tx);
          for (const [account, by] of [
            [from, -1],
            [to, 1],
          ] as const) {
            const before = await mine.getById(account);
            await mine.update({ ...before, amount: before.amount + by });
          }
          await ledger.in(tx).insert({ id, from, to, amount: 1 });
        });
        outcomes.set(id, "committed");
        lastCommitMs = performance.now();
      } catch (error) {
        if (isHexkitError(error, "ERR_HEXKIT_TIMEOUT")) outcomes.set(id, /outcome is unknown/.test(error.message) ? "unknown" : "refused");
        else if (isHexkitError(error, "ERR_HEXKIT_UNAVAILABLE")) outcomes.set(id, "unknown");
        else surprises.push(error);
      }
      longestMs = Math.max(longestMs, performance.now() - begin);
    };
    const working = Array.from({ length: workers }, async () => {
      while (!over) await transfer();
    });
    let recoveryMs = 0;
    try {
      for (let kill = 0; kill < kills; kill += 1) {
        const goal = count("committed") + between;
        while (count("committed") < goal) await new Promise((resolve) => setTimeout(resolve, 20));
        await server.kill();
        const killed = performance.now();
        await server.restart();
        while (lastCommitMs < killed) {
          assert.ok(performance.now() - killed < 60_000, "nothing was committed within a minute after the restart");
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        recoveryMs = Math.max(recoveryMs, lastCommitMs - killed);
      }
      const goal = count("committed") + between;
      while (count("committed") < goal) await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      over = true;
      await Promise.all(working);
    }
    assert.deepEqual(surprises, []);
    const entries = await ledger.find().toArray();
    const stored = new Set(entries.map(({ id }) => id));
    assert.equal(stored.size, entries.length);
    for (const [id, outcome] of outcomes) {
      if (outcome === "committed") assert.ok(stored.has(id), "a committed transaction is lost");
      if (outcome === "refused") assert.ok(!stored.has(id), "a refused transaction is there");
    }
    for (const { id, amount: balance } of await balances.find().toArray()) {
      const sum = entries.reduce((total, { from, to }) => total + (to === id ? 1 : 0) - (from === id ? 1 : 0), 0);
      assert.equal(balance, sum, "half a transaction was committed");
    }
    assert.ok(longestMs <= timeoutMs * 1.1, `a transaction took ${Math.round(longestMs)} ms`);
    const round = Math.round;
    return {
      committed: count("committed"),
      unknown: count("unknown"),
      refused: count("refused"),
      attempts,
      longestMs: round(longestMs),
      recoveryMs: round(recoveryMs),
    };
  } finally {
    await server.stop();
  }
}
