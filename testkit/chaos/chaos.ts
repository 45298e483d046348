import {
  definePlugin,
  type EventSubscriberDriver,
  type ObjectStorageDriver,
  type OptionsSchema,
  type Plugin,
  type PluginDefinition,
  type ProviderContext,
  systemClock,
} from "../../core/index.ts";
import { acquireThroughPlan, storageThroughPlan, subscriberThroughPlan, throughPlan } from "./drivers.ts";
import type { Run } from "./operations.ts";
import { type ChaosPlan, Plan } from "./plan.ts";

export interface Chaos {
  /** For `openRegistry({ plugins: [plugin] })`: same name, options and classification of errors as the real one. */
  readonly plugin: Plugin;
  /** For everything that is opened with it. Empty at first: then it behaves like the real one. */
  readonly plan: ChaosPlan;
}

/**
 * Wraps any plugin so that a test decides what goes wrong with it, and when. Nothing happens by chance or by time unless the plan says so.
 * Every driver of the plugin goes through the plan, also those of protocols that this package does not know.
 */
export function chaos(plugin: Plugin): Chaos {
  const plan = new Plan();
  let clock = systemClock;
  const run: Run = (operation, args, real) => plan.run(operation, args, clock, real);
  const drivers = Object.entries(plugin.provides).map(([protocol, create]) => [
    protocol,
    async (client: never, context: ProviderContext) => {
      const driver = (await create(client, context)) as object;
      if (protocol === "eventSubscriber") return subscriberThroughPlan(driver as EventSubscriberDriver, run);
      if (protocol === "objectStorage") return storageThroughPlan(driver as ObjectStorageDriver, run);
      return throughPlan(protocol, driver, run);
    },
  ]);
  const close = async (client: unknown): Promise<void> => plugin.close?.(client);
  const definition = {
    ...plugin,
    open: (options: object, context: ProviderContext): Promise<unknown> => {
      clock = context.clock;
      const open = async (...args: [object, ProviderContext]): Promise<unknown> => plugin.open(...args);
      return acquireThroughPlan(run, "provider.open", [options, context], open, close);
    },
    close,
    check: async (client: unknown, signal: AbortSignal): Promise<void> => {
      await run("provider.check", [client, signal], (...args: [unknown, AbortSignal]) => plugin.check?.(...args));
    },
    provides: Object.fromEntries(drivers),
  };
  return { plan, plugin: definePlugin(definition as unknown as PluginDefinition<OptionsSchema, object>) };
}
