/** The header by which an outbox numbers its events: how often the right to publish changed hands, and a counter. */
export const sequenceHeader = "sequence";

/** Ids whose last state is remembered. */
const mostRemembered = 100_000;

type Sequence = readonly [fence: number, count: number];

/** Recognises states of resources that come after newer ones: sent late by a process that had lost the right to publish, or parked as dead letters. */
export class LatestStates {
  readonly #byId = new Map<string, Sequence>();

  /** Whether a newer state of the resource was handled before, by this process. */
  isOutdated(id: string, header: string | undefined): boolean {
    const [given, latest] = [parse(header), this.#byId.get(id)];
    if (given === undefined || latest === undefined) return false;
    return given[0] < latest[0] || (given[0] === latest[0] && given[1] < latest[1]);
  }

  handled(id: string, header: string | undefined): void {
    const sequence = parse(header);
    if (sequence === undefined) return;
    this.#byId.delete(id);
    this.#byId.set(id, sequence);
    const [oldest] = this.#byId.size > mostRemembered ? this.#byId.keys() : [];
    if (oldest !== undefined) this.#byId.delete(oldest);
  }
}

function parse(header: string | undefined): Sequence | undefined {
  const parts = /^(\d{1,15})\.(\d{1,15})$/.exec(header ?? "");
  return parts === null ? undefined : [Number(parts[1]), Number(parts[2])];
}
