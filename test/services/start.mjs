import { startKafka } from "./kafka.mjs";

/**
 * Starts every server that the tests of this folder need and resolves with the variables that tell the tests where they are.
 * A server whose variable is set already is used as it is. A server that cannot be started is an error, never a skip.
 */
export async function startServices() {
  if (process.env.HEXKIT_TEST_KAFKA_BROKERS) return { env: {}, stop: async () => {} };
  const kafka = await startKafka({ settings: { KAFKA_SECURE: "1" } });
  return {
    env: Object.fromEntries(Object.entries(kafka.addresses).map(([name, value]) => [`HEXKIT_TEST_${name}`, value])),
    stop: kafka.stop,
  };
}
