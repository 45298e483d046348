import { describe, it } from "node:test";
import { compareWithMemory } from "./dao-databases.ts";

describe("R27 full: memory and mongodb do the same in 10,000 random sequences", { concurrency: 4 }, () => {
  // At once: most of the time is spent waiting for the server.
  for (let part = 1; part <= 10; part += 1) {
    it(`part ${part} of 10`, { timeout: 1_800_000 }, () => compareWithMemory({ sequences: 1000, length: 30, seed: part * 1_000_000 }));
  }
});
