import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type MigrationContext, type MigrationStep, type StoredDocument, systemClock } from "../../../core/index.ts";
import {
  counting,
  documents,
  type MigrationsDatabase,
  openService,
  plan,
  records,
  uniqueName,
  withDatabase,
} from "./migrations-subject.ts";

const failed = { code: "ERR_HEXKIT_MIGRATION_FAILED" };
const invalid = { code: "ERR_HEXKIT_MIGRATION_INVALID" };

/** What migrations owe on every database: checklist 141 to 150 of the contract, and where they go beyond Python's. `open` gives a database of its own. */
export function testMigrations(name: string, open: () => Promise<MigrationsDatabase>): void {
  describe(`migrations: ${name}`, () => {
    const test = (title: string, work: (database: MigrationsDatabase) => Promise<void>): void =>
      void it(title, { timeout: 60_000 }, () => withDatabase(open, work));

    test("an unversioned database becomes version 1, and nothing else happens (141)", async (database) => {
      await using service = await openService(database);
      assert.equal(await service.migrations.version(), 0);
      assert.deepEqual(await service.migrations.run(plan(1)), { from: 0, to: 1, recorded: [1] });
      assert.equal(await service.migrations.version(), 1);
      const [record, ...others] = await database.read("db_versions");
      assert.deepEqual(others, []);
      assert.deepEqual(Object.keys(record ?? {}).sort(), ["_id", "backward", "completed", "total_duration_ms", "version"]);
      assert.equal(record?.backward, false);
      assert.ok(record?.completed instanceof Date, "completed is no date");
      assert.equal(typeof record?.total_duration_ms, "number");
    });

    test("documents are transformed, temporary collections gone, each version recorded (142)", async (database) => {
      await using service = await openService(database);
      const name = uniqueName();
      await database.write(name, documents(3));
      const report = await service.migrations.run(plan(3, counting(2, name), counting(3, name)));
      assert.deepEqual(report, { from: 0, to: 3, recorded: [1, 2, 3] });
      assert.deepEqual(
        (await database.read(name)).map(({ n }) => n),
        [2, 2, 2],
      );
      assert.deepEqual((await database.collections()).toSorted(), [name, "db_versions"].sort());
      assert.deepEqual(await records(database), [
        [1, false],
        [2, false],
        [3, false],
      ]);
    });

    test("at the target nothing is executed, recorded or locked (143)", async (database) => {
      await using service = await openService(database);
      const name = uniqueName();
      await database.write(name, documents(1));
      await service.migrations.run(plan(2, counting(2, name)));
      const never: MigrationStep = { version: 2, apply: async () => assert.fail("it ran again") };
      assert.deepEqual(await service.migrations.run(plan(2, never)), { from: 2, to: 2, recorded: [] });
      assert.equal((await records(database)).length, 2);
    });

    test("goes on from the version that Python recorded", async (database) => {
      await using service = await openService(database, { collection: "versions_py" });
      const name = uniqueName();
      await database.write(name, documents(1));
      const record = (version: number, at: number): StoredDocument => ({
        _id: `r${version}`,
        version,
        completed: new Date(at),
        backward: false,
        total_duration_ms: 3,
      });
      await database.write("versions_py", [record(5, 2_000), record(1, 1_000)]);
      assert.equal(await service.migrations.version(), 5);
      assert.deepEqual((await service.migrations.run(plan(6, counting(6, name)))).recorded, [6]);
    });

    test("what is recorded counts even if an earlier record is from a clock that is ahead", async (database) => {
      await using service = await openService(database);
      const name = uniqueName();
      await database.write(name, documents(1));
      const ahead = new Date(Date.now() + 3_600_000);
      await database.write("db_versions", [{ _id: "r", version: 2, completed: ahead, backward: false, total_duration_ms: 1 }]);
      await service.migrations.run(plan(1, counting(2, name)));
      assert.equal(await service.migrations.version(), 1);
    });

    test("of records of the same time the highest version counts", async (database) => {
      await using service = await openService(database);
      const completed = new Date(1_000);
      for (const version of [2, 4, 3]) {
        await database.write("db_versions", [{ _id: `r${version}`, version, completed, backward: false, total_duration_ms: 1 }]);
      }
      assert.equal(await service.migrations.version(), 4);
    });

    test("how long a step took is recorded, in milliseconds", async (database) => {
      await using service = await openService(database);
      const slow: MigrationStep = { version: 2, apply: () => systemClock.sleep(40) };
      await service.migrations.run(plan(2, slow));
      const record = (await database.read("db_versions")).find(({ version }) => version === 2);
      const durationMs = Number(record?.total_duration_ms);
      // Timers may come a moment early.
      assert.ok(durationMs >= 35 && durationMs < 60_000, `${durationMs} ms`);
    });

    test("a collection of which no document is left stays, empty", async (database) => {
      await using service = await openService(database);
      const name = uniqueName();
      await database.write(name, documents(2));
      const none: MigrationStep = {
        version: 2,
        apply: async ({ transform }) => {
          assert.equal(await transform(name, () => undefined), 0);
        },
      };
      await service.migrations.run(plan(2, none));
      assert.deepEqual(await database.read(name), []);
      assert.deepEqual((await database.collections()).toSorted(), [name, "db_versions"].sort());
    });

    test("indexes are kept with name and options, or left out if so asked (145)", async (database) => {
      await using service = await openService(database);
      const [kept, left] = [uniqueName(), uniqueName()];
      const schema = {
        type: "object",
        required: ["id"],
        properties: { id: { type: "integer" }, n: { type: "integer" }, a: { type: "string" } },
      } as const;
      for (const name of [kept, left]) {
        const indexes = [{ fields: "a" as const, unique: true, sparse: true }, { fields: { n: -1, a: 1 } as const }];
        const dao = await service.registry.get("dao").open({ name, schema, idField: "id", indexes });
        await dao.insertMany([
          { id: 1, n: 0, a: "x" },
          { id: 2, n: 0, a: "y" },
          { id: 3, n: 0 },
        ]);
      }
      const before = await database.indexes(kept);
      assert.equal(before.length, 2);
      const both: MigrationStep = {
        version: 2,
        apply: async (context) => {
          await counting(2, kept).apply(context);
          await counting(2, left, { copyIndexes: false }).apply(context);
        },
      };
      await service.migrations.run(plan(2, both));
      assert.deepEqual(await database.indexes(kept), before);
      assert.deepEqual(await database.indexes(left), []);
    });

    test("documents that a kept unique index forbids make the step fail before anything is replaced", async (database) => {
      await using service = await openService(database);
      const name = uniqueName();
      const schema = { type: "object", required: ["id"], properties: { id: { type: "integer" }, a: { type: "string" } } } as const;
      const dao = await service.registry.get("dao").open({ name, schema, idField: "id", indexes: [{ fields: "a", unique: true }] });
      await dao.insertMany([
        { id: 1, a: "x" },
        { id: 2, a: "y" },
      ]);
      const same: MigrationStep = {
        version: 2,
        apply: async ({ transform }) => {
          await transform(name, (document) => ({ ...document, a: "same" }));
        },
      };
      await assert.rejects(service.migrations.run(plan(2, same)), failed);
      assert.deepEqual(
        (await dao.find({}, { sort: "id" }).toArray()).map(({ a }) => a),
        ["x", "y"],
      );
    });

    test("a failing step leaves data and names as they were, no temporary collection and no lock; those before it stay recorded (146)", async (database) => {
      await using service = await openService(database);
      const [name, other] = [uniqueName(), uniqueName()];
      for (const each of [name, other]) await database.write(each, documents(2));
      const failing: MigrationStep = {
        version: 3,
        apply: async (context) => {
          await counting(3, other).apply(context);
          await context.transform(name, (document) => {
            if (document._id === 2) throw new Error("the second document is odd");
            return { ...document, n: 100 };
          });
        },
      };
      const error = await service.migrations.run(plan(3, counting(2, name), failing)).then(
        () => assert.fail("it succeeded"),
        (thrown: unknown) => thrown as { code: string; message: string; cause: Error },
      );
      assert.equal(error.code, failed.code);
      assert.match(error.message, /step 3 failed: the second document is odd/);
      assert.equal(error.cause.message, "the second document is odd");
      assert.deepEqual(
        (await database.read(name)).map(({ n }) => n),
        [1, 1],
      );
      assert.deepEqual(
        (await database.read(other)).map(({ n }) => n),
        [0, 0],
      );
      assert.deepEqual((await database.collections()).toSorted(), [name, other, "db_versions"].sort());
      assert.deepEqual(await records(database), [
        [1, false],
        [2, false],
      ]);
      assert.deepEqual(
        (await database.read("db_versions")).filter(({ _id }) => _id === 0),
        [],
      );
      assert.ok(
        service.lines.some(({ level, message }) => level === "error" && message.includes("failed")),
        "nothing was logged",
      );
      // And the next run takes up from there.
      assert.deepEqual((await service.migrations.run(plan(3, counting(2, name), counting(3, name)))).recorded, [3]);
    });

    test("goes back in descending order, recorded as backward (147)", async (database) => {
      await using service = await openService(database);
      const name = uniqueName();
      await database.write(name, documents(1));
      const order: string[] = [];
      const steps = [2, 3].map((version): MigrationStep => {
        const step = counting(version, name);
        const traced = (what: "apply" | "unapply") => async (context: MigrationContext) => {
          order.push(`${what} ${version}${context.isLast ? " last" : ""}${context.isBackward ? " backward" : ""}`);
          await step[what]?.(context);
        };
        return { version, apply: traced("apply"), unapply: traced("unapply") };
      });
      await service.migrations.run(plan(3, ...steps));
      assert.deepEqual((await service.migrations.run(plan(1, ...steps))).recorded, [2, 1]);
      assert.deepEqual(order, ["apply 2", "apply 3 last", "unapply 3 backward", "unapply 2 last backward"]);
      assert.equal((await database.read(name))[0]?.n, 0);
      assert.equal(await service.migrations.version(), 1);
      assert.deepEqual((await records(database)).slice(3), [
        [2, true],
        [1, true],
      ]);
    });

    test("a step without a way back is refused before anything runs (147)", async (database) => {
      await using service = await openService(database);
      const name = uniqueName();
      await database.write(name, documents(1));
      const steps = [{ version: 2, apply: async () => undefined }, counting(3, name)];
      await service.migrations.run(plan(3, ...steps));
      await assert.rejects(service.migrations.run(plan(1, ...steps)), { ...invalid, message: /step 2 has no `unapply`/ });
      assert.equal((await database.read(name))[0]?.n, 1);
      assert.equal(await service.migrations.version(), 3);
    });

    test("a missing step is refused before anything runs; a bad plan at once (148)", async (database) => {
      await using service = await openService(database);
      const { migrations } = service;
      const name = uniqueName();
      await database.write(name, documents(1));
      await assert.rejects(migrations.run(plan(3, counting(2, name))), { ...invalid, message: /no step 3/ });
      assert.equal((await database.read(name))[0]?.n, 0);
      const bad = { code: "ERR_HEXKIT_INVALID_ARGUMENT" };
      for (const target of [0, -1, 1.5, Number.NaN, "2", undefined])
        await assert.rejects(migrations.run({ target, steps: [] } as never), bad);
      await assert.rejects(migrations.check(0), bad);
      for (const steps of [undefined, [undefined], [{ version: 1, apply: async () => undefined }], [{ version: 2 }]]) {
        await assert.rejects(migrations.run({ target: 2, steps } as never), bad);
      }
      await assert.rejects(migrations.run(plan(2, counting(2, name), counting(2, name))), { ...bad, message: /two steps have version 2/ });
    });

    test("of more documents than a batch, none is lost; some may be left out (149)", async (database) => {
      await using service = await openService(database, { batchSize: 7 });
      const name = uniqueName();
      await database.write(name, documents(100));
      let written = 0;
      const step: MigrationStep = {
        version: 2,
        apply: async ({ transform }) => {
          written = await transform(name, async (document) =>
            Number(document._id) % 10 === 0 ? undefined : { ...document, n: document._id as number },
          );
        },
      };
      await service.migrations.run(plan(2, step));
      assert.equal(written, 90);
      const found = await database.read(name);
      assert.equal(found.length, 90);
      assert.ok(
        found.every(({ _id, n }) => _id === n),
        "a document is wrong",
      );
    });

    test("what does not fit the schema fails the last step, and only that (150)", async (database) => {
      await using service = await openService(database);
      const name = uniqueName();
      await database.write(name, [
        { _id: 1, n: 0 },
        { _id: 2, __metadata__: { deleted: true, published: true } },
      ]);
      const schema = {
        type: "object",
        additionalProperties: false,
        required: ["id", "n"],
        properties: { id: { type: "integer" }, n: { type: "integer" } },
      } as const;
      const step = (version: number, n: unknown, more = {}): MigrationStep => ({
        version,
        apply: async ({ transform }) => {
          const change = (document: StoredDocument) => ("__metadata__" in document ? document : ({ ...document, n } as StoredDocument));
          await transform(name, change, { validate: { schema, idField: "id" }, ...more });
        },
      });
      await assert.rejects(service.migrations.run(plan(2, step(2, "text"))), { ...failed, message: /does not fit/ });
      await assert.rejects(service.migrations.run(plan(3, step(2, "text", { alwaysValidate: true }), step(3, 5))), failed);
      assert.equal(await service.migrations.version(), 1);
      assert.deepEqual((await service.migrations.run(plan(3, step(2, "text"), step(3, 5)))).recorded, [2, 3]);
      assert.equal((await database.read(name))[0]?.n, 5);
    });

    test("an empty collection and a missing one are no trouble", async (database) => {
      await using service = await openService(database);
      const [emptied, missing] = [uniqueName(), uniqueName()];
      await database.write(emptied, documents(1));
      await database.remove(emptied, 1);
      const step: MigrationStep = {
        version: 2,
        apply: async (context) => {
          for (const name of [emptied, missing]) await counting(2, name).apply(context);
        },
      };
      await service.migrations.run(plan(2, step));
      assert.deepEqual((await database.collections()).toSorted(), [emptied, "db_versions"].sort());
      assert.ok(
        service.lines.some(({ level, message }) => level === "warn" && message.includes("not there")),
        "no warning",
      );
    });

    test("a collection that grows meanwhile fails the step and stays as it is", async (database) => {
      await using service = await openService(database);
      const name = uniqueName();
      await database.write(name, documents(3));
      let added = false;
      const step: MigrationStep = {
        version: 2,
        apply: async ({ transform }) => {
          await transform(
            name,
            async (document) => {
              if (!added) await database.write(name, [{ _id: 99, n: 0 }]);
              added = true;
              return { ...document, n: 5 };
            },
            {},
          );
        },
      };
      // Whether the reader still meets the new document is the database's affair; the count is compared in any case.
      await service.migrations.run(plan(2, step)).catch((error: { code: string }) => assert.equal(error.code, failed.code));
      const found = await database.read(name);
      assert.equal(found.length, 4);
      const expected = (await service.migrations.version()) === 2 ? 5 : 0;
      assert.ok(
        found.filter(({ _id }) => _id !== 99).every(({ n }) => n === expected),
        "half a migration",
      );
    });

    test("a collection cannot be transformed twice in one step", async (database) => {
      await using service = await openService(database);
      const name = uniqueName();
      await database.write(name, documents(1));
      const twice: MigrationStep = {
        version: 2,
        apply: async (context) => {
          await counting(2, name).apply(context);
          await counting(2, name).apply(context);
        },
      };
      await assert.rejects(service.migrations.run(plan(2, twice)), { ...failed, message: /transformed twice/ });
      assert.equal((await database.read(name))[0]?.n, 0);
    });

    test("a step may read raw documents and use the driver and the client", async (database) => {
      await using service = await openService(database);
      const name = uniqueName();
      await database.write(name, documents(3));
      const step: MigrationStep = {
        version: 2,
        apply: async ({ documents: all, driver, native }) => {
          assert.ok(native, "no client");
          const found: StoredDocument[] = [];
          for await (const document of all(name)) found.push(document);
          for (const document of found) await driver.upsert(`${name}_copy`, document, {});
        },
      };
      await service.migrations.run(plan(2, step));
      assert.equal((await database.read(`${name}_copy`)).length, 3);
    });
  });
}
