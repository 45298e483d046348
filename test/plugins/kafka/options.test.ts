import assert from "node:assert/strict";
import { test } from "node:test";
import { openRegistry } from "../../../core/index.ts";
import { plugin } from "../../../plugins/kafka/index.ts";

test("heartbeats rarer than a third of the session are refused when opening, before anything is connected", async () => {
  const open = (heartbeatIntervalMs: number): Promise<unknown> =>
    openRegistry({
      config: {
        service: { name: "tested" },
        providers: { events: { plugin: "kafka", options: { brokers: ["127.0.0.1:1"], sessionTimeoutMs: 6_000, heartbeatIntervalMs } } },
        protocols: { eventPublisher: "events" },
      },
      env: {},
      plugins: [plugin],
    });
  await assert.rejects(open(2_001), {
    code: "ERR_HEXKIT_CONFIG_INVALID",
    message: /heartbeatIntervalMs 2001 is more than a third of sessionTimeoutMs 6000; set it to 2000 or less/,
  });
  await assert.rejects(open(2_000), { code: "ERR_HEXKIT_UNAVAILABLE" });
});
