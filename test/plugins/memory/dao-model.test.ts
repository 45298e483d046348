import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { it } from "node:test";
import { openRegistry, type Registry } from "../../../core/index.ts";
import { plugin } from "../../../plugins/memory/index.ts";
import { compareModels, difference, openModel, sequence } from "../../faults/dao-model.ts";

const open = (settings: object = {}): Promise<Registry> =>
  openRegistry({ config: { protocols: { dao: { provider: "memory", ...settings } } }, env: {}, plugins: [plugin] });

it("memory: random operations do the same whatever the size of batches", async () => {
  await using one = await open();
  await using other = await open({ batchSize: 1 });
  const name = (): string => `c-${randomUUID()}`;
  await compareModels({
    open: async () => [await openModel(one.get("dao"), name()), await openModel(other.get("dao"), name())],
    sequences: 150,
    length: 30,
    seed: 1,
  });
});

it("the comparison of random operations sees a difference, at the same step for the same seed", async () => {
  await using registry = await open();
  const steps = sequence(7, 60);
  assert.deepEqual(sequence(7, 40), steps.slice(0, 40));
  const find = async (): Promise<string | undefined> => {
    const [one, other] = [
      await openModel(registry.get("dao"), `c-${randomUUID()}`),
      await openModel(registry.get("dao"), `c-${randomUUID()}`),
    ];
    await other.insert({ id: "d1" });
    return difference(one, other, steps);
  };
  const found = await find();
  assert.match(found ?? "", /^step \d+: /);
  assert.equal(await find(), found);
});
