import { randomUUID } from "node:crypto";
import { idKey } from "../../../plugins/memory/collection.ts";
import { clearMemorySpace, plugin } from "../../../plugins/memory/index.ts";
import { enterSpace } from "../../../plugins/memory/spaces.ts";
import { testMigrationLock } from "../../core/migrations/migrations-lock.ts";
import type { MigrationsDatabase } from "../../core/migrations/migrations-subject.ts";
import { testMigrations } from "../../core/migrations/migrations-suite.ts";

async function open(): Promise<MigrationsDatabase> {
  const space = randomUUID();
  const { database, release } = enterSpace(space, {});
  return {
    plugin,
    options: { space, partitions: 3, maxMessageBytes: 1_048_576, maxDocumentBytes: 16_777_216 },
    read: async (name) => [...database.documents(name)].map((document) => ({ ...document })).sort((a, b) => Number(a._id) - Number(b._id)),
    write: async (name, documents) => {
      for (const document of documents) database.put(name, idKey(document._id), document);
    },
    remove: async (name, id) => database.put(name, idKey(id), undefined),
    collections: async () => database.names,
    indexes: async (name) =>
      database.collection(name).indexes.map(({ fields, unique }) => ({ name: fields.map(({ path }) => path.join(".")).join(), unique })),
    close: async () => {
      await release();
      clearMemorySpace(space);
    },
  };
}

testMigrations("memory", open);
testMigrationLock("memory", open);
