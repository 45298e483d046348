import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { clearMemorySpace } from "../../../plugins/memory/index.ts";
import { join, openDrivers, record, send, turns } from "./drivers.ts";

describe("memory: spaces", () => {
  it("shares one private space between the providers of a registry", async () => {
    const scope = {};
    const [one, other] = [await openDrivers({}, scope), await openDrivers({}, scope)];
    await send(one.publisher, [record("t", "k", "1")]);
    const { sink } = await join(other.subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(sink.values, ["1"]);
  });

  it("keeps the private spaces of two registries apart", async () => {
    const [one, other] = [await openDrivers(), await openDrivers()];
    await send(one.publisher, [record("t", "k", "1")]);
    const { sink } = await join(other.subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(sink.values, []);
  });

  it("frees a private space when the last of its providers closes, not before", async () => {
    const scope = {};
    const [one, other] = [await openDrivers({}, scope), await openDrivers({}, scope)];
    await send(one.publisher, [record("t", "k", "1")]);
    await one.close();
    await one.close();
    const { sink, source } = await join(other.subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(sink.values, ["1"]);
    await source.leave();
    await other.close();

    const later = await openDrivers({}, scope);
    const after = await join(later.subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(after.sink.values, []);
  });

  it("keeps a named space for later registries, with the positions of its groups", async () => {
    const space = randomUUID();
    const first = await openDrivers({ space });
    await send(first.publisher, [record("t", "k", "1"), record("t", "k", "2")]);
    const before = await join(first.subscriber, { topics: ["t"] });
    await turns();
    await before.source.acknowledge(before.sink.received.slice(0, 1), {});
    await before.source.leave();
    await first.close();

    const second = await openDrivers({ space });
    const after = await join(second.subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(after.sink.values, ["2"]);
    clearMemorySpace(space);
  });

  it("finds a named space from another copy of the package", async () => {
    const space = randomUUID();
    const copy = (await import(`../../../plugins/memory/index.ts?copy=${space}`)) as typeof import("../../../plugins/memory/index.ts");
    const { publisher } = await openDrivers({ space });
    await send(publisher, [record("t", "k", "1")]);
    copy.clearMemorySpace(space);
    const { sink } = await join((await openDrivers({ space })).subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(sink.values, []);
  });

  it("clears a named space: records and positions are gone, readers fail, open providers go on", async () => {
    const space = randomUUID();
    const { publisher, subscriber } = await openDrivers({ space });
    await send(publisher, [record("t", "k", "1")]);
    const reader = await join(subscriber, { topics: ["t"] });
    await turns();
    await reader.source.acknowledge(reader.sink.received, {});
    clearMemorySpace(space);
    assert.equal(reader.sink.failures.length, 1);

    await send(publisher, [record("t", "k", "2")]);
    const { sink } = await join((await openDrivers({ space })).subscriber, { topics: ["t"] });
    await turns();
    assert.deepEqual(sink.values, ["2"]);
    assert.deepEqual(reader.sink.values, ["1"]);
    clearMemorySpace(space);
  });

  it("does not mind clearing a space that nobody knows", () => {
    clearMemorySpace(randomUUID());
  });
});
