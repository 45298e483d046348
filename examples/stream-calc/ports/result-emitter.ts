/** Outbound: what became of a problem. */
export interface ResultEmitter {
  emitResult(problemId: string, result: number): Promise<void>;
  emitFailure(problemId: string, reason: string): Promise<void>;
}
