import { createConnection, type Socket } from "node:net";
import { definePlugin, type ErrorCode, type OptionsOf, type OptionsSchema } from "hexkit";
import { mailProtocol } from "./protocol.ts";

const options = {
  type: "object",
  additionalProperties: false,
  required: ["host"],
  properties: {
    host: { type: "string", minLength: 1, description: "Name or address of the server." },
    port: { type: "integer", minimum: 1, maximum: 65535, default: 25, description: "Its port." },
    user: { type: "string", description: "Who to log in as." },
    password: { type: "string", writeOnly: true, description: "The password for that." },
    timeoutMs: {
      type: "integer",
      minimum: 1,
      maximum: 2_147_483_647,
      default: 10_000,
      description: "Longest silence of the server, in milliseconds.",
    },
  },
} as const satisfies OptionsSchema;

/** What the server said instead of yes. */
class SmtpError extends Error {
  readonly reply: number;

  constructor(command: string, reply: string) {
    super(`${command}: ${reply}`);
    this.reply = Number(reply.slice(0, 3));
  }
}

const replies: Readonly<Record<number, ErrorCode>> = {
  421: "ERR_HEXKIT_UNAVAILABLE",
  450: "ERR_HEXKIT_UNAVAILABLE",
  451: "ERR_HEXKIT_UNAVAILABLE",
  452: "ERR_HEXKIT_UNAVAILABLE",
  530: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  535: "ERR_HEXKIT_AUTHENTICATION_FAILED",
  550: "ERR_HEXKIT_INVALID_ARGUMENT",
  552: "ERR_HEXKIT_MESSAGE_TOO_LARGE",
  553: "ERR_HEXKIT_INVALID_ARGUMENT",
};
const failures: Readonly<Record<string, ErrorCode>> = {
  ECONNREFUSED: "ERR_HEXKIT_UNAVAILABLE",
  ECONNRESET: "ERR_HEXKIT_UNAVAILABLE",
  ENOTFOUND: "ERR_HEXKIT_UNAVAILABLE",
  EPIPE: "ERR_HEXKIT_UNAVAILABLE",
  ETIMEDOUT: "ERR_HEXKIT_TIMEOUT",
};

export const plugin = definePlugin({
  name: "smtp",
  apiVersion: 1,
  summary: "SMTP servers, without TLS",
  options,
  protocols: [mailProtocol],
  // A connection for each letter: nothing is held open.
  open: (given) => given,
  check: (given, signal) => conversation(given, signal, async () => {}),
  classify: (error) => (error instanceof SmtpError ? replies[error.reply] : failures[String((error as NodeJS.ErrnoException).code)]),
  provides: {
    mail: (given) => ({
      deliver: ({ from, to, message }, { signal }) =>
        conversation(given, signal, async (say) => {
          await say(`MAIL FROM:<${from}>`);
          await say(`RCPT TO:<${to}>`);
          await say("DATA", 354);
          await say(`${message}.`, 250, "the letter");
        }),
    }),
  },
});

type Say = (line: string, expected?: number, name?: string) => Promise<void>;

/** Greets, logs in, does the work and takes leave; the connection is gone afterwards, also when the signal ends it. */
async function conversation(
  { host, port, user, password, timeoutMs }: OptionsOf<typeof options>,
  signal: AbortSignal | undefined,
  work: (say: Say) => Promise<void>,
): Promise<void> {
  const socket = createConnection({ host, port, ...(signal && { signal }) });
  const silent = (): Error => Object.assign(new Error(`no answer within ${timeoutMs} ms`), { code: "ETIMEDOUT" });
  socket.setEncoding("utf8").setTimeout(timeoutMs, () => socket.destroy(silent()));
  // Whoever waits for an answer is told; nobody else needs to be.
  socket.on("error", () => {});
  const answers = repliesOf(socket);
  const expect = async (expected: number, name: string): Promise<void> => {
    const { value: reply = "421 the connection was closed" } = await answers.next();
    if (!reply.startsWith(String(expected))) throw new SmtpError(name, reply);
  };
  const say: Say = async (line, expected = 250, name = line) => {
    socket.write(`${line}\r\n`);
    await expect(expected, name);
  };
  try {
    await expect(220, "greeting");
    await say("EHLO localhost");
    if (user !== undefined) await say(`AUTH PLAIN ${Buffer.from(`\0${user}\0${password ?? ""}`).toString("base64")}`, 235, "AUTH PLAIN");
    await work(say);
    socket.end("QUIT\r\n");
  } finally {
    socket.destroySoon();
    if (signal?.aborted) socket.destroy();
  }
}

/** The last line of each reply. */
async function* repliesOf(socket: Socket): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const chunk of socket) {
    const lines = (rest + chunk).split("\r\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (/^\d{3}( |$)/.test(line)) yield line;
  }
}
