import { parseUuid } from "../../uuid.ts";

const brand = Symbol.for("hexkit.Uuid");

/** A UUID at the driver's level, where text and UUIDs are two types. In a DTO it is text. */
export class Uuid {
  /** In canonical form: lower case, with hyphens. */
  readonly text: string;

  /** @param text in canonical form; `Uuid.from` takes any. */
  constructor(text: string) {
    this.text = text;
  }

  /** Reads a UUID of any version in any spelling; `undefined` if it is none. */
  static from(text: string): Uuid | undefined {
    const canonical = parseUuid(text);
    return canonical === undefined ? undefined : new Uuid(canonical);
  }

  toString(): string {
    return this.text;
  }

  toJSON(): string {
    return this.text;
  }
}

// A brand instead of instanceof: a plugin may carry a copy of this package.
Object.defineProperty(Uuid.prototype, brand, { value: true });

/** Whether a value is a `Uuid`, also one made by another copy of this package. */
export function isUuid(value: unknown): value is Uuid {
  return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[brand] === true;
}
