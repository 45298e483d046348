import { HexkitError, systemClock } from "../../core/index.ts";
import type { ContainerPlan, StartedContainer, Testcontainers } from "./client.ts";

export interface ContainerOptions {
  /** Another image, such as one of a registry of your own. */
  readonly image?: string;
  /** How long it may take until the server answers, pulling the image excepted. Default: 120,000. */
  readonly startTimeoutMs?: number;
}

/** A server in a container, of the test's own. It ends with `stop`, at the end of `await using`, or with the process. */
export interface ServerInContainer extends AsyncDisposable {
  readonly image: string;
  /** For `providers` of a configuration: the plugin, and the options that reach the server. */
  readonly provider: { readonly plugin: string; readonly options: Readonly<Record<string, string | boolean | readonly string[]>> };
  /** The variables that bind these bindings to the server: for `openTestRegistry(config, { env })`. */
  bind(...bindings: readonly string[]): Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** How one kind of server is started. */
export interface ServerSpec {
  readonly image: string;
  readonly plugin: string;
  plan(container: ContainerPlan, library: Testcontainers): ContainerPlan;
  /** Makes it usable, and resolves once it is. `until` repeats a command inside until it succeeds. */
  ready?(container: StartedContainer, until: (command: string[]) => Promise<void>): Promise<void>;
  options(container: StartedContainer): ServerInContainer["provider"]["options"];
}

const pollMs = 250;
/** What testcontainers 11.14 says when no engine answers. */
const noEngine = /container runtime strategy/;

/** @throws ERR_HEXKIT_UNAVAILABLE if no engine answers or the container does not start, ERR_HEXKIT_TIMEOUT if the server does not answer in time. */
export async function startServer(
  spec: ServerSpec,
  { image = spec.image, startTimeoutMs = 120_000 }: ContainerOptions,
  library: Testcontainers,
): Promise<ServerInContainer> {
  const plan = spec.plan(new library.GenericContainer(image).withStartupTimeout(startTimeoutMs), library);
  const container = await plan.start().catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const fact = noEngine.test(reason)
      ? `no container engine answers, so ${image} cannot be started: start Docker or Podman, or name one by DOCKER_HOST`
      : `the container of ${image} did not start: ${reason}`;
    throw new HexkitError("ERR_HEXKIT_UNAVAILABLE", fact, { cause });
  });
  try {
    await spec.ready?.(container, (command) => until(container, image, command, startTimeoutMs));
  } catch (error) {
    await container.stop();
    throw error;
  }
  return running(spec, image, container);
}

async function until(container: StartedContainer, image: string, command: string[], timeoutMs: number): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; ; ) {
    const { exitCode, output } = await container.exec(command);
    if (exitCode === 0) return;
    if (Date.now() > deadline)
      throw new HexkitError("ERR_HEXKIT_TIMEOUT", `${image} does not answer after ${timeoutMs} ms: ${output.trim().slice(-500)}`);
    await systemClock.sleep(pollMs);
  }
}

function running(spec: ServerSpec, image: string, container: StartedContainer): ServerInContainer {
  const { plugin } = spec;
  const options = spec.options(container);
  let stopping: Promise<unknown> | undefined;
  const stop = async (): Promise<void> => {
    stopping ??= container.stop();
    await stopping;
  };
  return {
    image,
    provider: { plugin, options },
    bind: (...bindings) => ({
      ...Object.fromEntries(bindings.map((binding) => [variable(binding.split(":").map(upper).join("__")), plugin])),
      ...Object.fromEntries(Object.entries(options).map(([name, value]) => [variable(`${upper(plugin)}_${upper(name)}`), String(value)])),
    }),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

const upper = (name: string): string => name.replace(/[A-Z]/g, "_$&").toUpperCase();
const variable = (name: string): string => `HEXKIT_${name}`;
