/** Counts what it is told, and lets one wait for the next time. */
export function deferredSignal(): { readonly told: number; readonly tell: () => void; next(): Promise<void> } {
  let told = 0;
  let wake: (() => void)[] = [];
  return {
    get told() {
      return told;
    },
    tell: () => {
      told += 1;
      const waiting = wake;
      wake = [];
      for (const each of waiting) each();
    },
    next: () => new Promise((resolve) => wake.push(resolve)),
  };
}
