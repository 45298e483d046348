import assert from "node:assert/strict";
import { uniqueName } from "../services/kafka.ts";
import type { CyclesResult } from "./cycles.ts";
import type { Scenario } from "./stage.ts";

export const openAndClose: Scenario = {
  name: "R20",
  title: "opening, working and closing again and again: the heap stays within 5 %, no handle is left open",
  async run(stage, scale) {
    const [warmUp, cycles] = scale === "full" ? [100, 100] : [40, 20];
    const service = { name: uniqueName("service"), provider: stage.provider() };
    const worker = stage.start("cycles", { role: "cycles", service, warmUp, cycles }, ["--expose-gc"]);
    await worker.until(280_000, "its measures", () => worker.result !== undefined);
    // Nothing keeps it alive.
    assert.equal(await worker.end(10_000), "0");
    const { before, after, cyclesMs } = worker.result as CyclesResult;
    const growth = (after.heapBytes / before.heapBytes - 1) * 100;
    assert.deepEqual(after.resources, before.resources);
    assert.ok(growth <= 5, `the heap grew by ${growth.toFixed(1)} %`);
    return {
      cycles,
      msPerCycle: Math.round(cyclesMs / cycles),
      heapMb: Math.round(after.heapBytes / 1e5) / 10,
      growthPercent: Math.round(growth * 10) / 10,
      openHandles: after.resources.length,
    };
  },
};
