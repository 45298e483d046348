// #region database

import { randomUUID } from "node:crypto";
import { idKey } from "../../../plugins/memory/collection.ts";
import { clearMemorySpace } from "../../../plugins/memory/index.ts";
import { enterSpace } from "../../../plugins/memory/spaces.ts";
import type { DaoDatabase } from "../../../testkit/conformance/index.ts";

export const maxDocumentBytes = 300_000;

/** A database of its own for the conformance suites. */
export async function openDatabase(): Promise<DaoDatabase> {
  const space = randomUUID();
  const { database, release } = enterSpace(space, {});
  return {
    options: { space, maxDocumentBytes },
    read: async (collection) => [...database.documents(collection)].sort((a, b) => (String(a._id) < String(b._id) ? -1 : 1)),
    write: async (collection, documents) => {
      for (const document of documents) database.put(collection, idKey(document._id), document);
    },
    indexes: async (collection) => database.collection(collection).indexFields,
    close: async () => {
      await release();
      clearMemorySpace(space);
    },
  };
}
// #endregion
