import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { type Dao, openRegistry, type Registry } from "hexkit";
import { type Collection, MongoClient, UUID } from "mongodb";
import { compare } from "./stats.ts";
import { inParallel, inTurns, perSecond } from "./turns.ts";

const callers = 32;
const documents = 2_000;
const calls = 3_000;
const finds = 600;
const groupSize = 100;

interface Order {
  readonly id: string;
  readonly group: number;
  readonly customer: { readonly name: string; readonly city: string };
  readonly createdAt: Date;
  readonly totalCents: number;
  readonly items: readonly { readonly sku: string; readonly count: number }[];
}

const schema = {
  type: "object",
  additionalProperties: false,
  required: ["id", "group", "customer", "createdAt", "totalCents", "items"],
  properties: {
    id: { type: "string", format: "uuid" },
    group: { type: "integer" },
    customer: {
      type: "object",
      additionalProperties: false,
      required: ["name", "city"],
      properties: { name: { type: "string" }, city: { type: "string" } },
    },
    createdAt: {},
    totalCents: { type: "integer" },
    items: {
      type: "array",
      items: {
        type: "object",
        additionalProperties: false,
        required: ["sku", "count"],
        properties: { sku: { type: "string" }, count: { type: "integer" } },
      },
    },
  },
} as const;

/** About 250 bytes of BSON. */
function order(id: string, index: number): Order {
  const items = [1, 2, 3].map((count) => ({ sku: `article-${index}-${count}`, count }));
  const customer = { name: `customer ${index}`, city: "Heidelberg" };
  return {
    id,
    group: Math.floor(index / groupSize),
    customer,
    createdAt: new Date(1_700_000_000_000 + index),
    totalCents: index * 7,
    items,
  };
}

/** Documents through a registry and by the bare driver, in turns, on `HEXKIT_TEST_MONGODB_DSN` or a MongoDB of its own. */
export async function benchDao(): Promise<void> {
  await withMongodb(async (dsn) => {
    const database = `bench-${process.pid}`;
    await using registry = await openMongodb(dsn, database);
    const name = "orders";
    const dao = (await registry.get("dao").open({
      name,
      schema: schema as never,
      idField: "id" as never,
      native: { createdAt: "date" },
      indexes: [{ fields: "group" as never }],
    })) as unknown as Dao<Order>;
    const mongo = await new MongoClient(dsn).connect();
    try {
      await bench(dao, mongo.db(database).collection(name));
    } finally {
      await mongo.db(database).dropDatabase();
      await mongo.close();
    }
  });
}

async function bench(dao: Dao<Order>, collection: Collection<{ _id: UUID }>): Promise<void> {
  const ids = Array.from({ length: documents }, () => randomUUID());
  await dao.insertMany(ids.map(order));
  const at = (index: number): string => ids[index % documents] as string;
  const stored = ({ id, ...rest }: Order) => ({ _id: new UUID(id), ...rest });
  const groups = documents / groupSize;
  const rows: readonly (readonly [string, number, (index: number) => Promise<unknown>, (index: number) => Promise<unknown>])[] = [
    ["getById", calls, (index) => dao.getById(at(index)), (index) => collection.findOne({ _id: new UUID(at(index)) })],
    [
      "insert",
      calls,
      (index) => dao.insert(order(randomUUID(), -1 - index)),
      (index) => collection.insertOne(stored(order(randomUUID(), -1 - index))),
    ],
    [
      "update",
      calls,
      (index) => dao.update(order(at(index), index % documents)),
      (index) => collection.replaceOne({ _id: new UUID(at(index)) }, stored(order(at(index), index % documents))),
    ],
    [
      `find ${groupSize}`,
      finds,
      (index) => dao.find({ group: index % groups }).toArray(),
      (index) => collection.find({ group: index % groups } as never).toArray(),
    ],
  ];
  for (const [what, count, ours, bare] of rows) {
    const run = (work: (index: number) => Promise<unknown>) => () => perSecond(count, () => inParallel(count, callers, work));
    await run(ours)();
    await run(bare)();
    console.log(`dao: ${`${what}, ${callers} in flight`.padEnd(24)} ${compare(await inTurns(run(ours), run(bare)), "mongodb", "/s")}`);
  }
}

function openMongodb(dsn: string, database: string): Promise<Registry> {
  return openRegistry({
    config: {
      service: { name: "bench" },
      log: { level: "silent" },
      providers: { db: { plugin: "mongodb", options: { dsn, database } } },
      protocols: { dao: "db" },
    },
    env: {},
  });
}

async function withMongodb(work: (dsn: string) => Promise<void>): Promise<void> {
  const given = process.env.HEXKIT_TEST_MONGODB_DSN;
  if (given) return work(given);
  const script = fileURLToPath(new URL("test/services/mongodb.sh", import.meta.resolve("hexkit/package.json")));
  const env = { ...process.env, HEXKIT_TEST_INSTANCE: `bench-${process.pid}` };
  const run = (...args: string[]): string => execFileSync(script, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  try {
    await work(/^MONGODB_DSN=(.+)$/m.exec(run("start", "0"))?.[1] ?? "");
  } finally {
    run("kill");
    run("clean");
  }
}
