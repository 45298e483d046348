import { definePlugin, type ErrorCode, type OptionsSchema } from "hexkit";
import { BrokerError, Client } from "./client.ts";
import { MyTechnologyPublisherDriver } from "./event-publisher.ts";

const options = {
  type: "object",
  additionalProperties: false,
  required: ["url"],
  properties: {
    url: { type: "string", minLength: 1, description: "Where the broker is." },
    maxMessageBytes: { type: "integer", minimum: 1, default: 1_048_576, description: "Largest message that the broker takes, in bytes." },
  },
} as const satisfies OptionsSchema;

const codes: Readonly<Record<BrokerError["reason"], ErrorCode>> = {
  away: "ERR_HEXKIT_UNAVAILABLE",
  refused: "ERR_HEXKIT_PERMISSION_DENIED",
};

export default definePlugin({
  name: "myTechnology",
  apiVersion: 1,
  summary: "Events on my-technology",
  options,
  open: async ({ url, maxMessageBytes }) => ({ client: await Client.connect(url), maxMessageBytes }),
  close: ({ client }) => client.close(),
  check: ({ client }) => client.ping(),
  classify: (error) => (error instanceof BrokerError ? codes[error.reason] : undefined),
  provides: {
    eventPublisher: ({ client, maxMessageBytes }, { clock }) => new MyTechnologyPublisherDriver(client, maxMessageBytes, clock),
  },
});
