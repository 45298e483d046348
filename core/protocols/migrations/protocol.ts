import type { CallOptions } from "../../call.ts";
import type { DaoDriver } from "../dao/driver.ts";
import { type BindingFacts, defineProtocol, type ProtocolContext } from "../index.ts";
import type { MigrationsDriver } from "./driver.ts";
import type { MigrationPlan, MigrationReport, Migrations } from "./migrations.ts";
import { MigrationRun } from "./runner.ts";
import { type MigrationsSettings, migrationsSettings } from "./settings.ts";

export const migrationsProtocol = defineProtocol({
  name: "migrations",
  id: "hexkit/migrations",
  version: 1,
  summary: "Brings a document database to the version that a program works with.",
  settings: migrationsSettings,
  methods: { latest: true, record: true, exists: true, createLike: true, copyIndexes: true, replace: true, drop: true },
  companions: ["dao"],
  check: (_settings: MigrationsSettings, { provides }: BindingFacts) =>
    provides.includes("dao") ? [] : ["provider: migrations need a plugin that offers `dao` as well"],
  create: (driver, context) => new PortableMigrations(driver, context),
});

class PortableMigrations implements Migrations {
  readonly #driver: MigrationsDriver;
  readonly #context: ProtocolContext<MigrationsSettings>;
  readonly #running = new Set<Promise<unknown>>();

  constructor(driver: MigrationsDriver, context: ProtocolContext<MigrationsSettings>) {
    this.#driver = driver;
    this.#context = context;
    // A run that is told to stop gives its lock back before the client goes.
    context.onClose("relays", async () => {
      await Promise.allSettled(this.#running);
    });
  }

  version(options?: CallOptions): Promise<number> {
    const { collection } = this.#context.settings;
    return this.#context.call("version", collection, options, async (signal) => {
      return (await this.#driver.latest(collection, { signal }))?.version ?? 0;
    });
  }

  async check(target: number, options?: CallOptions): Promise<void> {
    this.#checkTarget(target, "check");
    const version = await this.version(options);
    if (version === target) return;
    const found = version === 0 ? "none" : `${version}`;
    throw this.#context.error("ERR_HEXKIT_MIGRATION_VERSION", `check: the database has version ${found}, this program needs ${target}`);
  }

  async run(plan: MigrationPlan, options?: CallOptions): Promise<MigrationReport> {
    const context = this.#context;
    this.#checkPlan(plan);
    const dao = context.companion("dao") as DaoDriver;
    if (!dao.capabilities.leases) throw context.error("ERR_HEXKIT_UNSUPPORTED", "run: this provider has no leases");
    return context.call("run", context.settings.collection, options, (signal) => {
      const running = new MigrationRun(dao, this.#driver, context, plan).run(
        AbortSignal.any([context.closing, ...(signal ? [signal] : [])]),
      );
      this.#running.add(running);
      const forget = (): unknown => this.#running.delete(running);
      running.then(forget, forget);
      return running;
    });
  }

  #checkTarget(target: unknown, operation: string): void {
    if (Number.isSafeInteger(target) && (target as number) >= 1) return;
    throw this.#context.error(
      "ERR_HEXKIT_INVALID_ARGUMENT",
      `${operation}: target is an integer from 1, not ${JSON.stringify(target) ?? typeof target}`,
    );
  }

  #checkPlan(plan: MigrationPlan): void {
    const refuse = (fact: string): Error => this.#context.error("ERR_HEXKIT_INVALID_ARGUMENT", `run: ${fact}`);
    if (typeof plan !== "object" || plan === null || !Array.isArray(plan.steps)) throw refuse("it takes { target, steps }");
    this.#checkTarget(plan.target, "run");
    const seen = new Set<unknown>();
    for (const step of plan.steps) {
      const { version, apply, unapply } = (step ?? {}) as Partial<MigrationPlan["steps"][number]>;
      if (!Number.isSafeInteger(version) || (version as number) < 2)
        throw refuse("each step has a version, an integer from 2; 1 is made here");
      if (typeof apply !== "function") throw refuse(`step ${version}: \`apply\` must be a function`);
      if (unapply !== undefined && typeof unapply !== "function") throw refuse(`step ${version}: \`unapply\` must be a function`);
      if (seen.has(version)) throw refuse(`two steps have version ${version}`);
      seen.add(version);
    }
  }
}
