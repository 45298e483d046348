import assert from "node:assert/strict";
import { type FilterNode, type StoredDocument, systemClock, Uuid } from "../../core/index.ts";
import { checkCapabilities } from "./capabilities.ts";
import type { DaoSubject, DaoTest } from "./dao-bench.ts";
import { deferredSignal } from "./dao-signal.ts";
import { within } from "./event-broker.ts";

const all: FilterNode = { op: "and", filters: [] };
const eq = (path: string, value: never): FilterNode => ({ op: "eq", path: path.split("."), value });

/** What composed protocols need of a driver beyond what the portable DAO shows. */
export function testDriver(test: DaoTest, subject: DaoSubject): void {
  const { expects } = subject;

  test("has the capabilities that are expected of it, no more and no fewer", async (bench) => {
    await using opened = await bench.driver();
    const { transactions, watch, leases } = expects;
    checkCapabilities(opened.driver.capabilities, { transactions, watch, leases });
  });

  test("replaces and deletes only where the guard holds", async (bench) => {
    await using opened = await bench.driver();
    const { driver } = opened;
    const name = bench.name();
    const stored: StoredDocument = { _id: "1", a: 1, list: [1, { x: null }], id: new Uuid("0b9f7b1e-6b3a-4f0e-9f0e-6b3a4f0e9f0e") };
    await driver.insert(name, stored, {});
    assert.equal(await driver.replace(name, { _id: "1", a: 2 }, eq("a", 5 as never), {}), false);
    assert.equal(await driver.delete(name, "1", eq("a", 5 as never), {}), false);
    const { a, list, ...rest } = stored;
    const others: StoredDocument[] = [
      { ...stored, a: 2 },
      { ...rest, list: list as never, a: a as never },
      { ...stored, more: 1 },
      { _id: "1", a: 1 },
    ];
    for (const document of others) assert.equal(await driver.replace(name, { _id: "1", a: 2 }, { op: "is", document }, {}), false);
    assert.equal(await driver.replace(name, { _id: "1", a: 2 }, { op: "is", document: stored }, {}), true);
    assert.deepEqual(await driver.get(name, "1", {}), { _id: "1", a: 2 });
    assert.equal(await driver.delete(name, "1", { op: "not", filter: eq("a", 5 as never) }, {}), true);
    assert.equal(await driver.delete(name, "1", undefined, {}), false);
    assert.equal(await driver.replace(name, stored, undefined, {}), false);
  });

  test("keeps copies, made before it waits, and hands out others", async (bench) => {
    await using opened = await bench.driver();
    const { driver } = opened;
    const name = bench.name();
    const made = () => ({ _id: 1, list: [{ x: 1 }], in: { y: "a" }, at: new Date(5), raw: Uint8Array.of(1) });
    const spoil = ({ list, in: inner, at, raw }: ReturnType<typeof made>): void => {
      list.push({ x: 2 });
      inner.y = "spoiled";
      at.setTime(6);
      raw[0] = 9;
    };
    for (const write of ["insert", "upsert", "replace"] as const) {
      const given = made();
      const writing = write === "replace" ? driver.replace(name, given, undefined, {}) : driver[write](name, given, {});
      spoil(given);
      await writing;
      const got = (await driver.get(name, 1, {})) as unknown as ReturnType<typeof made>;
      assert.deepEqual(got, made(), write);
      spoil(got);
      assert.deepEqual(await driver.get(name, 1, {}), made(), write);
    }
  });

  test("patches a few fields where the guard holds, and leaves the rest", async (bench) => {
    await using opened = await bench.driver();
    const { driver } = opened;
    const name = bench.name();
    await driver.insert(name, { _id: 1, a: 1, __metadata__: { published: false, revision: "r1" } }, {});
    const patch = {
      set: [
        { path: ["__metadata__", "published"], value: true },
        { path: ["made", "deep"], value: [1] },
      ],
      increment: [
        { path: ["__metadata__", "sequence"], by: 2 },
        { path: ["a"], by: -1 },
      ],
    };
    assert.equal(await driver.patch(name, 1, eq("__metadata__.revision", "r2" as never), patch, {}), false);
    assert.equal(await driver.patch(name, 2, all, patch, {}), false);
    assert.equal(await driver.patch(name, 1, eq("__metadata__.revision", "r1" as never), patch, {}), true);
    const expected = { _id: 1, a: 0, __metadata__: { published: true, revision: "r1", sequence: 2 }, made: { deep: [1] } };
    assert.deepEqual(await driver.get(name, 1, {}), expected);
    assert.equal(await driver.count(name, all, {}), 1);
  });

  test("patches many documents, each by its own guard, and counts those that met it", async (bench) => {
    await using opened = await bench.driver();
    const { driver } = opened;
    const name = bench.name();
    await driver.insertMany(
      name,
      [
        { _id: 1, r: "a" },
        { _id: 2, r: "b" },
        { _id: 3, r: "c" },
      ],
      {},
    );
    const patch = (id: number, r: string) => ({ id, guard: eq("r", r as never), patch: { set: [{ path: ["done"], value: id }] } });
    assert.equal(await driver.patchMany(name, [patch(1, "a"), patch(2, "changed"), patch(3, "c"), patch(4, "a")], {}), 2);
    assert.equal(await driver.patchMany(name, [], {}), 0);
    assert.deepEqual(await driver.get(name, 1, {}), { _id: 1, r: "a", done: 1 });
    assert.deepEqual(await driver.get(name, 2, {}), { _id: 2, r: "b" });
    assert.equal(await driver.count(name, all, {}), 3);
  });

  test("finds and patches the first in order, and gives it as it is afterwards; each is claimed once", async (bench) => {
    await using opened = await bench.driver();
    const { driver } = opened;
    const name = bench.name();
    await driver.insertMany(
      name,
      Array.from({ length: 10 }, (_, n) => ({ _id: n, taken: false })),
      {},
    );
    const query = { filter: eq("taken", false as never), sort: [{ path: ["_id"], descending: true }] };
    const claim = () => driver.findAndPatch(name, query, { set: [{ path: ["taken"], value: true }] }, {});
    assert.deepEqual(await claim(), { _id: 9, taken: true });
    const claimed = await Promise.all(Array.from({ length: 12 }, claim));
    assert.deepEqual(
      claimed.flatMap((document) => (document === undefined ? [] : [document._id as number])).sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 5, 6, 7, 8],
    );
  });

  test("keeps a partial unique index to the documents that it is for", async (bench) => {
    await using opened = await bench.driver();
    const { driver } = opened;
    const name = bench.name();
    const where: FilterNode = eq("live", true as never);
    await driver.prepare(name, [{ fields: [{ path: ["a"], descending: false }], unique: true, sparse: false, where }], {});
    await driver.insertMany(
      name,
      [
        { _id: 1, a: 1, live: true },
        { _id: 2, a: 1, live: false },
        { _id: 3, a: 1 },
      ],
      {},
    );
    await assert.rejects(driver.insert(name, { _id: 4, a: 1, live: true }, {}), (error: unknown) => {
      assert.equal(subject.plugin.classify?.(error), "ERR_HEXKIT_UNIQUE_VIOLATION");
      return true;
    });
    await driver.delete(name, 1, undefined, {});
    await driver.insert(name, { _id: 4, a: 1, live: true }, {});
  });

  test(
    "grants a lease to one owner at a time, with rising fences",
    async (bench) => {
      await using opened = await bench.driver();
      const { driver } = opened;
      const name = bench.name();
      const claim = (owner: string, ttlMs = 60_000) => driver.acquireLease({ name, owner, ttlMs }, {});
      const first = await Promise.all(["a", "b", "c"].map((owner) => claim(owner)));
      const granted = first.findIndex((answer) => answer.granted);
      assert.equal(first.filter((answer) => answer.granted).length, 1);
      for (const answer of first)
        if (!answer.granted) assert.ok(answer.expiresInMs > 30_000 && answer.expiresInMs <= 60_000, `${answer.expiresInMs}`);
      const owner = ["a", "b", "c"][granted] as string;
      const { fence } = first[granted] as { fence: number };
      assert.deepEqual(await claim(owner), { granted: true, fence });
      assert.equal(await driver.renewLease({ name, owner, ttlMs: 60_000, fence }, {}), true);
      assert.equal(await driver.renewLease({ name, owner, ttlMs: 60_000, fence: fence + 1 }, {}), false);
      assert.equal(await driver.renewLease({ name, owner: "x", ttlMs: 60_000, fence }, {}), false);
      await driver.releaseLease({ name, owner: "x", fence }, {});
      assert.equal((await claim("x")).granted, false);
      await driver.releaseLease({ name, owner, fence }, {});
      const second = (await claim("x")) as { granted: boolean; fence: number };
      assert.ok(second.granted && second.fence > fence, JSON.stringify(second));
      assert.equal(await driver.renewLease({ name, owner, ttlMs: 60_000, fence }, {}), false);
      await driver.releaseLease({ name, owner, fence }, {});
      assert.equal((await claim("y")).granted, false);
      assert.equal((await driver.acquireLease({ name: bench.name(), owner: "y", ttlMs: 60_000 }, {})).granted, true);
    },
    { needs: "leases" },
  );

  test(
    "lets a lease run out",
    async (bench) => {
      await using opened = await bench.driver();
      const { driver } = opened;
      const name = bench.name();
      const { fence } = (await driver.acquireLease({ name, owner: "a", ttlMs: 50 }, {})) as { fence: number };
      let answer = await driver.acquireLease({ name, owner: "b", ttlMs: 60_000 }, {});
      while (!answer.granted) {
        await systemClock.sleep(answer.expiresInMs + 1);
        answer = await driver.acquireLease({ name, owner: "b", ttlMs: 60_000 }, {});
      }
      assert.ok(answer.fence > fence, `${answer.fence}`);
      assert.equal(await driver.renewLease({ name, owner: "a", ttlMs: 60_000, fence }, {}), false);
    },
    { needs: "leases" },
  );

  test(
    "tells of changes, also those of a transaction and of another provider, and of no others once closed",
    async (bench) => {
      await using opened = await bench.driver();
      await using other = await bench.driver();
      const { driver } = opened;
      const name = bench.name();
      await driver.prepare(name, [], {});
      const changes = deferredSignal();
      const watch = await driver.watch(name, changes.tell, (error) => assert.fail(String(error)), {});
      const changed = (): Promise<void> => within("a change", changes.next());
      const changeBy = async (work: () => Promise<unknown>): Promise<void> => {
        const next = changed();
        await work();
        await next;
      };
      await changeBy(() => other.driver.insert(name, { _id: 1 }, {}));
      await changeBy(() => driver.replace(name, { _id: 1, a: 1 }, all, {}));
      await changeBy(() => other.driver.delete(name, 1, undefined, {}));
      await watch.close();
      await watch.close();
      const { told } = changes;
      await driver.insert(name, { _id: 2 }, {});
      const later = deferredSignal();
      const second = await driver.watch(name, later.tell, (error) => assert.fail(String(error)), {});
      const seen = within("a change for another watch", later.next());
      await driver.insert(name, { _id: 3 }, {});
      await seen;
      assert.equal(changes.told, told);
      await second.close();
    },
    { needs: "watch" },
  );
}
