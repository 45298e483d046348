import { type ObjectStorage, type ObjectStorageDriver, openRegistry, type Plugin, type Registry } from "../../../core/index.ts";
import { plugin as memory } from "../../../plugins/memory/index.ts";

/** Anything of a driver, in place of the real one in memory. */
export type Instead = (real: ObjectStorageDriver) => Partial<ObjectStorageDriver>;

export interface Service extends AsyncDisposable {
  readonly registry: Registry;
  readonly storage: ObjectStorage;
  /** What lies below, for looking past the portable object. */
  readonly driver: ObjectStorageDriver;
}

/** The memory plugin with parts of its driver replaced, and a bucket named `bucket`. */
export async function open(instead: Instead = () => ({}), settings: object = {}): Promise<Service> {
  let driver: ObjectStorageDriver | undefined;
  const create = memory.provides.objectStorage as (client: never, context: never) => ObjectStorageDriver;
  const objectStorage = (client: never, context: never): ObjectStorageDriver => {
    driver = create(client, context);
    return Object.assign(Object.create(driver) as ObjectStorageDriver, bound(driver), instead(driver));
  };
  const plugin = Object.create(memory, { provides: { value: { ...memory.provides, objectStorage } } }) as Plugin;
  const registry = await openRegistry({
    config: { protocols: { objectStorage: { provider: "memory", retryDelayMs: 1, ...settings } } },
    env: {},
    plugins: [plugin],
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  });
  const storage = registry.get("objectStorage");
  await storage.createBucket("bucket");
  return { registry, storage, driver: driver as ObjectStorageDriver, [Symbol.asyncDispose]: () => registry.close() };
}

/** The driver's methods as plain functions: its private fields need their own `this`. */
function bound(driver: ObjectStorageDriver): Partial<ObjectStorageDriver> {
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(driver)).filter((name) => name !== "constructor");
  return Object.fromEntries(
    methods.map((name) => {
      const method = driver[name as keyof ObjectStorageDriver] as unknown as (...args: unknown[]) => unknown;
      return [name, method.bind(driver)];
    }),
  ) as Partial<ObjectStorageDriver>;
}

/** Fails as the plugin's own errors do. */
export function failure(code: string): Error {
  return Object.assign(new Error(`planned: ${code}`), { code });
}
