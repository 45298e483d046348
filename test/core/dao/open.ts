import { randomUUID } from "node:crypto";
import { type DaoFactory, openRegistry, type Registry } from "../../../core/index.ts";
import { plugin } from "../../../plugins/memory/index.ts";
import { chaos } from "../../../testkit/index.ts";

/** A registry over memory whose calls a test may let fail. */
export async function openDao(
  settings: object = {},
): Promise<{ registry: Registry; factory: DaoFactory; plan: ReturnType<typeof chaos>["plan"]; name(): string } & AsyncDisposable> {
  const { plugin: memory, plan } = chaos(plugin);
  const registry = await openRegistry({
    config: { protocols: { dao: { provider: "memory", ...settings } } },
    env: {},
    plugins: [memory],
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  });
  return {
    registry,
    plan,
    factory: registry.get("dao"),
    name: () => `c-${randomUUID()}`,
    [Symbol.asyncDispose]: () => registry.close(),
  };
}
