/** A variable of the runner, without `HEXKIT_TEST_`. A missing server is a failure, never a skip. */
export function variable(name: string): string {
  const value = process.env[`HEXKIT_TEST_${name}`];
  if (!value) throw new Error(`HEXKIT_TEST_${name} is not set: run node test/run.mjs --services, or see test/services/README.md`);
  return value;
}
