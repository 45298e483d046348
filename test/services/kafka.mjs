import { startKafkaContainer } from "./kafka-container.mjs";
import { containerEngineAnswers, instanceName, startServer } from "./server.mjs";

/**
 * Starts a broker of its own on free ports and resolves once it has answered: in a container if an engine answers, else from the
 * script. It ends with `stop()`, or with this process however that ends.
 * `settings`: the script's `KAFKA_…` variables. `container: false` asks for the script, whose broker can be killed and restarted.
 */
export async function startKafka({ settings = {}, container = true } = {}) {
  if (container && containerEngineAnswers()) return startKafkaContainer(instanceName(), settings);
  return startServer("kafka", settings);
}
