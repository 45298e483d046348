import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  currentCorrelationId,
  getCorrelationId,
  isHexkitError,
  newCorrelationId,
  parseCorrelationId,
  withCorrelationId,
  withNewCorrelationId,
} from "hexkit";
import { gate, memoryEvents, open } from "./mailer.ts";

const one = "0e9bd6a8-4c1b-4b43-9c41-0123456789ab";
const two = "1e9bd6a8-4c1b-4b43-9c41-0123456789ab";
const version1 = "0e9bd6a8-4c1b-1b43-9c41-0123456789ab";
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("correlation id", () => {
  it("is a random UUID of version 4", () => {
    const ids = new Set(Array.from({ length: 1_000 }, newCorrelationId));
    assert.equal(ids.size, 1_000);
    for (const id of ids) assert.equal(parseCorrelationId(id), id);
  });

  it("is read in every spelling of a UUID, and given in canonical form", () => {
    for (const text of [one, one.toUpperCase(), one.replaceAll("-", ""), `{${one}}`, `urn:uuid:${one}`]) {
      assert.equal(parseCorrelationId(text), one, text);
    }
  });

  it("is refused when it is no UUID of version 4", () => {
    const badVariant = "0e9bd6a8-4c1b-4b43-1c41-0123456789ab";
    for (const text of [
      "",
      "x",
      version1,
      badVariant,
      `${one}0`,
      one.slice(1),
      "00000000-0000-0000-0000-000000000000",
      5,
      null,
      undefined,
      {},
      5n,
    ]) {
      assert.throws(
        () => parseCorrelationId(text as string),
        (error) => isHexkitError(error, "ERR_HEXKIT_CORRELATION_ID_INVALID"),
        String(text),
      );
    }
  });

  it("is missing outside, which only the asking form minds", () => {
    assert.equal(currentCorrelationId(), undefined);
    assert.throws(getCorrelationId, (error) => isHexkitError(error, "ERR_HEXKIT_CORRELATION_ID_MISSING"));
  });

  it("is set for the work, in canonical form, across awaits, and what the work gives is given on", async () => {
    assert.equal(withCorrelationId(one.toUpperCase(), getCorrelationId), one);
    const later = withCorrelationId(one, async () => {
      await turn();
      await turn();
      return getCorrelationId();
    });
    assert.equal(currentCorrelationId(), undefined);
    assert.equal(await later, one);
    assert.equal(currentCorrelationId(), undefined);
  });

  it("is restored after the work, also nested and after errors", async () => {
    withCorrelationId(one, () => {
      assert.throws(
        () =>
          withCorrelationId(two, () => {
            assert.equal(getCorrelationId(), two);
            throw new Error("x");
          }),
        /x/,
      );
      assert.equal(getCorrelationId(), one);
    });
    assert.equal(currentCorrelationId(), undefined);
    await withCorrelationId(one, async () => {
      await assert.rejects(
        withCorrelationId(two, async () => {
          await turn();
          assert.equal(getCorrelationId(), two);
          throw new Error("y");
        }),
        /y/,
      );
      assert.equal(getCorrelationId(), one);
    });
    assert.equal(currentCorrelationId(), undefined);
  });

  it("does not run the work when it is invalid, and leaves the one that was set", () => {
    let ran = false;
    withCorrelationId(one, () => {
      assert.throws(() => withCorrelationId(version1, () => (ran = true)), /not a UUID of version 4/);
      assert.equal(getCorrelationId(), one);
    });
    assert.equal(ran, false);
  });

  it("keeps concurrent works apart", async () => {
    const all = gate();
    let waiting = 0;
    const works = Array.from({ length: 20 }, () =>
      withNewCorrelationId(async (id) => {
        assert.equal(getCorrelationId(), id);
        waiting += 1;
        if (waiting === 20) all.open();
        await all.passed;
        await turn();
        assert.equal(getCorrelationId(), id);
        return id;
      }),
    );
    assert.equal(new Set(await Promise.all(works)).size, 20);
  });

  it("goes on in work that is not awaited, and not into what was started before", async () => {
    const started = turn().then(currentCorrelationId);
    const detached = withCorrelationId(one, () => ({ id: turn().then(currentCorrelationId) }));
    assert.equal(await detached.id, one);
    assert.equal(await started, undefined);
  });

  it("is a new one each time on demand", () => {
    const [first, second] = [withNewCorrelationId((id) => id), withNewCorrelationId((id) => id)];
    assert.notEqual(first, second);
    assert.equal(parseCorrelationId(first), first);
  });

  it("is shared with another copy of the package in the process", async () => {
    const copyPath = "../../core/correlation.ts?copy";
    const copy = (await import(copyPath)) as typeof import("../../core/correlation.ts");
    assert.notEqual(copy.getCorrelationId, getCorrelationId);
    assert.equal(withCorrelationId(one, copy.getCorrelationId), one);
    assert.equal(copy.withCorrelationId(two, getCorrelationId), two);
  });

  it("goes from the publisher to the translator, and is restored around it", async () => {
    await using registry = await open({ config: memoryEvents });
    const seen = gate();
    const ids: unknown[] = [];
    registry.get("eventSubscriber").subscribe({
      topics: ["t"],
      types: ["t"],
      consume: async (_event, { correlationId }) => {
        await turn();
        ids.push(getCorrelationId(), correlationId);
        seen.open();
      },
    });
    await withCorrelationId(one, () => registry.get("eventPublisher").publish({ topic: "t", type: "t", key: "k", payload: {} }));
    await seen.passed;
    assert.deepEqual(ids, [one, one]);
    assert.equal(currentCorrelationId(), undefined);
  });
});
