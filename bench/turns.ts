const runs = 5;

/** Both ways in turn, so that a drift of the machine hits both; the first pair warms up. */
export async function inTurns(ours: () => Promise<number>, bare: () => Promise<number>): Promise<{ ours: number[]; bare: number[] }> {
  const figures = { ours: [] as number[], bare: [] as number[] };
  for (let run = 0; run <= runs; run += 1) {
    const pair = { ours: await ours(), bare: await bare() };
    if (run === 0) continue;
    figures.ours.push(pair.ours);
    figures.bare.push(pair.bare);
  }
  return figures;
}

export async function perSecond(count: number, work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return (count * 1_000) / (performance.now() - started);
}

/** Each of `callers` awaits one call before its next. */
export async function inParallel(count: number, callers: number, call: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: callers }, caller));
}
