import { randomUUID } from "node:crypto";
import { testEventPublisher } from "hexkit/testkit/conformance";
import { Client } from "../client.ts";
import plugin from "../index.ts";

testEventPublisher({
  name: "my-technology",
  plugin,
  // By hand: a driver that says something else fails.
  expects: { maxMessageBytes: 1_048_576 },
  open: async () => {
    const url = `my-technology://${randomUUID()}`;
    const client = await Client.connect(url);
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    return {
      options: { url },
      createTopic: async () => {},
      // For a plugin that has no `eventSubscriber`, the suite looks at what was stored by `read`, and appends nothing.
      append: async () => {},
      read: async (topic, count) =>
        (await client.read(topic)).slice(0, count).map(({ key, value, headers, storedAt }, offset) => ({
          topic,
          partition: 0,
          offset,
          key: bytes(key),
          value: bytes(value),
          headers: headers.map(([name, text]) => [name, bytes(text)] as const),
          timestampMs: storedAt,
        })),
      close: () => client.close(),
    };
  },
});
