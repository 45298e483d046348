import type { OutgoingRecord, SourceRecord } from "hexkit";

/** What a NATS message holds: headers in order, and a body. */
export interface Content {
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

const keyHeader = "Hexkit-Key";
/** Names that mean something to the server or to us. */
const reserved = /^(nats|hexkit)-/i;

const escapeAll = (text: string, pattern: RegExp): string =>
  text.replace(pattern, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
/** Control characters, spaces at the ends (which the client cuts off) and what is no ASCII. Takes bytes one to one. */
const encodeValue = (text: string): string => escapeAll(text, /[^ -~]|%|^ | $/g);
const encodeName = (name: string): string => {
  const safe = escapeAll(name, /[^!-~]|[%:]/g);
  return reserved.test(safe) ? escapeAll(safe, /^./) : safe;
};
const decode = (text: string): Uint8Array =>
  text.includes("%")
    ? Buffer.from(
        Buffer.from(text)
          .toString("latin1")
          .replace(/%([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
        "latin1",
      )
    : Buffer.from(text);

export function encodeRecord({ key, value, headers }: Pick<OutgoingRecord, "key" | "value" | "headers">): Content {
  return {
    headers: [[keyHeader, encodeValue(key)], ...headers.map(([name, text]) => [encodeName(name), encodeValue(text)] as const)],
    body: Buffer.from(value),
  };
}

/** Whatever a producer of NATS has written: without our header for it there is no key. */
export function decodeRecord({ headers, body }: Content): Pick<SourceRecord, "key" | "value" | "headers"> {
  const key = headers.find(([name]) => name === keyHeader)?.[1];
  const kept = headers.filter(([name]) => !reserved.test(name));
  return {
    key: key === undefined ? null : decode(key),
    value: body,
    headers: kept.map(([name, text]) => [Buffer.from(decode(name)).toString(), decode(text)]),
  };
}
