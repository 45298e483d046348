import { closeSync, openSync, readFileSync, writeSync } from "node:fs";

/** Milliseconds of the machine's own clock, the same in every process. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** An event given to the publisher, and what became of it. */
export interface Sending {
  readonly id: string;
  readonly key: string;
  /** Counts from 1 within its key. */
  readonly n: number;
  readonly atMs: number;
  acknowledgedMs?: number;
  /** Code of the error that its call rejected with. */
  refused?: string;
}

/** One run of a handler. */
export interface Run {
  readonly id: string;
  readonly key: string;
  readonly n: number;
  readonly attempt: number;
  /** Who ran it. */
  readonly member: string;
  readonly beginMs: number;
  /** Missing if its process was killed meanwhile, or it still runs. */
  endMs?: number;
  failed?: boolean;
}

/** What publishers and handlers do, written down as they do it. */
export class Journal {
  readonly sendings = new Map<string, Sending>();
  readonly runs: Run[] = [];
  readonly #file: number | undefined;

  /** With a file every step is in it before the next begins, so that what a killed process did is known. */
  constructor(file?: string) {
    this.#file = file === undefined ? undefined : openSync(file, "a");
  }

  sent(id: string, key: string, n: number): void {
    const sending = { id, key, n, atMs: machineMs() };
    this.sendings.set(id, sending);
    this.#write("s", id, key, n, sending.atMs);
  }

  acknowledged(id: string): void {
    const sending = this.sendings.get(id) as Sending;
    sending.acknowledgedMs = machineMs();
    this.#write("a", id, sending.acknowledgedMs);
  }

  refused(id: string, code: string): void {
    (this.sendings.get(id) as Sending).refused = code;
    this.#write("r", id, code);
  }

  /** A handler begins; what is returned is called at its end. */
  begin(id: string, key: string, n: number, attempt: number, member = ""): (outcome?: "failed") => void {
    const run: Run = { id, key, n, attempt, member, beginMs: machineMs() };
    const index = this.runs.push(run) - 1;
    this.#write("b", id, key, n, attempt, run.beginMs);
    return (outcome) => {
      run.endMs = machineMs();
      if (outcome === "failed") run.failed = true;
      this.#write("e", index, run.endMs, outcome ?? "");
    };
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }

  #write(...fields: readonly (string | number)[]): void {
    if (this.#file !== undefined) writeSync(this.#file, `${fields.join("\t")}\n`);
  }
}

/** What a process has written into its journal so far. */
export function readJournal(file: string, member: string): Pick<Journal, "sendings" | "runs"> {
  const sendings = new Map<string, Sending>();
  const runs: Run[] = [];
  // A killed process may leave half a line.
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  for (const line of lines) {
    const [kind, first = "", second = "", third = "", fourth, fifth] = line.split("\t");
    const sending = sendings.get(first);
    const run = runs[Number(first)];
    if (kind === "s") sendings.set(first, { id: first, key: second, n: Number(third), atMs: Number(fourth) });
    else if (kind === "a" && sending) sending.acknowledgedMs = Number(second);
    else if (kind === "r" && sending) sending.refused = second;
    else if (kind === "b") runs.push({ id: first, key: second, n: Number(third), attempt: Number(fourth), member, beginMs: Number(fifth) });
    else if (kind === "e" && run) {
      run.endMs = Number(second);
      if (third === "failed") run.failed = true;
    }
  }
  return { sendings, runs };
}

const steps = { sent: /^s\t/gm, acknowledged: /^a\t/gm, begun: /^b\t/gm, ended: /^e\t/gm };

/** How many steps of a kind a journal's file holds so far. */
export function countSteps(file: string, step: keyof typeof steps): number {
  return readFileSync(file, "utf8").match(steps[step])?.length ?? 0;
}
