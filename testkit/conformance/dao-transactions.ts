import assert from "node:assert/strict";
import { HexkitError } from "../../core/index.ts";
import { type DaoTest, ids } from "./dao-bench.ts";
import { within } from "./event-broker.ts";

const misused = { code: "ERR_HEXKIT_TRANSACTION_INVALID" };

export function testTransactions(test: DaoTest): void {
  test(
    "refuses a transaction that it does not claim to have",
    async (bench) => {
      await using service = await bench.open();
      let ran = false;
      await assert.rejects(
        service.factory.transaction(async () => {
          ran = true;
        }),
        { code: "ERR_HEXKIT_UNSUPPORTED" },
      );
      assert.equal(ran, false);
    },
    { lacks: "transactions" },
  );

  test(
    "stores all of a transaction over several collections, and gives what its work gives",
    async (bench) => {
      await using service = await bench.open();
      const [one, other] = [await bench.people(service), await bench.people(service)];
      await other.insert({ id: "gone", name: "a" });
      const result = await service.factory.transaction(async (tx) => {
        await one.in(tx).insert({ id: "1", name: "a" });
        await other.in(tx).upsert({ id: "2", name: "b" });
        await other.in(tx).delete("gone");
        return 42;
      });
      assert.equal(result, 42);
      assert.deepEqual([ids(await one.find().toArray()), ids(await other.find().toArray())], [["1"], ["2"]]);
    },
    { needs: "transactions" },
  );

  test(
    "stores nothing of a transaction whose work throws, and throws the same",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service);
      await dao.insert({ id: "1", name: "a" });
      const own = new Error("own");
      let runs = 0;
      const failing = service.factory.transaction(async (tx) => {
        runs += 1;
        await dao.in(tx).update({ id: "1", name: "b" });
        await dao.in(tx).insertMany([
          { id: "2", name: "a" },
          { id: "3", name: "a" },
        ]);
        throw own;
      });
      assert.equal(await failing.catch((error: unknown) => error), own);
      assert.equal(runs, 1);
      assert.deepEqual(await dao.find().toArray(), [{ id: "1", name: "a" }]);
    },
    { needs: "transactions" },
  );

  test(
    "sees its own writes; nobody else does before they are committed",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service);
      await dao.insert({ id: "1", name: "a" });
      await service.factory.transaction(async (tx) => {
        const inside = dao.in(tx);
        await inside.insert({ id: "2", name: "b" });
        await inside.update({ id: "1", name: "c" });
        assert.deepEqual(await inside.find({}, { sort: "id" }).toArray(), [
          { id: "1", name: "c" },
          { id: "2", name: "b" },
        ]);
        assert.equal(await inside.count({ name: "c" }), 1);
        assert.equal((await inside.findOne({ name: "b" })).id, "2");
        assert.deepEqual(await dao.find({}, { sort: "id" }).toArray(), [{ id: "1", name: "a" }]);
        await inside.delete("1");
        await assert.rejects(inside.getById("1"), { code: "ERR_HEXKIT_DOCUMENT_NOT_FOUND" });
        assert.equal((await dao.getById("1")).name, "a");
      });
      assert.deepEqual(ids(await dao.find().toArray()), ["2"]);
    },
    { needs: "transactions" },
  );

  test(
    "reads a snapshot: what others write meanwhile is not seen",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service);
      await dao.insertMany([
        { id: "1", name: "a" },
        { id: "2", name: "a" },
      ]);
      await service.factory.transaction(async (tx) => {
        assert.equal((await dao.in(tx).getById("1")).name, "a");
        await dao.update({ id: "2", name: "changed" });
        await dao.insert({ id: "3", name: "new" });
        await dao.delete("1");
        assert.equal((await dao.in(tx).getById("2")).name, "a");
        assert.deepEqual(ids(await dao.in(tx).find({}, { sort: "id" }).toArray()), ["1", "2"]);
      });
      assert.deepEqual(ids(await dao.find({}, { sort: "id" }).toArray()), ["2", "3"]);
    },
    { needs: "transactions" },
  );

  test(
    "runs again after losing against another writer; no increment is lost",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service);
      await dao.insert({ id: "1", name: "a", age: 0 });
      let runs = 0;
      const increment = () =>
        service.factory.transaction(async (tx) => {
          runs += 1;
          const { age } = await dao.in(tx).getById("1");
          await dao.in(tx).update({ id: "1", name: "a", age: (age ?? 0) + 1 });
        });
      await Promise.all(Array.from({ length: 10 }, increment));
      assert.equal((await dao.getById("1")).age, 10);
      assert.ok(runs >= 10, `${runs} runs`);
    },
    { needs: "transactions" },
  );

  test(
    "runs again although its work swallows or wraps the conflict",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service);
      await dao.insertMany([
        { id: "1", name: "a" },
        { id: "2", name: "a" },
      ]);
      for (const answer of ["swallow", "wrap"]) {
        let runs = 0;
        await service.factory.transaction(async (tx) => {
          runs += 1;
          await dao.in(tx).getById("1");
          if (runs === 1) await dao.update({ id: "1", name: "meanwhile" });
          try {
            await dao.in(tx).update({ id: "1", name: answer });
          } catch (error) {
            if (answer === "wrap") throw new Error("mine", { cause: error });
          }
        });
        assert.equal(runs, 2, answer);
        assert.equal((await dao.getById("1")).name, answer);
      }
    },
    { needs: "transactions" },
  );

  test(
    "is ended by a call that the database refuses, also if its work goes on",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service);
      await dao.insert({ id: "1", name: "a" });
      const exists = { code: "ERR_HEXKIT_DOCUMENT_EXISTS" };
      await assert.rejects(
        service.factory.transaction(async (tx) => {
          await dao.in(tx).insert({ id: "2", name: "b" });
          await assert.rejects(dao.in(tx).insert({ id: "1", name: "b" }), exists);
          await assert.rejects(dao.in(tx).insert({ id: "3", name: "b" }), exists);
        }),
        exists,
      );
      const own = new HexkitError("ERR_HEXKIT_INVALID_ARGUMENT", "mine");
      const wrapping = service.factory.transaction(async (tx) => {
        await dao.in(tx).insert({ id: "2", name: "b" });
        await dao
          .in(tx)
          .insert({ id: "1", name: "b" })
          .catch(() => {
            throw own;
          });
      });
      assert.equal(await wrapping.catch((error: unknown) => error), own);
      assert.deepEqual(ids(await dao.find().toArray()), ["1"]);
    },
    { needs: "transactions" },
  );

  test(
    "goes on after what was refused before the database was asked",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service);
      await service.factory.transaction(async (tx) => {
        await assert.rejects(dao.in(tx).getById("1"), { code: "ERR_HEXKIT_DOCUMENT_NOT_FOUND" });
        await assert.rejects(dao.in(tx).insert({ id: "1", name: 5 as never }), { code: "ERR_HEXKIT_DOCUMENT_INVALID" });
        await dao.in(tx).insert({ id: "1", name: "a" });
      });
      assert.equal(await dao.count(), 1);
    },
    { needs: "transactions" },
  );

  test(
    "keeps unique indexes, within itself and against others",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service, [{ fields: "name", unique: true }]);
      await dao.insert({ id: "1", name: "a" });
      const violation = { code: "ERR_HEXKIT_UNIQUE_VIOLATION" };
      await assert.rejects(
        service.factory.transaction((tx) => dao.in(tx).insert({ id: "2", name: "a" })),
        violation,
      );
      await assert.rejects(
        service.factory.transaction(async (tx) => {
          await dao.in(tx).insert({ id: "2", name: "b" });
          await dao.in(tx).insert({ id: "3", name: "b" });
        }),
        violation,
      );
      await service.factory.transaction(async (tx) => {
        await dao.in(tx).update({ id: "1", name: "b" });
        await dao.in(tx).insert({ id: "2", name: "a" });
      });
      assert.deepEqual(
        (await dao.find({}, { sort: "id" }).toArray()).map(({ name }) => name),
        ["b", "a"],
      );
    },
    { needs: "transactions" },
  );

  test(
    "takes calls that its work does not wait for into it, one after the other",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service);
      await service.factory.transaction(async (tx) => {
        await Promise.all(Array.from({ length: 10 }, (_, n) => dao.in(tx).insert({ id: `${n}`, name: "a" })));
        void dao.in(tx).insert({ id: "late", name: "a" });
      });
      assert.equal(await dao.count(), 11);
    },
    { needs: "transactions" },
  );

  test(
    "refuses a transaction that is over, none at all, or of another binding",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service);
      const left = await service.factory.transaction(async (tx) => {
        for (const none of [{}, null, undefined, tx.daoTransaction]) assert.throws(() => dao.in(none as never), misused);
        const other = await bench.people({ ...service, factory: service.registry.get("dao:other") });
        assert.throws(() => other.in(tx), misused);
        return dao.in(tx);
      });
      await assert.rejects(left.insert({ id: "1", name: "a" }), misused);
      await assert.rejects(left.find().toArray(), misused);
      let failed: typeof left | undefined;
      await assert.rejects(
        service.factory.transaction(async (tx) => {
          failed = dao.in(tx);
          throw new Error("own");
        }),
        /own/,
      );
      await assert.rejects(failed?.getById("1") as Promise<unknown>, misused);
      assert.equal(await dao.count(), 0);
    },
    { needs: "transactions" },
  );

  test(
    "gives up when its time is over or its signal aborts, and stores nothing",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service);
      const never = new Promise<void>(() => {});
      const hanging = (options: object) =>
        within(
          "the end of the transaction",
          service.factory.transaction(async (tx) => {
            await dao.in(tx).insert({ id: "1", name: "a" });
            await never;
          }, options),
        );
      await assert.rejects(hanging({ timeoutMs: 200 }), { code: "ERR_HEXKIT_TIMEOUT" });
      await assert.rejects(hanging({ signal: AbortSignal.timeout(200) }), { code: "ERR_HEXKIT_ABORTED" });
      await assert.rejects(hanging({ signal: AbortSignal.abort() }), { code: "ERR_HEXKIT_ABORTED" });
      await assert.rejects(
        service.factory.transaction(async () => 1, { timeoutMs: 0 }),
        { code: "ERR_HEXKIT_INVALID_ARGUMENT" },
      );
      await assert.rejects(service.factory.transaction(5 as never), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
      await dao.insert({ id: "1", name: "b" });
      assert.equal((await dao.getById("1")).name, "b");
    },
    { needs: "transactions" },
  );

  test(
    "stops trying when its time is over, with the last conflict as cause",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service);
      await dao.insert({ id: "1", name: "a", age: 0 });
      let age = 0;
      const error = await service.factory
        .transaction(
          async (tx) => {
            await dao.in(tx).getById("1");
            age += 1;
            await dao.update({ id: "1", name: "a", age });
            await dao.in(tx).update({ id: "1", name: "lost" });
          },
          { timeoutMs: 500 },
        )
        .catch((reason: unknown) => reason as HexkitError);
      assert.equal((error as HexkitError).code, "ERR_HEXKIT_TIMEOUT");
      assert.equal(((error as HexkitError).cause as HexkitError).code, "ERR_HEXKIT_TRANSACTION_CONFLICT");
      assert.equal((await dao.getById("1")).name, "a");
    },
    { needs: "transactions" },
  );

  test(
    "takes other bindings of the same provider into it",
    async (bench) => {
      await using service = await bench.open();
      const same = await bench.people({ ...service, factory: service.registry.get("dao:same") });
      await service.factory.transaction((tx) => same.in(tx).insert({ id: "1", name: "a" }));
      assert.equal(await same.count(), 1);
    },
    { needs: "transactions" },
  );

  test(
    "takes optimistic locking into a transaction",
    async (bench) => {
      await using service = await bench.open();
      const dao = await bench.people(service);
      await dao.insert({ id: "1", name: "a" });
      const read = await dao.getById("1");
      await service.factory.transaction((tx) => dao.in(tx).update({ ...read, name: "b" }, { ifUnchangedSince: read }));
      await assert.rejects(
        service.factory.transaction((tx) => dao.in(tx).update({ ...read, name: "c" }, { ifUnchangedSince: read })),
        { code: "ERR_HEXKIT_DOCUMENT_CHANGED" },
      );
      assert.equal((await dao.getById("1")).name, "b");
    },
    { needs: "transactions" },
  );
}
