import { quoted } from "./names.ts";

/** Something wrong in a JSON text; the message holds nothing of the text but keys. */
export interface JsonProblem {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export interface ParsedJson {
  /** Absent if the text is not JSON. */
  readonly value?: unknown;
  readonly problems: readonly JsonProblem[];
}

class JsonSyntaxError extends Error {}

const maxDepth = 100;
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them in text
const stringPattern = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;

/**
 * Reads JSON like `JSON.parse`, but tells line and column, finds keys given twice (the first stays), leaves out
 * `__proto__`, and never quotes the text: it may hold secrets.
 */
export function parseJson(text: string): ParsedJson {
  const reader = new Reader(text);
  try {
    return { value: reader.document(), problems: reader.problems };
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    return { problems: [...reader.problems, reader.problem(error.message)] };
  }
}

class Reader {
  readonly problems: JsonProblem[] = [];
  readonly #text: string;
  #at: number;

  constructor(text: string) {
    this.#text = text;
    this.#at = text.startsWith("\ufeff") ? 1 : 0;
  }

  problem(message: string, at = this.#at): JsonProblem {
    const before = this.#text.slice(0, at).split("\n");
    return { line: before.length, column: (before.at(-1) ?? "").length + 1, message };
  }

  document(): unknown {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) this.#fail("expected the end of the text");
    return value;
  }

  #value(depth: number): unknown {
    if (depth > maxDepth) this.#fail("nested too deep");
    this.#space();
    switch (this.#text[this.#at]) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return this.#string();
      case undefined:
        return this.#fail("the text ends too early");
    }
    for (const [word, value] of [
      ["true", true],
      ["false", false],
      ["null", null],
    ] as const) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    const number = this.#match(numberPattern);
    return number === undefined ? this.#fail("expected a value") : Number(number);
  }

  #object(depth: number): object {
    const entries = new Map<string, unknown>();
    this.#at += 1;
    let first = true;
    for (this.#space(); this.#text[this.#at] !== "}"; this.#space()) {
      if (!first) this.#expect(",", "expected `,` or `}`");
      first = false;
      this.#space();
      const start = this.#at;
      if (this.#text[this.#at] !== '"') this.#fail("expected a key in double quotes");
      const key = this.#string();
      this.#space();
      this.#expect(":", "expected `:`");
      const value = this.#value(depth + 1);
      if (key === "__proto__") this.problems.push(this.problem('the key "__proto__" is not allowed', start));
      else if (entries.has(key)) this.problems.push(this.problem(`the key ${quoted(key)} is given twice in one object`, start));
      else entries.set(key, value);
    }
    this.#at += 1;
    return Object.fromEntries(entries);
  }

  #array(depth: number): unknown[] {
    const items: unknown[] = [];
    this.#at += 1;
    for (this.#space(); this.#text[this.#at] !== "]"; this.#space()) {
      if (items.length > 0) this.#expect(",", "expected `,` or `]`");
      items.push(this.#value(depth + 1));
    }
    this.#at += 1;
    return items;
  }

  #string(): string {
    const literal = this.#match(stringPattern);
    return literal === undefined
      ? this.#fail("the text in double quotes that begins here is not closed, or holds an invalid escape")
      : JSON.parse(literal);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #expect(character: string, message: string): void {
    if (this.#text[this.#at] !== character) this.#fail(this.#at < this.#text.length ? message : "the text ends too early");
    this.#at += 1;
  }

  #space(): void {
    while (" \t\r\n".includes(this.#text[this.#at] ?? "x")) this.#at += 1;
  }

  #fail(message: string): never {
    throw new JsonSyntaxError(message);
  }
}
