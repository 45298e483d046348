import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { DaoDriver, MigrationStep, StoredDocument } from "../../../core/index.ts";
import {
  counting,
  daoDriver,
  documents,
  gate,
  type MigrationsDatabase,
  openService,
  passing,
  plan,
  records,
  uniqueName,
  withDatabase,
} from "./migrations-subject.ts";

const failed = { code: "ERR_HEXKIT_MIGRATION_FAILED" };
const locked = { code: "ERR_HEXKIT_MIGRATION_LOCKED" };

/** What migrations owe when there are several instances, and when one of them is gone. `open` gives a database of its own. */
export function testMigrationLock(name: string, open: () => Promise<MigrationsDatabase>): void {
  describe(`the lock of migrations: ${name}`, () => {
    const test = (title: string, work: (database: MigrationsDatabase) => Promise<void>): void =>
      void it(title, { timeout: 60_000 }, () => withDatabase(open, work));

    test("while another instance migrates, one waits and then finds the work done (144)", async (database) => {
      await using first = await openService(database);
      await using second = await openService(database);
      const [inside, go] = [gate(), gate()];
      const slow: MigrationStep = {
        version: 2,
        apply: () => passing(inside, go),
      };
      const running = first.migrations.run(plan(2, slow));
      await inside.opened;
      const waiting = second.migrations.run(plan(2, { version: 2, apply: async () => assert.fail("it ran twice") }));
      await assert.rejects(second.migrations.check(2), { code: "ERR_HEXKIT_MIGRATION_VERSION" });
      go.open();
      assert.deepEqual((await running).recorded, [1, 2]);
      assert.deepEqual((await waiting).recorded, []);
      await second.migrations.check(2);
    });

    test("of many instances that start at once, each step is run by one (144)", async (database) => {
      const name = uniqueName();
      await database.write(name, documents(5));
      const services = await Promise.all(Array.from({ length: 5 }, () => openService(database)));
      const steps = [2, 3, 4].map((version) => counting(version, name));
      const reports = await Promise.all(services.map(({ migrations }) => migrations.run(plan(4, ...steps))));
      assert.deepEqual(
        reports.flatMap(({ recorded }) => recorded).sort((a, b) => a - b),
        [1, 2, 3, 4],
      );
      assert.ok(
        (await database.read(name)).every(({ n }) => n === 3),
        "a step ran twice",
      );
      await Promise.all(services.map((service) => service[Symbol.asyncDispose]()));
    });

    test("a lock that knows no owners, as Python's, is respected: one waits, and gives up in time (144)", async (database) => {
      await using service = await openService(database, { maxWaitMs: 150 });
      await database.write("db_versions", [{ _id: 0, lock_acquired: true, acquired_at: new Date() }]);
      await assert.rejects(service.migrations.run(plan(1)), { ...locked, message: /Python.*_id 0/ });
      await using patient = await openService(database);
      const running = patient.migrations.run(plan(1));
      await database.remove("db_versions", 0);
      assert.deepEqual((await running).recorded, [1]);
    });

    test("the lock of Python's form is there while a step runs, and gone afterwards", async (database) => {
      await using service = await openService(database);
      let seen: readonly Readonly<Record<string, unknown>>[] = [];
      const look = async (): Promise<void> => {
        seen = (await database.read("db_versions")).filter(({ _id }) => _id === 0);
      };
      await service.migrations.run(plan(2, { version: 2, apply: look }));
      assert.equal(seen.length, 1);
      assert.equal(seen[0]?.lock_acquired, true);
      assert.ok(seen[0]?.acquired_at instanceof Date, "no time");
      assert.match(String(seen[0]?.owner), /^migrated\/001\//);
      assert.deepEqual(
        (await database.read("db_versions")).filter(({ _id }) => _id === 0),
        [],
      );
    });

    test("an aborted run rejects at once and gives its lock back", async (database) => {
      await using service = await openService(database);
      await using second = await openService(database);
      const [controller, inside] = [new AbortController(), gate()];
      const stuck: MigrationStep = { version: 2, apply: () => passing(inside, gate()) };
      const running = service.migrations.run(plan(2, stuck), { signal: controller.signal });
      await inside.opened;
      controller.abort();
      await assert.rejects(running, { code: "ERR_HEXKIT_ABORTED" });
      assert.deepEqual((await second.migrations.run(plan(1))).recorded, []);
    });

    test("closing the registry ends a run, and the lock with it", async (database) => {
      const service = await openService(database);
      await using second = await openService(database);
      const inside = gate();
      const stuck: MigrationStep = { version: 2, apply: () => passing(inside, gate()) };
      const running = assert.rejects(service.migrations.run(plan(2, stuck)));
      await inside.opened;
      await service[Symbol.asyncDispose]();
      await running;
      assert.deepEqual((await second.migrations.run(plan(1))).recorded, []);
      await assert.rejects(service.migrations.version(), { code: "ERR_HEXKIT_CLOSED" });
    });

    describe("when an instance is gone", () => {
      let other: { driver: DaoDriver } & AsyncDisposable;
      let shared: MigrationsDatabase;
      before(async () => {
        shared = await open();
        other = await daoDriver(shared);
      });
      after(async () => {
        await other?.[Symbol.asyncDispose]();
        await shared?.close();
      });

      /** What an instance leaves that was killed: its lease, for a while, and its lock. */
      const die = async (collection: string, left: object): Promise<void> => {
        await other.driver.acquireLease({ name: `migrations:${collection}`, owner: "dead/001", ttlMs: 300 }, {});
        const lock = { _id: 0, lock_acquired: true, acquired_at: new Date(), owner: "dead/001", fence: 1, ...left };
        await other.driver.insert(collection, lock as StoredDocument, {});
      };

      it("its lock is taken over once its lease is over, not before", async () => {
        const collection = uniqueName();
        await using service = await openService(shared, { collection });
        await die(collection, {});
        await using impatient = await openService(shared, { collection, maxWaitMs: 50 });
        await assert.rejects(impatient.migrations.run(plan(1)), { ...locked, message: /dead\/001/ });
        assert.deepEqual((await service.migrations.run(plan(1))).recorded, [1]);
        assert.ok(
          service.lines.some(({ level, message }) => level === "warn" && message.includes("took over")),
          "nothing was logged",
        );
      });

      it("what it had begun to put in place is finished and recorded, also on the way elsewhere", async () => {
        const [collection, done, open] = [uniqueName(), uniqueName(), uniqueName()];
        await using service = await openService(shared, { collection });
        await service.migrations.run(plan(1));
        // The first of two collections had taken its place.
        await shared.write(done, [{ _id: 1, n: 1 }]);
        await shared.write(open, [{ _id: 1, n: 0 }]);
        await shared.write(`tmp_v2_new_${open}`, [{ _id: 1, n: 1 }]);
        const swaps = [done, open].map((name) => ({ from: `tmp_v2_new_${name}`, to: name }));
        await die(collection, { progress: { version: 2, isBackward: false, beganAt: Date.now(), swaps } });
        const never: MigrationStep = { version: 2, apply: async () => assert.fail("it ran again") };
        assert.deepEqual((await service.migrations.run(plan(3, never, counting(3, open)))).recorded, [2, 3]);
        for (const [name, n] of [
          [done, 1],
          [open, 2],
        ] as const)
          assert.equal((await shared.read(name))[0]?.n, n);
        assert.ok(!(await shared.collections()).some((name) => name.startsWith("tmp_")), "a temporary collection is left");
      });

      it("a version that it had recorded is not recorded twice", async () => {
        const [collection, name] = [uniqueName(), uniqueName()];
        await using service = await openService(shared, { collection });
        await shared.write(name, documents(1));
        await service.migrations.run(plan(2, counting(2, name)));
        await die(collection, {
          progress: { version: 2, isBackward: false, beganAt: Date.now(), swaps: [{ from: `tmp_v2_new_${name}`, to: name }] },
        });
        assert.deepEqual((await service.migrations.run(plan(2, counting(2, name)))).recorded, []);
        assert.deepEqual(await records(shared, collection), [
          [1, false],
          [2, false],
        ]);
        assert.equal((await shared.read(name))[0]?.n, 1);
      });

      it("what it had only begun to make is made anew", async () => {
        const [collection, name] = [uniqueName(), uniqueName()];
        await using service = await openService(shared, { collection });
        await shared.write(name, documents(2));
        await shared.write(`tmp_v2_new_${name}`, [{ _id: 77, n: 77 }]);
        await die(collection, {});
        await service.migrations.run(plan(2, counting(2, name)));
        assert.deepEqual(
          (await shared.read(name)).map(({ _id, n }) => [_id, n]),
          [
            [1, 1],
            [2, 1],
          ],
        );
      });

      it("an instance whose lock was taken stops, changes nothing and says so", async () => {
        const [collection, name] = [uniqueName(), uniqueName()];
        await using service = await openService(shared, { collection, lockTtlMs: 3_000 });
        await shared.write(name, documents(2));
        let aborted = false;
        const robbed: MigrationStep = {
          version: 2,
          apply: async (context) => {
            await counting(2, name).apply(context);
            // As after a pause that was longer than the lease.
            const [lock] = (await shared.read(collection)).filter(({ _id }) => _id === 0);
            await other.driver.releaseLease(
              { name: `migrations:${collection}`, owner: String(lock?.owner), fence: Number(lock?.fence) },
              {},
            );
            await other.driver.acquireLease({ name: `migrations:${collection}`, owner: "thief", ttlMs: 60_000 }, {});
            await new Promise<void>((resolve) => context.signal.addEventListener("abort", () => resolve(), { once: true }));
            aborted = true;
          },
        };
        await assert.rejects(service.migrations.run(plan(2, robbed)), { ...failed, message: /lock .* was lost/ });
        assert.ok(aborted, "the step was not told");
        assert.deepEqual(
          (await shared.read(name)).map(({ n }) => n),
          [0, 0],
        );
        assert.equal(await service.migrations.version(), 1);
      });

      it("an instance whose lock was taken unnoticed looks before it puts anything in place", async () => {
        const [collection, name] = [uniqueName(), uniqueName()];
        await using service = await openService(shared, { collection, lockTtlMs: 60_000 });
        await shared.write(name, documents(2));
        const robbed: MigrationStep = {
          version: 2,
          apply: async (context) => {
            await counting(2, name).apply(context);
            const [lock] = (await shared.read(collection)).filter(({ _id }) => _id === 0);
            const lease = { name: `migrations:${collection}`, owner: String(lock?.owner), fence: Number(lock?.fence) };
            await other.driver.releaseLease(lease, {});
          },
        };
        await assert.rejects(service.migrations.run(plan(2, robbed)), { ...failed, message: /lock .* was lost/ });
        assert.deepEqual(
          (await shared.read(name)).map(({ n }) => n),
          [0, 0],
        );
        assert.equal(await service.migrations.version(), 1);
      });

      it("a lock that is held for longer than its lease is prolonged", async () => {
        const collection = uniqueName();
        await using service = await openService(shared, { collection, lockTtlMs: 1_500 });
        await using second = await openService(shared, { collection, maxWaitMs: 3_000 });
        const [inside, go] = [gate(), gate()];
        const slow: MigrationStep = { version: 2, apply: async () => passing(inside, go) };
        const running = service.migrations.run(plan(2, slow));
        await inside.opened;
        await assert.rejects(second.migrations.run(plan(2, slow)), locked);
        go.open();
        assert.deepEqual((await running).recorded, [1, 2]);
      });
    });
  });
}
