import { randomUUID } from "node:crypto";
import { openRegistry } from "../../core/index.ts";
import { plugin as memory } from "../../plugins/memory/index.ts";
import { plugin as mongodb } from "../../plugins/mongodb/index.ts";
import { databaseName, mongodbDsn, openMongo } from "../services/mongodb.ts";
import { compareModels, type ModelRun, openModel } from "./dao-model.ts";

/** R27 on a real server: memory against MongoDB. */
export async function compareWithMemory(run: Omit<ModelRun, "open">): Promise<void> {
  const database = databaseName();
  await using _mongo = await openMongo(database);
  await using registry = await openRegistry({
    config: {
      providers: { real: { plugin: "mongodb", options: { dsn: mongodbDsn(), database } } },
      protocols: { dao: "memory", "dao:real": "real" },
    },
    env: {},
    plugins: [memory, mongodb],
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  });
  const name = (): string => `c-${randomUUID()}`;
  await compareModels({
    open: async () => [await openModel(registry.get("dao"), name()), await openModel(registry.get("dao:real"), name())],
    ...run,
  });
}
