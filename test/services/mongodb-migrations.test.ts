import { plugin } from "../../plugins/mongodb/index.ts";
import { testMigrationLock } from "../core/migrations/migrations-lock.ts";
import type { MigrationsDatabase } from "../core/migrations/migrations-subject.ts";
import { testMigrations } from "../core/migrations/migrations-suite.ts";
import { databaseName, mongodbDsn, openMongo, withDefaults } from "./mongodb.ts";

async function open(): Promise<MigrationsDatabase> {
  const database = databaseName();
  const mongo = await openMongo(database);
  const db = mongo.client.db(database);
  return {
    plugin,
    options: withDefaults({ dsn: mongodbDsn(), database }),
    read: (name) => db.collection(name).find().sort({ _id: 1 }).toArray(),
    write: async (name, documents) => {
      await db.collection(name).insertMany(documents as never);
    },
    remove: async (name, id) => {
      await db.collection(name).deleteOne({ _id: id as never });
    },
    collections: async () => (await db.listCollections().toArray()).map(({ name }) => name).filter((name) => name !== "hexkit_leases"),
    indexes: async (name) =>
      (await db.collection(name).indexes())
        .filter((index) => index.name !== "_id_")
        .map((index) => ({ name: String(index.name), unique: index.unique ?? false })),
    close: async () => mongo[Symbol.asyncDispose](),
  };
}

testMigrations("mongodb", open);
testMigrationLock("mongodb", open);
