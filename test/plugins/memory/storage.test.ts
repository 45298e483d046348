// #region storage

import { randomUUID } from "node:crypto";
import { type Clock, systemClock } from "../../../core/index.ts";
import { plugin } from "../../../plugins/memory/index.ts";
import { testObjectStorage } from "../../../testkit/conformance/index.ts";
import { clearMemorySpace } from "../../../testkit/index.ts";

testObjectStorage({
  name: "memory",
  plugin,
  expects: { conditionalPut: true, conditionalComplete: true, links: true, postForm: true, partCopy: true, tenants: true },
  open: async () => {
    const space = randomUUID();
    let passed = 0;
    const clock: Clock = { now: () => Date.now() + passed, sleep: systemClock.sleep };
    const elapse = async (ms: number): Promise<void> => {
      passed += ms;
    };
    return { options: { space }, clock, elapse, close: async () => clearMemorySpace(space) };
  },
});
// #endregion
