// tsyringe refuses to load without it.
import "reflect-metadata";
import { container } from "tsyringe";
import { useContainer } from "./container.ts";

useContainer(container);

/**
 * The decorators that mark a service's classes for `registry.container`. A class to be resolved needs `@injectable()`,
 * and `@inject("<binding>")` on every constructor parameter. Compile with `experimentalDecorators`.
 */
export { type DependencyContainer, inject, injectable } from "tsyringe";
