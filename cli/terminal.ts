/** How a command ended. */
export const exitCodes = { done: 0, problems: 1, usage: 2, unexpected: 70 } as const;

/** The codes that begin and end a style. */
const styles = { bold: [1, 22], dim: [2, 22], red: [31, 39] } as const;

type Style = keyof typeof styles;
type Stream = NodeJS.WritableStream & { readonly isTTY?: boolean };

/** Where a command prints: results on stdout, everything else on stderr. Colours only for a terminal, and never with `NO_COLOR`. */
export class Terminal {
  readonly #out: Stream;
  readonly #err: Stream;
  readonly #noColor: boolean;
  readonly #writes = new Set<Promise<void>>();

  constructor(out: Stream, err: Stream, env: Readonly<Record<string, string | undefined>>) {
    this.#out = out;
    this.#err = err;
    this.#noColor = (env.NO_COLOR ?? "") !== "";
    for (const stream of [out, err]) {
      stream.on("error", (error: NodeJS.ErrnoException) => {
        // The reader has seen enough (`| head`): nobody is left to tell more to.
        if (error.code === "EPIPE") process.exit(exitCodes.done);
        throw error;
      });
    }
  }

  /** Prints a part of the result as it is. */
  write(text: string): void {
    this.#write(this.#out, text);
  }

  /** Prints a line of the result. */
  print(line: string): void {
    this.write(`${line}\n`);
  }

  printJson(value: unknown): void {
    this.print(JSON.stringify(value, null, 2));
  }

  /** Prints on stderr as it is. */
  writeError(text: string): void {
    this.#write(this.#err, text);
  }

  /** Prints a line on stderr. */
  note(line: string): void {
    this.writeError(`${line}\n`);
  }

  paint(style: Style, text: string): string {
    return this.#paint(this.#out, style, text);
  }

  paintNote(style: Style, text: string): string {
    return this.#paint(this.#err, style, text);
  }

  /** Lists problems on stderr; nothing if there are none. */
  problems(problems: readonly { readonly place: string; readonly message: string }[]): void {
    if (problems.length === 0) return;
    this.note(this.paintNote("red", problems.length === 1 ? "1 problem:" : `${problems.length} problems:`));
    for (const { place, message } of problems) this.note(`- ${place}: ${message}`);
  }

  /** Resolves once everything has been handed to whoever reads. */
  async flush(): Promise<void> {
    await Promise.all(this.#writes);
  }

  #write(stream: Stream, text: string): void {
    const written = new Promise<void>((done) => void stream.write(text, () => done()));
    this.#writes.add(written);
    void written.then(() => this.#writes.delete(written));
  }

  #paint(stream: Stream, style: Style, text: string): string {
    const [begin, end] = styles[style];
    return stream.isTTY === true && !this.#noColor ? `\u001b[${begin}m${text}\u001b[${end}m` : text;
  }
}
