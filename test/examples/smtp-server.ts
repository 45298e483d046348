import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

export interface SmtpServer extends AsyncDisposable {
  readonly port: number;
  /** The bodies of all letters, dots unstuffed. */
  readonly messages: readonly string[];
  /** Every line that clients said outside letters. */
  readonly lines: readonly string[];
  /** Connections that are open. */
  readonly open: number;
}

export interface SmtpBehaviour {
  /** Answers instead of the usual ones, by the beginning of the line; an empty one is no answer at all. */
  readonly answers?: Readonly<Record<string, string>>;
}

/** A small server on 127.0.0.1 that takes letters as RFC 5321 has it. */
export async function startSmtpServer({ answers = {} }: SmtpBehaviour = {}): Promise<SmtpServer> {
  const messages: string[] = [];
  const lines: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    serve(socket, answers, messages, lines);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    messages,
    lines,
    get open() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

const usualAnswers: Readonly<Record<string, string>> = {
  EHLO: "250-localhost\r\n250-AUTH PLAIN\r\n250 SIZE",
  AUTH: "235 welcome",
  DATA: "354 go on",
};

function serve(socket: Socket, answers: Readonly<Record<string, string>>, messages: string[], lines: string[]): void {
  let rest = "";
  let letter: string[] | undefined;
  const say = (line: string, usual: string): void => {
    const [, instead = usual] = Object.entries(answers).find(([beginning]) => line.startsWith(beginning)) ?? [];
    if (instead !== "") socket.write(`${instead}\r\n`);
  };
  const hear = (line: string): void => {
    if (letter === undefined) command(line);
    else if (line !== ".") letter.push(line.replace(/^\.\./, "."));
    else {
      messages.push(letter.map((each) => `${each}\r\n`).join(""));
      letter = undefined;
      say("letter", "250 taken");
    }
  };
  const command = (line: string): void => {
    lines.push(line);
    if (line === "DATA") letter = [];
    if (line === "QUIT") socket.end("221 bye\r\n");
    else say(line, usualAnswers[line.slice(0, 4)] ?? "250 yes");
  };
  socket.setEncoding("utf8").on("data", (chunk) => {
    const all = (rest + chunk).split("\r\n");
    rest = all.pop() ?? "";
    for (const line of all) hear(line);
  });
  say("connected", "220 localhost");
}
