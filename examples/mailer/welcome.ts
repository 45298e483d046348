import { inject, injectable } from "hexkit/inject";
import type { Mail } from "./protocol.ts";

/** A part of a service, which knows of letters and not of who delivers them. */
@injectable()
export class Welcome {
  constructor(@inject("mail") private readonly mail: Mail) {}

  async greet(name: string, to: string): Promise<string> {
    await this.mail.send({ to, subject: `Welcome, ${name}`, text: `Dear ${name},\r\n\r\nyou are one of us now.\r\n` });
    return `${to}  Welcome, ${name}`;
  }
}
