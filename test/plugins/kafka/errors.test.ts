import assert from "node:assert/strict";
import { test } from "node:test";
import { classifyKafkaError, isPassing, NoBrokerError } from "../../../plugins/kafka/errors.ts";

const error = (facts: object): Error => Object.assign(new Error("captured"), facts);
const refused = error({ name: "KafkaJSConnectionError", code: "ECONNREFUSED", broker: "a:1" });
const password = error({ name: "KafkaJSSASLAuthenticationError" });

// Facts of errors as kafkajs 2.2.4 gave them against Kafka 4.3.1.
const table: readonly (readonly [object, string | undefined])[] = [
  [refused, "ERR_HEXKIT_UNAVAILABLE"],
  [password, "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [error({ name: "KafkaJSConnectionError", code: "SELF_SIGNED_CERT_IN_CHAIN" }), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [error({ name: "KafkaJSConnectionError", code: "ERR_TLS_CERT_ALTNAME_INVALID" }), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [error({ name: "KafkaJSConnectionError", code: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED" }), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [error({ name: "KafkaJSConnectionClosedError" }), "ERR_HEXKIT_UNAVAILABLE"],
  [error({ name: "RequestTimeoutError" }), "ERR_HEXKIT_TIMEOUT"],
  [error({ name: "KafkaJSProtocolError", type: "UNKNOWN_TOPIC_OR_PARTITION", code: 3 }), "ERR_HEXKIT_TOPIC_NOT_FOUND"],
  [error({ name: "KafkaJSProtocolError", type: "MESSAGE_TOO_LARGE", code: 10 }), "ERR_HEXKIT_MESSAGE_TOO_LARGE"],
  [error({ name: "KafkaJSProtocolError", type: "TOPIC_AUTHORIZATION_FAILED", code: 29 }), "ERR_HEXKIT_PERMISSION_DENIED"],
  [error({ name: "KafkaJSProtocolError", type: "SOMETHING_NEW", code: 999 }), undefined],
  [new TypeError("a bug"), undefined],
];

test("errors are classified by type, name and code, and unknown ones stay unclassified", () => {
  for (const [each, code] of table) assert.equal(classifyKafkaError(each), code, JSON.stringify(each));
  for (const each of [undefined, null, "text", {}]) assert.equal(classifyKafkaError(each), undefined);
});

test("of several brokers' errors, the one that waiting does not mend counts", () => {
  assert.equal(classifyKafkaError(new NoBrokerError([refused, refused])), "ERR_HEXKIT_UNAVAILABLE");
  assert.equal(classifyKafkaError(new NoBrokerError([refused, password])), "ERR_HEXKIT_AUTHENTICATION_FAILED");
  assert.equal(new NoBrokerError([refused]).message, "no broker answers: captured (a:1)");
});

test("only what may pass is waited for", () => {
  assert.ok(isPassing(refused));
  assert.ok(!isPassing(password));
  assert.ok(!isPassing(new TypeError("a bug")));
});
