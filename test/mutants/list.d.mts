/** One fault, and the suite that must notice it. */
export interface Mutant {
  /** Where the fault is. */
  readonly room: string;
  readonly protocol: string;
  /** What the broken code does. */
  readonly title: string;
  readonly file: string;
  /** Text that is in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** The test file that runs the suite. */
  readonly suite: string;
  /** Which tests of it, as `--test-name-pattern`. */
  readonly pattern?: string;
}

/** What became of a mutant: the title of the first test that failed, with those of its groups, or why there is none. */
export interface Outcome {
  readonly fault: string;
  readonly by?: string;
  readonly state?: "survived" | "broken";
}

export const outcomeFile: string;
export function readMutants(): readonly Mutant[];
export function readOutcome(): Readonly<Record<string, Outcome>>;
export function keyOf(mutant: Mutant): string;
export function faultOf(mutant: Mutant): string;
