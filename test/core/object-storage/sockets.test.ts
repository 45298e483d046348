import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientRequest, createServer, type IncomingMessage, request, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { test } from "node:test";
import { createAgent, failRequest, type SocketLimits } from "../../../core/protocols/object-storage/sockets.ts";

const generous: SocketLimits = { maxSockets: 2, acquireTimeoutMs: 60_000, connectTimeoutMs: 60_000, idleTimeoutMs: 60_000 };

/** A server that answers with a body it never ends, or with nothing on `/silent`. */
async function withServer(work: (port: number) => Promise<void>): Promise<void> {
  const server: Server = createServer((incoming, response) => {
    if (incoming.url === "/silent") return;
    response.writeHead(200);
    response.write("begun");
    if (incoming.url === "/short") response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await work((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function ask(limits: SocketLimits, port: number, path: string, agent = createAgent("http:", limits)): ClientRequest {
  const asked = request({ host: "127.0.0.1", port, path, agent });
  asked.on("error", () => {});
  asked.end();
  return asked;
}

const failure = async (emitter: ClientRequest | IncomingMessage): Promise<Error> => {
  const [error] = (await once(emitter, "error").catch((thrown: unknown) => [thrown])) as [Error];
  return error;
};

test("a request that gets no socket fails, and says what keeps the others", async () => {
  await withServer(async (port) => {
    const limits = { ...generous, maxSockets: 1, acquireTimeoutMs: 30 };
    const agent = createAgent("http:", limits);
    const holder = ask(limits, port, "/", agent);
    await once(holder, "response");
    const error = await failure(ask(limits, port, "/", agent));
    assert.match(error.message, /none of the 1 sockets became free \(.*keep theirs\) within 30 ms/);
    assert.equal((error as NodeJS.ErrnoException).code, "ETIMEDOUT");
    agent.destroy();
  });
});

test("a request that gets a socket in time does not fail", async () => {
  await withServer(async (port) => {
    const limits = { ...generous, maxSockets: 1 };
    const agent = createAgent("http:", limits);
    const read = async (asked: ClientRequest): Promise<void> => {
      const [answer] = (await once(asked, "response")) as [IncomingMessage];
      for await (const _ of answer);
    };
    await Promise.all([1, 2, 3].map(() => read(ask(limits, port, "/short", agent))));
    agent.destroy();
  });
});

test("a server that accepts and says nothing is given up after the idle time", async () => {
  await withServer(async (port) => {
    const error = await failure(ask({ ...generous, idleTimeoutMs: 30 }, port, "/silent"));
    assert.match(error.message, /no byte was sent or received for 30 ms/);
  });
});

test("a body that stalls fails with the idle time as its reason", async () => {
  await withServer(async (port) => {
    const [answer] = (await once(ask({ ...generous, idleTimeoutMs: 30 }, port, "/"), "response")) as [IncomingMessage];
    answer.resume();
    assert.match((await failure(answer)).message, /no byte was sent or received for 30 ms/);
  });
});

test("a TLS handshake that is never answered is given up after the connection time", async () => {
  const server = createTcpServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { request: requestTls } = await import("node:https");
  const agent = createAgent("https:", { ...generous, connectTimeoutMs: 30 });
  const asked = requestTls({ host: "127.0.0.1", port: (server.address() as AddressInfo).port, agent });
  asked.end();
  const error = await failure(asked);
  assert.match(error.message, /no connection within 30 ms/);
  agent.destroy();
  server.close();
});

test("a request is failed at once though it waits for a socket", async () => {
  await withServer(async (port) => {
    const limits = { ...generous, maxSockets: 1 };
    const agent = createAgent("http:", limits);
    await once(ask(limits, port, "/", agent), "response");
    const waiting = ask(limits, port, "/", agent);
    const failed = failure(waiting);
    failRequest(waiting, new Error("no longer wanted"));
    assert.equal((await failed).message, "no longer wanted");
    agent.destroy();
  });
});
