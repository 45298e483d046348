export interface Letter {
  /** One address. */
  readonly to: string;
  /** One line. */
  readonly subject: string;
  readonly text: string;
}

/** Writes a letter out: in ASCII, so that every server takes it. */
export function messageOf(
  { to, subject, text }: Letter,
  { id, from, date }: { readonly id: string; readonly from: string; readonly date: Date },
): string {
  const content = Buffer.from(text).toString("base64");
  return [
    `From: ${from}`,
    `To: ${to}`,
    `Subject: ${encoded(subject)}`,
    `Date: ${date.toUTCString().replace("GMT", "+0000")}`,
    `Message-ID: <${id}@${from.slice(from.indexOf("@") + 1)}>`,
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: base64",
    "",
    ...(content.match(/.{1,76}/g) ?? []),
    "",
  ].join("\r\n");
}

/** Words of at most 75 characters, as RFC 2047 wants them. */
function encoded(subject: string): string {
  if (/^[\x20-\x7e]{0,60}$/.test(subject) && !subject.includes("=?")) return subject;
  const pieces = subject.match(/.{1,10}/gu) ?? [];
  return pieces.map((piece) => `=?utf-8?B?${Buffer.from(piece).toString("base64")}?=`).join("\r\n ");
}
