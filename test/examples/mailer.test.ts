import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type ErrorCode, inspectConfig, isHexkitError, openRegistry, type Registry } from "hexkit";
import { plugin as mailFolder } from "../../examples/mailer/mail-folder.ts";
import type { Mail } from "../../examples/mailer/protocol.ts";
import { plugin as smtp } from "../../examples/mailer/smtp.ts";
import { testMail } from "../../examples/mailer/suite.ts";
import { root, run } from "../core/run-program.ts";
import { type SmtpBehaviour, type SmtpServer, startSmtpServer } from "./smtp-server.ts";

const folder = join(root, "examples", "mailer");
const demo = join(folder, "demo.ts");
const printed = "ann@example.org  Welcome, Ann\nzoe@example.org  Welcome, Zoë\n";
const silence = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

testMail({
  name: "an SMTP server",
  plugin: smtp,
  open: async () => {
    const server = await startSmtpServer();
    return {
      options: { host: "127.0.0.1", port: server.port },
      messages: async () => server.messages,
      close: async () => server[Symbol.asyncDispose](),
    };
  },
});

testMail({
  name: "a folder",
  plugin: mailFolder,
  open: async () => {
    const path = await mkdtemp(join(tmpdir(), "hexkit-letters-"));
    return {
      options: { folder: path },
      messages: async () => {
        const files = await readdir(path);
        assert.ok(
          files.every((file) => file.endsWith(".eml")),
          files.join(", "),
        );
        return Promise.all(files.map((file) => readFile(join(path, file), "utf8")));
      },
      close: () => rm(path, { recursive: true }),
    };
  },
});

/** Never runs: what the compiler accepts here is the test, and `@ts-expect-error` fails where there is no error. */
async function compiles(registry: Registry): Promise<void> {
  const mail: Mail = registry.get("mail");
  const night: Mail = registry.get("mail:night");
  const id: string = await mail.send({ to: "a@b", subject: "s", text: "t" }, { signal: AbortSignal.timeout(1) });
  // @ts-expect-error a letter has a subject
  await night.send({ to: "a@b", text: "t" });
  // @ts-expect-error there is no such protocol
  registry.get("mails");
  void id;
}

describe("mailer", { concurrency: 2 }, () => {
  it("prints whom it has greeted, with letters in a folder", async () => {
    const path = await mkdtemp(join(tmpdir(), "hexkit-letters-"));
    try {
      const { code, stdout, stderr } = await run([demo], { env: { HEXKIT_LETTERS_FOLDER: path } });
      assert.deepEqual([code, stdout, stderr], [0, printed, ""]);
      const letters = await Promise.all((await readdir(path)).map((file) => readFile(join(path, file), "utf8")));
      assert.equal(letters.length, 2);
      for (const letter of letters) assert.match(letter, /^From: welcome@example\.org\r\nTo: (ann|zoe)@example\.org\r\n/);
    } finally {
      await rm(path, { recursive: true });
    }
  });

  it("prints the same with a server, which the environment alone chooses", async () => {
    await using server = await startSmtpServer();
    const env = {
      HEXKIT_MAIL: "office",
      HEXKIT_MAIL_FROM: "desk@example.org",
      HEXKIT_OFFICE_HOST: "127.0.0.1",
      HEXKIT_OFFICE_PORT: `${server.port}`,
      HEXKIT_OFFICE_USER: "desk",
      HEXKIT_OFFICE_PASSWORD: "canary-1618",
    };
    const { code, stdout, stderr } = await run([demo], { env });
    assert.deepEqual([code, stdout, stderr], [0, printed, ""]);
    const said = (line: string): number => server.lines.filter((each) => each === line).length;
    const login = `AUTH PLAIN ${Buffer.from("\0desk\0canary-1618").toString("base64")}`;
    assert.deepEqual([said(login), said("MAIL FROM:<desk@example.org>"), said("RCPT TO:<zoe@example.org>")], [3, 2, 1]);
  });

  it("says in one message what is wrong with its configuration, checked as ours is", async () => {
    const env = { HEXKIT_MAIL_FORM: "x", HEXKIT_MAIL: "office", HEXKIT_OFFICE_PORT: "70000", HEXKIT_MAIL_MAX_BYTES: "0" };
    const { code, stdout, stderr } = await run([demo], { env });
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^ERR_HEXKIT_CONFIG_INVALID: the configuration has 3 problems:/);
    assert.match(stderr, /HEXKIT_MAIL_FORM: unknown; did you mean HEXKIT_MAIL_FROM\?/);
    assert.match(stderr, /HEXKIT_OFFICE_PORT: /);
    assert.match(stderr, /HEXKIT_MAIL_MAX_BYTES: /);
  });

  it("checks what no schema can say before anything connects", async () => {
    const config = {
      providers: { office: { plugin: "smtp", options: { host: "127.0.0.1", port: 1 } } },
      protocols: { mail: { provider: "office", from: "nobody" } },
    };
    const { problems } = await inspectConfig({ config, env: {}, plugins: [smtp] });
    assert.deepEqual(problems, [{ place: "/protocols/mail", message: "from: must be a mail address" }]);
  });

  it("is typed, by declaration merging alone", () => {
    assert.equal(typeof compiles, "function");
  });
});

const letter = { to: "ann@example.org", subject: "Hello", text: "there" };

async function office(server: Pick<SmtpServer, "port">, options: object = {}): Promise<Registry> {
  return openRegistry({
    config: {
      lifecycle: { connectTimeoutMs: 30_000 },
      providers: { office: { plugin: "smtp", options: { host: "127.0.0.1", port: server.port, ...options } } },
      protocols: { mail: "office" },
    },
    env: {},
    plugins: [smtp],
    logger: silence,
  });
}

describe("the plugin smtp", () => {
  for (const [what, answers, code] of [
    ["a recipient that is refused", { "RCPT TO": "550 no such mailbox" }, "ERR_HEXKIT_INVALID_ARGUMENT"],
    ["a letter that is too large", { letter: "552 too much" }, "ERR_HEXKIT_MESSAGE_TOO_LARGE"],
    ["a server that is busy", { "MAIL FROM": "451 later" }, "ERR_HEXKIT_UNAVAILABLE"],
    ["a letter that is not accepted, for whatever reason", { DATA: "554 no" }, "ERR_HEXKIT_PROVIDER_FAILED"],
  ] as const satisfies readonly [string, SmtpBehaviour["answers"], ErrorCode][]) {
    it(`tells ${what} by its code, and holds no connection`, async () => {
      await using server = await startSmtpServer({ answers });
      await using registry = await office(server);
      await assert.rejects(registry.get("mail").send(letter), (error) => {
        assert.ok(isHexkitError(error, code), String(error));
        assert.match(error.message, /^mail \(provider "office", plugin smtp\): send to ann@example\.org failed: /);
        return true;
      });
      await until(() => server.open === 0);
    });
  }

  it("does not open with a wrong password, which no message shows", async () => {
    await using server = await startSmtpServer({ answers: { AUTH: "535 who are you" } });
    await assert.rejects(office(server, { user: "ann", password: "canary-2236" }), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_AUTHENTICATION_FAILED"), String(error));
      assert.doesNotMatch(`${error.message} ${error.stack}`, /canary|Y2FuYXJ5/);
      return true;
    });
  });

  it("does not open where nobody listens", async () => {
    const gone = await startSmtpServer();
    await gone[Symbol.asyncDispose]();
    await assert.rejects(office(gone), (error) => isHexkitError(error, "ERR_HEXKIT_UNAVAILABLE"));
  });

  it("gives a server up that says nothing", async () => {
    await using server = await startSmtpServer({ answers: { "MAIL FROM": "" } });
    await using registry = await office(server, { timeoutMs: 50 });
    await assert.rejects(registry.get("mail").send(letter), (error) => isHexkitError(error, "ERR_HEXKIT_TIMEOUT"));
    await until(() => server.open === 0);
  });

  it("frees the connection when the signal aborts", async () => {
    await using server = await startSmtpServer({ answers: { "MAIL FROM": "" } });
    await using registry = await office(server);
    const ending = new AbortController();
    const sending = registry.get("mail").send(letter, { signal: ending.signal });
    sending.catch(() => undefined);
    await until(() => server.lines.some((line) => line.startsWith("MAIL FROM")));
    ending.abort();
    await assert.rejects(sending, (error) => isHexkitError(error, "ERR_HEXKIT_ABORTED"));
    await until(() => server.open === 0);
  });
});

describe("the plugin mailFolder", () => {
  it("names the provider and the folder when it cannot be used", async () => {
    const path = await mkdtemp(join(tmpdir(), "hexkit-letters-"));
    try {
      const file = join(path, "file");
      await writeFile(file, "");
      const config = { providers: { box: { plugin: "mailFolder", options: { folder: file } } }, protocols: { mail: "box" } };
      await assert.rejects(openRegistry({ config, env: {}, plugins: [mailFolder], logger: silence }), (error) => {
        assert.ok(isHexkitError(error), String(error));
        assert.ok(error.message.includes('provider "box"') && error.message.includes(file), error.message);
        return true;
      });
    } finally {
      await rm(path, { recursive: true });
    }
  });
});

/** Turns of the event loop until it holds, at most 30 s. */
async function until(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + 30_000; !condition(); await new Promise((resolve) => setImmediate(resolve))) {
    assert.ok(performance.now() < end, `not within 30 s: ${condition}`);
  }
}
