import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { openRegistry } from "../../../core/index.ts";
import { plugin } from "../../../plugins/kafka/index.ts";

test("a broker that takes the connection and never answers is given up after requestTimeoutMs", async () => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket.resume())).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const begin = performance.now();
  const opening = openRegistry({
    config: {
      service: { name: "tested" },
      providers: { events: { plugin: "kafka", options: { brokers: [`127.0.0.1:${port}`], requestTimeoutMs: 200 } } },
      protocols: { eventPublisher: "events" },
    },
    env: {},
    plugins: [plugin],
  });
  await assert.rejects(opening, { code: "ERR_HEXKIT_TIMEOUT", message: /has not answered the first requests within 200 ms/ });
  assert.ok(performance.now() - begin < 5_000);
  await Promise.all([...sockets].map((socket) => socket.destroyed || once(socket, "close")));
  server.close();
});
