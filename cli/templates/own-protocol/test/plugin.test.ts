import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { openRegistry, type Registry } from "hexkit";
import { noticesAt } from "../client.ts";
import plugin from "../index.ts";

/** Opens the plugin as a service would. */
const open = (url: string, settings: object = {}): Promise<Registry> =>
  openRegistry({
    config: {
      log: { level: "silent" },
      providers: { post: { plugin: "myTechnology", options: { url } } },
      protocols: { notifier: { provider: "post", ...settings } },
    },
    env: {},
    plugins: [plugin],
  });

test("a notice arrives, from the sender in the configuration", async () => {
  const url = `my-technology://${randomUUID()}`;
  await using registry = await open(url, { from: "desk@example.org" });
  await registry.get("notifier").notify({ to: "ada@example.org", text: "hello" });
  assert.deepEqual(noticesAt(url), [{ from: "desk@example.org", to: "ada@example.org", text: "hello" }]);
});

test("what is no address is refused before anything is sent", async () => {
  const url = `my-technology://${randomUUID()}`;
  await using registry = await open(url);
  await assert.rejects(registry.get("notifier").notify({ to: "ada", text: "hello" }), { code: "ERR_HEXKIT_INVALID_ARGUMENT" });
  assert.deepEqual(noticesAt(url), []);
});

test("an error of the client gets its code, and an aborted call is answered at once", async () => {
  await using registry = await open(`my-technology://${randomUUID()}`);
  const notice = { to: "ada@example.org", text: "" };
  await assert.rejects(registry.get("notifier").notify(notice), { code: "ERR_HEXKIT_INVALID_ARGUMENT", message: /an empty notice/ });
  const signal = AbortSignal.abort();
  await assert.rejects(registry.get("notifier").notify(notice, { signal }), { code: "ERR_HEXKIT_ABORTED" });
});

test("after closing, calls are refused", async () => {
  const registry = await open(`my-technology://${randomUUID()}`);
  const notifier = registry.get("notifier");
  await registry.close();
  await assert.rejects(notifier.notify({ to: "ada@example.org", text: "hello" }), { code: "ERR_HEXKIT_CLOSED" });
});
