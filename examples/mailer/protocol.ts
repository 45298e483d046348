import { randomUUID } from "node:crypto";
import { type CallOptions, defineProtocol, type ProtocolDefinition, type ProtocolTypes } from "hexkit";
import { type Letter, messageOf } from "./message.ts";

/** What services call. */
export interface Mail {
  /**
   * Resolves to the letter's id once somebody else has taken over its delivery. Never repeated by itself: a letter might come twice.
   * @throws ERR_HEXKIT_INVALID_ARGUMENT before anything is sent, or if the recipient is refused; ERR_HEXKIT_MESSAGE_TOO_LARGE, ERR_HEXKIT_UNAVAILABLE,
   * ERR_HEXKIT_TIMEOUT, ERR_HEXKIT_AUTHENTICATION_FAILED, ERR_HEXKIT_ABORTED, ERR_HEXKIT_CLOSED.
   */
  send(letter: Letter, options?: CallOptions): Promise<string>;
}

/** A letter ready to be delivered: the addresses are checked, the message is written out. */
export interface Envelope {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  /** RFC 5322, ASCII, lines of up to 998 characters that end in CRLF; none begins with a dot. */
  readonly message: string;
}

/** What plugins implement. Throws its client's own errors. Safe under concurrent calls, which end when their signal aborts. */
export interface MailDriver {
  deliver(envelope: Envelope, options: CallOptions): Promise<void>;
}

declare module "hexkit" {
  interface Protocols {
    mail: ProtocolTypes<Mail, MailDriver>;
  }
}

const address = /^[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$/;

export const mailProtocol: ProtocolDefinition = defineProtocol({
  name: "mail",
  id: "example/mail",
  version: 1,
  summary: "Sends letters.",
  methods: { deliver: true },
  settings: {
    type: "object",
    additionalProperties: false,
    properties: {
      from: { type: "string", minLength: 3, default: "service@localhost", description: "The sender's address." },
      maxBytes: { type: "integer", minimum: 1, default: 1_000_000, description: "Largest letter, in bytes as it is sent." },
    },
  },
  // What no schema can say is checked here, before anything connects.
  check: ({ from }) => (address.test(from) ? [] : ["from: must be a mail address"]),
  create: (driver, { call, clock, error, settings: { from, maxBytes } }) => ({
    async send({ to, subject, text }, options) {
      if (typeof to !== "string" || !address.test(to)) throw error("ERR_HEXKIT_INVALID_ARGUMENT", "send: `to` must be one mail address");
      if (typeof subject !== "string" || /[\r\n]/.test(subject))
        throw error("ERR_HEXKIT_INVALID_ARGUMENT", "send: `subject` must be one line");
      const id = randomUUID();
      const message = messageOf({ to, subject, text }, { id, from, date: new Date(clock.now()) });
      if (message.length > maxBytes) {
        throw error("ERR_HEXKIT_MESSAGE_TOO_LARGE", `send: the letter has ${message.length} bytes, \`maxBytes\` allows ${maxBytes}`);
      }
      await call("send", `to ${to}`, options, (signal) => driver.deliver({ id, from, to, message }, { signal }));
      return id;
    },
  }),
});
