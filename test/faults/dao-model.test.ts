import { it } from "node:test";
import { compareWithMemory } from "./dao-databases.ts";

it("R27 full: memory and mongodb do the same in 10,000 random sequences", { timeout: 3_600_000 }, () =>
  compareWithMemory({ sequences: 10_000, length: 30, seed: 1_000_000 }),
);
