import { type ClientRequest, Agent as HttpAgent, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Socket } from "node:net";
import type { OptionsSchema } from "../../options.ts";

/** How a driver over HTTP deals with its sockets. */
export interface SocketLimits {
  /** Sockets open at the same time. Further requests wait for one that becomes free. */
  readonly maxSockets: number;
  /** Milliseconds that a request waits for a free socket. */
  readonly acquireTimeoutMs: number;
  /** Milliseconds until a new socket must have connected. */
  readonly connectTimeoutMs: number;
  /** Milliseconds without a byte in either direction, also because nobody reads a body. */
  readonly idleTimeoutMs: number;
}

/** The options of a plugin that uses `createAgent`: its limits, and the certificates to trust. */
export const socketOptions = {
  ca: { type: "string", minLength: 1, description: "Certificates to trust, as PEM text (`$file` reads one). Default: those of Node.js." },
  maxSockets: { type: "integer", minimum: 1, default: 64, description: "Connections open at the same time. Further requests wait." },
  acquireTimeoutMs: {
    type: "integer",
    minimum: 1,
    default: 30_000,
    description: "Milliseconds that a request waits for a free connection before it fails.",
  },
  connectTimeoutMs: { type: "integer", minimum: 1, default: 5_000, description: "Milliseconds to wait for one connection." },
  idleTimeoutMs: {
    type: "integer",
    minimum: 1,
    default: 60_000,
    description: "Milliseconds without a byte in either direction until a transfer fails, also because nobody reads a body.",
  },
} as const satisfies OptionsSchema["properties"];

/** A limit of `SocketLimits` is over. `code` is ETIMEDOUT, as with the system's own. */
export class SocketTimeoutError extends Error {
  override readonly name = "SocketTimeoutError";
  readonly code = "ETIMEDOUT";
}

type WithAddRequest = HttpAgent & { addRequest(request: ClientRequest, ...rest: unknown[]): void };

/**
 * An agent that keeps sockets alive and fails the request whose limit is over, instead of letting it wait in silence.
 * Destroying it ends whatever uses its sockets. `ca`: certificates to trust, as PEM text.
 */
export function createAgent(protocol: "http:" | "https:", limits: SocketLimits, tls: { readonly ca?: string | undefined } = {}): HttpAgent {
  const options = { ...tls, keepAlive: true, maxSockets: limits.maxSockets, maxFreeSockets: limits.maxSockets };
  const agent = (protocol === "https:" ? new HttpsAgent(options) : new HttpAgent(options)) as WithAddRequest;
  const addRequest = agent.addRequest;
  agent.addRequest = (request, ...rest) => {
    addRequest.call(agent, request, ...rest);
    watch(request, limits, protocol === "https:" ? "secureConnect" : "connect", waits(agent));
  };
  return agent;
}

/** Fails a request, also one that still waits for a socket: Node.js alone would tell it only once it gets one. */
export function failRequest(request: ClientRequest, error: Error): void {
  request.destroy(error);
  if (request.socket === null) {
    process.nextTick(() => {
      request.emit("error", error);
      request.emit("close");
    });
  }
}

/** Whether requests wait for a socket. If none does, the last one does not either, and needs no timer. */
function waits(agent: HttpAgent): boolean {
  for (const _ in agent.requests) return true;
  return false;
}

function watch(request: ClientRequest, limits: SocketLimits, connected: "connect" | "secureConnect", waiting: boolean): void {
  const { maxSockets, acquireTimeoutMs, connectTimeoutMs, idleTimeoutMs } = limits;
  let response: IncomingMessage | undefined;
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => clearTimeout(timer);
  const failAfter = (ms: number, fact: string): void => {
    timer = setTimeout(() => failRequest(request, new SocketTimeoutError(`${fact} within ${ms} ms`)), ms);
    request.once("close", stop);
  };
  if (waiting)
    failAfter(acquireTimeoutMs, `none of the ${maxSockets} sockets became free (bodies that nobody reads or closes keep theirs)`);
  request.once("response", (answer) => {
    response = answer;
  });
  request.once("socket", (socket: Socket) => {
    stop();
    if (!socket.connecting) return;
    failAfter(connectTimeoutMs, "no connection");
    socket.once(connected, stop);
  });
  request.setTimeout(idleTimeoutMs, () => {
    const error = new SocketTimeoutError(`no byte was sent or received for ${idleTimeoutMs} ms`);
    if (response === undefined) failRequest(request, error);
    else response.destroy(error);
  });
}

/** Runs `work` with a signal that follows the given one until `work` has settled, and no longer. */
export async function whileOpening<Result>(
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal | undefined) => Promise<Result>,
): Promise<Result> {
  if (signal === undefined) return work(undefined);
  const opening = new AbortController();
  const abort = (): void => opening.abort(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await work(opening.signal);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
