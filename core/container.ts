import { createRequire } from "node:module";
import type { DependencyContainer } from "tsyringe";

let root: DependencyContainer | undefined;

/** Names the container that registries derive theirs from: `hexkit/inject` does, so that decorators and registries share one. */
export function useContainer(container: DependencyContainer): void {
  root = container;
}

/** A registry's own container. tsyringe is loaded by the first one that is asked for, and not by services that inject nothing. */
export function createContainer(): DependencyContainer {
  if (root === undefined) {
    // Synchronously, because `registry.container` is a property. reflect-metadata first: tsyringe refuses to load without it.
    createRequire(import.meta.url)("reflect-metadata");
    root = (createRequire(import.meta.url)("tsyringe") as typeof import("tsyringe")).container;
  }
  return root.createChildContainer();
}
