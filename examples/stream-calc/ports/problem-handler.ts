/** Inbound: arithmetic problems that the outside wants solved. */
export interface ProblemHandler {
  multiply(problemId: string, multiplier: number, multiplicand: number): Promise<void>;
  divide(problemId: string, dividend: number, divisor: number): Promise<void>;
}
