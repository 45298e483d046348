import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { root, run } from "../core/run-program.ts";

const demo = join(root, "examples", "orders", "demo.ts");

describe("orders", () => {
  it("shows in the second service what was ordered in the first", async () => {
    const { code, stdout, stderr } = await run([demo]);
    assert.deepEqual([code, stdout, stderr], [0, "ann  2 × apple\nbob  5 × pear\nzoe  3 × fig\n", ""]);
  });

  it("says in one message what is wrong with its configuration", async () => {
    const { code, stdout, stderr } = await run([demo], { env: { HEXKIT_DAO: "memroy" } });
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^ERR_HEXKIT_CONFIG_INVALID: [\s\S]*did you mean "memory"\?/);
  });
});
