import { HexkitError } from "../../core/index.ts";

/** A container that runs, as far as it is used here. */
export interface StartedContainer {
  getHost(): string;
  getMappedPort(port: number): number;
  copyContentToContainer(contents: { content: string; target: string }[]): Promise<void>;
  exec(command: string[]): Promise<{ exitCode: number; output: string }>;
  stop(): Promise<unknown>;
}

/** A container to be started. Every method gives it back. */
export interface ContainerPlan {
  withExposedPorts(...ports: number[]): this;
  withEnvironment(environment: Record<string, string>): this;
  withEntrypoint(entrypoint: string[]): this;
  withCommand(command: string[]): this;
  withWaitStrategy(strategy: never): this;
  withStartupTimeout(ms: number): this;
  start(): Promise<StartedContainer>;
}

/** What is used of the package testcontainers. */
export interface Testcontainers {
  readonly GenericContainer: new (image: string) => ContainerPlan;
  readonly Wait: {
    forLogMessage(message: string): unknown;
    forListeningPorts(): unknown;
    forHttp(path: string, port: number): unknown;
  };
}

/** An optional peer of this package. */
export const containerPackage = { name: "testcontainers", range: "^11.14.0" } as const;

/** @throws ERR_HEXKIT_PACKAGE_MISSING */
export async function loadTestcontainers(load: () => Promise<unknown> = () => import("testcontainers")): Promise<Testcontainers> {
  try {
    return (await load()) as Testcontainers;
  } catch (cause) {
    const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown };
    const { name, range } = containerPackage;
    if (code !== "ERR_MODULE_NOT_FOUND" || !String(message).includes(`'${name}'`)) throw cause;
    const way = `npm install --save-dev ${name}@"${range}"`;
    throw new HexkitError("ERR_HEXKIT_PACKAGE_MISSING", `hexkit/testkit/containers needs the package ${name} (${range}): ${way}`, {
      cause,
    });
  }
}
