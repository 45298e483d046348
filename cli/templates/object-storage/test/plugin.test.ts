import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testObjectStorage } from "hexkit/testkit/conformance";
import plugin from "../../../../examples/file-system-storage/index.ts";

testObjectStorage({
  name: "my-technology",
  plugin,
  // By hand: a driver that loses a capability fails.
  expects: { conditionalPut: true, conditionalComplete: true, links: false, postForm: false, partCopy: true, tenants: false },
  open: async () => {
    const folder = await mkdtemp(join(tmpdir(), "my-technology-"));
    return { options: { folder }, close: () => rm(folder, { recursive: true }) };
  },
});
