import { it } from "node:test";
import { interleave } from "./interleavings.ts";

// Half of R14's 10,000; the other half is in interleavings-first.test.ts, so that each has the time of a file for itself.
it("loses no update in 5,000 interleavings of two writers and a relay (R14)", { timeout: 240_000 }, (context) =>
  interleave(context, 5_000),
);
