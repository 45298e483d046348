import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recommendPartSize } from "../../../core/index.ts";

const MiB = 2 ** 20;
const GiB = 2 ** 30;

describe("recommendPartSize", () => {
  it("gives what Python hexkit gives", () => {
    const pinned: readonly [number | undefined, number, number][] = [
      [16 * MiB, 10 * GiB, 16 * MiB],
      [16 * MiB, 200 * GiB, 32 * MiB],
      [4 * MiB, 10 * GiB, 8 * MiB],
      [6 * GiB, 10 * GiB, 4 * GiB],
      [undefined, 20 * MiB, 8 * MiB],
      [undefined, 200 * GiB, 32 * MiB],
    ];
    for (const [preferred, size, expected] of pinned) assert.equal(recommendPartSize(size, preferred), expected, `${preferred} ${size}`);
  });

  it("needs no more than 10,000 parts up to the largest object", () => {
    for (const size of [80_000 * MiB, 80_000 * MiB + 1, 1024 * GiB, 5120 * GiB]) {
      assert.ok(Math.ceil(size / recommendPartSize(size)) <= 10_000, String(size));
    }
    assert.equal(recommendPartSize(80_000 * MiB), 8 * MiB);
    assert.equal(recommendPartSize(0), 8 * MiB);
  });

  it("refuses sizes that no object has", () => {
    assert.throws(() => recommendPartSize(10 * 1024 * GiB), { code: "ERR_HEXKIT_OBJECT_TOO_LARGE" });
    for (const size of [-1, 1.5, Number.NaN]) assert.throws(() => recommendPartSize(size), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
  });
});
