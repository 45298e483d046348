import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type ObjectStorage, openRegistry } from "hexkit";

/** What a server of S3's kind answers to one request; `undefined` leaves it to the next. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export interface CannedServer extends AsyncDisposable {
  readonly endpoint: string;
  /** `GET /path?query` of each request, the one that opening makes excepted. */
  readonly requests: readonly string[];
  /** What is answered to all that follows. */
  answer: Answer;
}

/** A server that answers what a test wants, where a real one cannot be made to. */
export async function cannedServer(): Promise<CannedServer> {
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    if (request.method === "GET" && request.url?.split("?")[0] === "/")
      return xml(200, "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>")(request, response);
    requests.push(`${request.method} ${request.url}`);
    canned.answer(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const canned: CannedServer = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    answer: (_, response) => void response.writeHead(204).end(),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return canned;
}

export function xml(status: number, body: string, headers: Record<string, string> = {}): Answer {
  return (_, response) =>
    void response.writeHead(status, { "content-type": "application/xml", ...headers }).end(`<?xml version="1.0"?>\n${body}`);
}

export const failure = (status: number, code: string): Answer =>
  xml(status, `<Error><Code>${code}</Code><Message>said ${code} &#39;so&#39;</Message></Error>`);

export const credentials = { accessKeyId: "tested-key", secretAccessKey: "tested-secret/+=" };

/** The storage of a plugin on a server, with a registry of its own. */
export async function openStorage(
  plugin: string,
  options: Record<string, unknown>,
  settings: Record<string, unknown> = {},
): Promise<AsyncDisposable & { storage: ObjectStorage }> {
  const registry = await openRegistry({
    config: {
      log: { level: "silent" },
      providers: { files: { plugin, options: { ...credentials, ...options } } },
      protocols: { objectStorage: { provider: "files", retryDelayMs: 1, ...settings } },
    },
    env: {},
  });
  return { storage: registry.get("objectStorage"), [Symbol.asyncDispose]: () => registry.close() };
}
