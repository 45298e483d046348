import type { CallOptions, DaoDriver, ObjectStorage, Registry } from "../core/index.ts";
import { insideOf } from "../core/inside.ts";
import { reach, Topics } from "./reach.ts";
import { demandTestRegistry } from "./test-registry.ts";

export interface FixtureOptions extends CallOptions {
  /** Whose server is meant. Default: that of the unnamed binding. */
  readonly binding?: string;
}

/**
 * Deletes the records of topics. Offsets go on growing, groups go on at what comes next, and compacted topics are served too. A topic that does not
 * exist is no error. `"all"`: every topic of the broker but its own (`__…`).
 * @throws ERR_HEXKIT_INVALID_ARGUMENT unless `openTestRegistry` opened the registry; ERR_HEXKIT_UNSUPPORTED if the plugin cannot; what the broker says.
 */
export async function clearTopics(
  registry: Registry,
  topics: string | readonly string[] | "all",
  options: FixtureOptions = {},
): Promise<void> {
  demandTestRegistry(registry, "clearTopics");
  const { binding, signal } = options;
  const reader = await Topics.of(registry, "clearTopics", binding);
  const { access } = reader;
  const names = topics === "all" ? await reader.run("clear", ["all"], { signal }, () => access.list({ signal })) : listOf(topics);
  await reader.run("clear", names, { signal }, async () => access.clear(await access.extents(names, { signal }), { signal }));
}

/**
 * Deletes all objects of buckets and aborts their open uploads; the buckets stay. `"all"`: every bucket that the provider lists.
 * @throws ERR_HEXKIT_INVALID_ARGUMENT unless `openTestRegistry` opened the registry; what `ObjectStorage` throws.
 */
export async function emptyBuckets(
  registry: Registry,
  buckets: string | readonly string[] | "all",
  options: FixtureOptions = {},
): Promise<void> {
  demandTestRegistry(registry, "emptyBuckets");
  const { binding, signal } = options;
  const { api } = await reach<unknown, ObjectStorage>(registry, "emptyBuckets", "objectStorage", binding, ["objectStorage"]);
  const names = buckets === "all" ? (await api.listBuckets({ signal })).map(({ bucket }) => bucket) : listOf(buckets);
  for (const name of names) {
    for await (const upload of api.multipart.list(name, { signal })) await api.multipart.abort(upload, { signal });
    const keys: string[] = [];
    for await (const { key } of api.list(name, { signal })) keys.push(key);
    await api.deleteMany(name, keys, { signal });
  }
}

/**
 * Deletes all documents of collections, what outboxes and the persistent publisher keep there included; collections and their indexes stay.
 * `"all"`: every collection of the database but those in which leases and the records of migrations lie.
 * @throws ERR_HEXKIT_INVALID_ARGUMENT unless `openTestRegistry` opened the registry; ERR_HEXKIT_UNSUPPORTED if the plugin cannot; what the database says.
 */
export async function emptyCollections(
  registry: Registry,
  collections: string | readonly string[] | "all",
  options: FixtureOptions = {},
): Promise<void> {
  demandTestRegistry(registry, "emptyCollections");
  const { binding, signal } = options;
  const { driver, context } = await reach<DaoDriver, unknown>(registry, "emptyCollections", "dao", binding, ["dao"]);
  const { collections: access } = driver;
  if (access === undefined) throw context.error("ERR_HEXKIT_UNSUPPORTED", "emptyCollections: the plugin's dao driver has no `collections`");
  const kept = collections === "all" ? await versionRecords(registry) : [];
  const names =
    collections === "all" ? await context.call("list", "all collections", { signal }, () => access.list({ signal })) : listOf(collections);
  for (const name of names.filter((each) => !kept.includes(each)))
    await context.call("empty", `collection ${name}`, { signal }, () => access.empty(name, { signal }));
}

/** Where the migrations of the registry keep what version the database has. */
async function versionRecords(registry: Registry): Promise<unknown[]> {
  const inside = insideOf(registry, "emptyCollections");
  const bound = inside.bindings.filter(({ protocol }) => protocol === "migrations");
  const found = await Promise.all(bound.map(({ binding }) => inside.beside(binding, "migrations")));
  return found.map((each) => each?.context.settings.collection);
}

function listOf(names: string | readonly string[]): readonly string[] {
  return typeof names === "string" ? [names] : names;
}
