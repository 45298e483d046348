import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { type DaoDriver, type Outbox, systemClock } from "../../../core/index.ts";
import { randomFrom } from "../random.ts";
import { type Between, header, Stage, stateOf, type Thing } from "./stage.ts";

const atOnce = 200;

/** R14: two writers and a relay on the same documents, in an order that the seed decides. Fails if the last event of one is not its last commit. */
export async function interleave(context: TestContext, documents: number): Promise<void> {
  const seed = Math.trunc(Math.random() * 2 ** 31);
  context.diagnostic(`seed ${seed}`);
  const chance = randomFrom(seed);
  const pause = async (): Promise<void> => {
    for (let turn = Math.floor(chance() * 4); turn > 0; turn -= 1) await new Promise((resolve) => setImmediate(resolve));
  };
  /** In the order in which the database took them. */
  const commits = new Map<string, number>();
  await using stage = new Stage();
  const slow = (driver: DaoDriver): Partial<DaoDriver> => ({
    upsert: async (collection, document, options) => {
      await pause();
      await driver.upsert(collection, document, options);
      commits.set(String(document._id), document.n as number);
      await pause();
    },
    replace: async (collection, document, guard, options) => {
      await pause();
      const matched = await driver.replace(collection, document, guard, options);
      if (matched) commits.set(String(document._id), (document.n as number | undefined) ?? -1);
      await pause();
      return matched;
    },
    patchMany: async (...call) => {
      await pause();
      const count = await driver.patchMany(...call);
      await pause();
      return count;
    },
  });
  const send: Between["send"] = async (records, pass) => {
    await pause();
    const outcomes = await pass(records);
    await pause();
    return outcomes;
  };
  const [one, two] = [
    await stage.instance({ dao: slow, send }, {}, systemClock),
    await stage.instance({ dao: slow, send }, {}, systemClock),
  ];
  let n = 0;
  const write = async (box: Outbox<Thing>, id: string): Promise<void> => {
    for (let step = 0; step < 2; step += 1) {
      await pause();
      n += 1;
      if (chance() < 0.2) await box.delete(id).catch(() => undefined);
      else await box.upsert({ id, n });
    }
  };
  const stored = new Map<string, number>();
  for (let begin = 0; begin < documents; begin += atOnce) {
    // A collection of its own: the memory plugin looks at each document of one.
    const boxes = await Promise.all([one, two].map(({ open }) => open({ name: `things-${begin}` })));
    const ids = Array.from({ length: atOnce }, (_, index) => `d${begin + index}`);
    await Promise.all(ids.flatMap((id) => boxes.map((box) => write(box, id))));
    await boxes[0]?.publishPending();
    for (const { id, n: state } of (await boxes[0]?.find().toArray()) ?? []) stored.set(id, state);
  }
  const last = new Map(stage.topic.map((record) => [record.key, header(record, "type") === "deleted" ? -1 : stateOf(record).n]));
  for (const [id, committed] of commits) {
    assert.equal(last.get(id), committed, `the last event of ${id}`);
    assert.equal(stored.get(id) ?? -1, committed, `the stored state of ${id}`);
  }
  assert.ok(commits.size > documents * 0.95, `${commits.size} documents`);
}
