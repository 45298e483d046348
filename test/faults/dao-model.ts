import { inspect, isDeepStrictEqual } from "node:util";
import { type Dao, type DaoFactory, isHexkitError } from "../../core/index.ts";
import { randomFrom } from "../core/random.ts";

// R27: the same random operations on two databases must have the same outcomes.

const [uuidA, uuidB, uuidC] = [
  "0b9f7b1e-6b3a-4f0e-9f0e-6b3a4f0e9f0e",
  "7f000000-6b3a-4f0e-9f0e-6b3a4f0e9f0e",
  "ffffffff-6b3a-4f0e-9f0e-6b3a4f0e9f0e",
] as const;

const documentSchema = {
  type: "object",
  additionalProperties: false,
  required: ["id"],
  properties: {
    id: { type: "string" },
    n: { type: ["number", "null"] },
    s: { type: "string" },
    b: { type: "boolean" },
    u: { type: "string", format: "uuid" },
    at: {},
    big: {},
    raw: {},
    any: {},
    list: { type: "array", items: {} },
    in: { type: "object", additionalProperties: false, properties: { x: {}, y: { type: "array", items: {} } } },
    docs: { type: "array", items: { type: "object", additionalProperties: false, properties: { x: {}, y: {} } } },
  },
} as const;

type Document = { id: string; [field: string]: unknown };

interface Step {
  readonly operation: string;
  readonly arguments: readonly unknown[];
}

/** One sequence of operations; the beginning of a longer one is the shorter one. */
export function sequence(seed: number, length: number): readonly Step[] {
  const random = randomFrom(seed);
  const int = (below: number): number => Math.floor(random() * below);
  const pick = <T>(values: readonly T[]): T => values[int(values.length)] as T;
  const maybe = <T>(share: number, make: () => T): T | undefined => (random() < share ? make() : undefined);
  const id = (): string => `d${int(6)}`;
  const number = (): number => pick([0, 1, -1, 2, 5, 1.5, -0.5, 2 ** 31, 2 ** 40]);
  const text = (): string => pick(["", "a", "b", "A", "é", "\uffee", "😀", "a\0"]);
  const uuid = (): string => pick([uuidA, uuidB, uuidC]);
  const date = (): Date => new Date(pick([0, 1, -1, 1000]));
  const big = (): bigint => pick([0n, 5n, -5n, 2n ** 60n]);
  const bytes = (): Uint8Array => Uint8Array.from(pick([[], [1], [2], [1, 2], new Array(16).fill(255)]));
  const scalar = (): unknown => pick([number, number, text, () => null, () => random() < 0.5, date])();
  const listed = (): unknown[] =>
    Array.from({ length: int(4) }, () => pick([scalar, scalar, scalar, () => [scalar()], () => ({ x: scalar() })])());
  const inner = (): unknown => pick([scalar, scalar, listed, () => ({ x: scalar() }), () => ({ x: scalar(), y: scalar() })])();
  const fields: Record<string, () => unknown> = {
    n: () => pick([number, number, () => null])(),
    s: text,
    b: () => random() < 0.5,
    u: uuid,
    at: date,
    big,
    raw: bytes,
    any: inner,
    list: listed,
    in: () => ({ ...present("x", maybe(0.7, inner)), ...present("y", maybe(0.4, listed)) }),
    docs: () => Array.from({ length: int(3) }, () => ({ ...present("x", maybe(0.7, inner)), ...present("y", maybe(0.3, scalar)) })),
  };
  const document = (): Document => {
    const made: Document = { id: id() };
    for (const [name, make] of Object.entries(fields)) if (random() < 0.45) made[name] = make();
    return made;
  };
  const operands: Record<string, () => unknown> = {
    id,
    ...fields,
    list: () => pick([listed, scalar, () => [scalar()], () => ({ x: scalar() })])(),
    "list.0": scalar,
    "list.x": scalar,
    "list.1.0": scalar,
    "in.x": inner,
    "in.y": () => pick([listed, scalar])(),
    "in.x.x": scalar,
    "in.y.0": scalar,
    "docs.x": inner,
    "docs.0.x": scalar,
    "docs.x.0": scalar,
    "docs.x.x": scalar,
    "any.x": scalar,
    "any.0": scalar,
    "any.x.0": scalar,
    docs: () => pick([() => [], () => ({ x: scalar() })])(),
  };
  const names = Object.keys(operands);
  const operators = (name: string, depth: number): object => {
    const value = (): unknown => (random() < 0.1 ? null : (operands[name] as () => unknown)());
    const made: Record<string, unknown> = {};
    for (let count = 1 + int(2); count > 0; count -= 1) {
      const operator = pick(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$not"]);
      if (operator === "$exists") made.$exists = random() < 0.5;
      else if (operator === "$in" || operator === "$nin") made[operator] = Array.from({ length: int(3) }, value);
      else if (operator !== "$not") made[operator] = value();
      else if (depth < 2) made.$not = operators(name, depth + 1);
    }
    return Object.keys(made).length > 0 ? made : { $exists: true };
  };
  const filter = (depth = 0): Record<string, unknown> => {
    const made: Record<string, unknown> = {};
    for (let count = int(3); count > 0; count -= 1) {
      if (depth < 2 && random() < 0.25) made[pick(["$and", "$or", "$nor"])] = Array.from({ length: 1 + int(2) }, () => filter(depth + 1));
      else {
        const name = pick(names);
        made[name] = random() < 0.5 ? (random() < 0.1 ? null : (operands[name] as () => unknown)()) : operators(name, 0);
      }
    }
    return made;
  };
  const sortField = (): string =>
    `${pick(["", "-"])}${pick(["n", "s", "b", "u", "at", "big", "raw", "any", "list", "in.x", "docs.x", "any.x", "docs.y"])}`;
  const steps: (() => Step)[] = [
    () => ({ operation: "insert", arguments: [document()] }),
    () => ({ operation: "insert", arguments: [document()] }),
    () => ({ operation: "update", arguments: [document()] }),
    () => ({ operation: "upsert", arguments: [document()] }),
    () => ({ operation: "upsert", arguments: [document()] }),
    () => ({ operation: "delete", arguments: [id()] }),
    () => ({ operation: "getById", arguments: [id()] }),
    () => ({ operation: "insertMany", arguments: [[document(), document()]] }),
    () => ({ operation: "upsertMany", arguments: [[document(), document()]] }),
    ...Array.from({ length: 6 }, () => () => ({ operation: "find", arguments: [filter(), {}] })),
    ...Array.from({ length: 3 }, () => () => ({
      operation: "find",
      arguments: [
        filter(),
        {
          sort: [sortField(), "id"],
          ...present(
            "skip",
            maybe(0.3, () => int(3)),
          ),
          ...present(
            "limit",
            maybe(0.3, () => int(4)),
          ),
        },
      ],
    })),
    () => ({ operation: "count", arguments: [filter()] }),
    () => ({ operation: "findOne", arguments: [filter()] }),
  ];
  return Array.from({ length }, () => pick(steps)());
}

const present = (name: string, value: unknown): object => (value === undefined ? {} : { [name]: value });

/** A DAO for a sequence, on a collection of its own or emptied. */
export async function openModel(factory: DaoFactory, name: string): Promise<Dao<Document>> {
  const spec = {
    name,
    schema: documentSchema,
    idField: "id",
    native: { at: "date", big: "bigint", raw: "bytes" },
    indexes: [{ fields: ["s", "n"], unique: true }, { fields: "u", unique: true, sparse: true }, { fields: "list" }],
  };
  return (await factory.open(spec as never)) as unknown as Dao<Document>;
}

async function outcome(dao: Dao<Document>, { operation, arguments: given }: Step): Promise<unknown> {
  try {
    if (operation !== "find")
      return { value: await (dao as unknown as Record<string, (...args: readonly unknown[]) => unknown>)[operation]?.(...given) };
    const [filter, options] = given as [object, { sort?: unknown }];
    const find = dao.find(filter as never, options as never);
    const found = await find.toArray();
    // Without a sort the order is the database's own.
    if (options.sort === undefined) found.sort((a, b) => (a.id < b.id ? -1 : 1));
    return { found, total: await find.total() };
  } catch (error) {
    return isHexkitError(error) ? { code: error.code } : { error: String(error) };
  }
}

/** Where two databases first differ, or `undefined`. What each holds at the end is compared too. */
export async function difference(one: Dao<Document>, other: Dao<Document>, steps: readonly Step[]): Promise<string | undefined> {
  const last: Step = { operation: "find", arguments: [{}, {}] };
  for (const [index, step] of [...steps, last].entries()) {
    const [a, b] = await Promise.all([outcome(one, step), outcome(other, step)]);
    if (isDeepStrictEqual(a, b)) continue;
    const show = (value: unknown): string => inspect(value, { depth: 10, breakLength: 140 });
    return `step ${index}: ${step.operation}(${step.arguments.map(show).join(", ")})\none:   ${show(a)}\nother: ${show(b)}`;
  }
  return undefined;
}

export interface ModelRun {
  /** Opens both DAOs on new, empty collections. */
  readonly open: () => Promise<readonly [one: Dao<Document>, other: Dao<Document>]>;
  /** Empties both for the next sequence. Default: new ones are opened. */
  readonly empty?: (one: Dao<Document>, other: Dao<Document>) => Promise<void>;
  readonly sequences: number;
  readonly length: number;
  readonly seed: number;
}

/**
 * Runs sequences and throws at the first difference: with the seed, and what the two hold just before the step that differs. A prefix is
 * all that shrinks: a sequence stops where it first differs.
 */
export async function compareModels({ open, sequences, length, seed }: ModelRun): Promise<void> {
  let [one, other] = await open();
  for (let at = 0; at < sequences; at += 1) {
    const steps = sequence(seed + at, length);
    const found = await difference(one, other, steps);
    if (found !== undefined) {
      const state = inspect(await one.find({}, { sort: "id" }).toArray().catch(String), { depth: 10, breakLength: 140 });
      throw new Error(`seed ${seed + at}: the databases differ\n${found}\nheld by one: ${state}`);
    }
    if (at % 50 === 49) [one, other] = await open();
    else
      await Promise.all(
        [one, other].map(async (dao) => {
          for (const { id } of await dao.find().toArray()) await dao.delete(id);
        }),
      );
  }
}
