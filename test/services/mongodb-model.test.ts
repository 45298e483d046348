import { it } from "node:test";
import { compareWithMemory } from "../faults/dao-databases.ts";

it("memory and mongodb do the same with random operations and filters", { timeout: 300_000 }, () =>
  compareWithMemory({ sequences: 300, length: 30, seed: 1 }),
);
