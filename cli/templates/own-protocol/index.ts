import { definePlugin, type ErrorCode, type OptionsSchema } from "hexkit";
import { Client, ServerError } from "./client.ts";
import { notifierProtocol } from "./protocol.ts";

export type { Notice, Notifier, NotifierDriver } from "./protocol.ts";

const options = {
  type: "object",
  additionalProperties: false,
  required: ["url"],
  properties: {
    url: { type: "string", minLength: 1, description: "Where the server is." },
    password: { type: "string", writeOnly: true, description: "What it asks for." },
  },
} as const satisfies OptionsSchema;

const codes: Readonly<Record<ServerError["reason"], ErrorCode>> = {
  away: "ERR_HEXKIT_UNAVAILABLE",
  refused: "ERR_HEXKIT_INVALID_ARGUMENT",
};

export default definePlugin({
  name: "myTechnology",
  apiVersion: 1,
  summary: "Notices by my-technology",
  protocols: [notifierProtocol],
  options,
  open: ({ url }) => Client.connect(url),
  close: (client) => client.close(),
  check: (client) => client.ping(),
  classify: (error) => (error instanceof ServerError ? codes[error.reason] : undefined),
  provides: { notifier: (client) => ({ deliver: (notice) => client.send(notice) }) },
});
