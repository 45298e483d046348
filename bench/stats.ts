/** Lowest, median and highest of some figures. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export function spread(figures: readonly number[]): Spread {
  const sorted = [...figures].sort((a, b) => a - b);
  const at = (index: number): number => sorted[index] as number;
  const middle = sorted.length >> 1;
  return { min: at(0), median: sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2, max: at(sorted.length - 1) };
}

/** `12.3 (11.9–14.0) ms` */
export function show({ min, median, max }: Spread, unit: string, digits = 1): string {
  const text = (figure: number): string => (digits === 0 ? Math.round(figure).toLocaleString("en-US") : figure.toFixed(digits));
  return `${text(median)} (${text(min)}–${text(max)}) ${unit}`;
}

/** Two ways of doing the same, run by run in pairs: figures of ours, of the other, and how the pairs compare. */
export function compare(
  { ours, bare }: { readonly ours: readonly number[]; readonly bare: readonly number[] },
  other: string,
  unit: string,
): string {
  const ratios = ours.map((figure, run) => figure / (bare[run] as number));
  return `${show(spread(ours), unit, 0)}, ${other} ${show(spread(bare), unit, 0)}, ratio ${show(spread(ratios), "", 2).trimEnd()}`;
}
