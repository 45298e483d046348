import type { Notice } from "./protocol.ts";

/** What the client throws. */
export class ServerError extends Error {
  readonly reason: "away" | "refused";

  constructor(reason: "away" | "refused", message: string) {
    super(message);
    this.reason = reason;
  }
}

const servers = new Map<string, Notice[]>();

/** What has arrived at a server. */
export const noticesAt = (url: string): readonly Notice[] => servers.get(url) ?? [];

/**
 * Stands in for the client of your technology, with a server inside this process, so that the rest can be tried.
 * Replace it: import the npm package here by `import()`, name it in `package` of the plugin, and make it an optional peer.
 */
export class Client {
  readonly #notices: Notice[];
  #open = true;

  private constructor(notices: Notice[]) {
    this.#notices = notices;
  }

  static async connect(url: string): Promise<Client> {
    const notices = servers.get(url) ?? [];
    servers.set(url, notices);
    return new Client(notices);
  }

  async ping(): Promise<void> {
    if (!this.#open) throw new ServerError("away", "the connection is closed");
  }

  async send(notice: Notice): Promise<void> {
    await this.ping();
    if (notice.text === "") throw new ServerError("refused", "an empty notice");
    this.#notices.push(notice);
  }

  async close(): Promise<void> {
    this.#open = false;
  }
}
