import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type ErrorCode, isHexkitError, openRegistry, type Plugin, type Registry } from "hexkit";
import type { Letter } from "./message.ts";

/** Where the letters of a plugin under test arrive. */
export interface Mailbox {
  /** Options of a provider that delivers there, as in a configuration file. */
  readonly options: object;
  /** Every message that has arrived, as it was delivered. */
  messages(): Promise<readonly string[]>;
  close(): Promise<void>;
}

export interface MailSubject {
  readonly name: string;
  readonly plugin: Plugin;
  open(): Promise<Mailbox>;
}

/** What every plugin for the protocol `mail` owes, in any technology: whoever writes one calls this in a test file. */
export function testMail({ name, plugin, open }: MailSubject): void {
  describe(`mail: ${name}`, () => {
    let mailbox: Mailbox;
    const service = (settings: object = {}): Promise<Registry> =>
      openRegistry({
        config: {
          providers: { subject: { plugin: plugin.name, options: mailbox.options } },
          protocols: { mail: { provider: "subject", from: "desk@example.org", ...settings } },
        },
        env: {},
        plugins: [plugin],
      });
    /** What has arrived at an address. */
    const arrived = async (to: string): Promise<Letter[]> => (await mailbox.messages()).map(letterOf).filter((letter) => letter.to === to);

    before(async () => {
      mailbox = await open();
    });
    after(() => mailbox?.close());

    for (const [what, subject, text] of [
      ["plain text", "Hello", "Hello\r\nthere\r\n"],
      ["every language", "Grüße aus 東京 und anderswo, an alle, die dies lesen können 😀", "ümläut, ключ, 鍵, 😀"],
      ["lines that could end a letter", "Dots", ".\r\n..\r\n.\r\nQUIT\r\n"],
      ["a subject of pairs", `x${"😀".repeat(30)}`, "x"],
      ["no text", "", ""],
      ["a long text", "=?x?=", "0123456789".repeat(50_000)],
    ] as const) {
      it(`brings a letter as it was written: ${what}`, async () => {
        await using registry = await service();
        const to = `${what.replaceAll(" ", "-")}@example.org`;
        await registry.get("mail").send({ to, subject, text });
        assert.deepEqual(await arrived(to), [{ to, subject, text }]);
      });
    }

    it("brings each of many letters at once, once", async () => {
      await using registry = await service();
      const letters = Array.from({ length: 20 }, (_, n) => ({ to: "many@example.org", subject: `${n}`, text: `letter ${n}` }));
      const ids = await Promise.all(letters.map((letter) => registry.get("mail").send(letter)));
      assert.equal(new Set(ids).size, 20, "each has an id of its own");
      const subjects = (await arrived("many@example.org")).map(({ subject }) => Number(subject));
      assert.deepEqual(
        subjects.sort((a, b) => a - b),
        letters.map((_, n) => n),
      );
    });

    it("refuses what cannot be a letter before anything is sent", async () => {
      await using registry = await service({ maxBytes: 2000 });
      const letter = { to: "bad@example.org", subject: "x", text: "x" };
      const cases: readonly [object, ErrorCode][] = [
        [{ to: "nobody" }, "ERR_HEXKIT_INVALID_ARGUMENT"],
        [{ to: "bad@example.org>\r\nRCPT TO:<eve@example.org" }, "ERR_HEXKIT_INVALID_ARGUMENT"],
        [{ subject: "x\r\nBcc: eve@example.org" }, "ERR_HEXKIT_INVALID_ARGUMENT"],
        [{ text: "x".repeat(2000) }, "ERR_HEXKIT_MESSAGE_TOO_LARGE"],
      ];
      for (const [change, code] of cases) {
        await assert.rejects(
          registry.get("mail").send({ ...letter, ...change }),
          (error) => isHexkitError(error, code),
          JSON.stringify(change),
        );
      }
      assert.deepEqual(await arrived("bad@example.org"), []);
    });

    it("takes no letter once its signal has aborted, and none after closing", async () => {
      const registry = await service();
      const mail = registry.get("mail");
      const letter = { to: "late@example.org", subject: "x", text: "x" };
      await assert.rejects(mail.send(letter, { signal: AbortSignal.abort() }), (error) => isHexkitError(error, "ERR_HEXKIT_ABORTED"));
      await registry.close();
      await assert.rejects(mail.send(letter), (error) => isHexkitError(error, "ERR_HEXKIT_CLOSED"));
      assert.deepEqual(await arrived("late@example.org"), []);
    });

    it("is up while its letters can be delivered", async () => {
      await using registry = await service();
      assert.equal((await registry.health()).ok, true);
    });
  });
}

/** Reads a message as a mail program does. */
function letterOf(message: string): Letter {
  const end = message.indexOf("\r\n\r\n");
  const headers = message.slice(0, end).replaceAll("\r\n ", "").split("\r\n");
  const header = (name: string): string => headers.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? "";
  const subject = header("Subject").replace(/=\?utf-8\?B\?(.*?)\?=/g, (_, base64) => Buffer.from(base64, "base64").toString());
  return { to: header("To"), subject, text: Buffer.from(message.slice(end), "base64").toString() };
}
