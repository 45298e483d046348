import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { test } from "node:test";
import { inspect } from "node:util";
import type { ErrorCode } from "../../core/index.ts";
import { classifyKafkaError } from "../../plugins/kafka/errors.ts";
import type { KafkaOptions } from "../../plugins/kafka/options.ts";
import { createTopic, openProvider, outgoing, Reader, sendAll, servers, uniqueName, until } from "./kafka.ts";

type Options = Partial<KafkaOptions>;

/** Publishes and consumes over a listener. */
async function works(options: Options): Promise<void> {
  await using provider = await openProvider(options);
  const topic = uniqueName();
  await createTopic(topic);
  await sendAll(provider.publisher, [outgoing(topic, "k", "1")]);
  const reader = await Reader.join(provider.subscriber, uniqueName("group"), [topic]);
  await until("the record", () => reader.seen.length === 1);
  await reader.source.acknowledge(reader.seen, {});
  await reader.source.leave();
  assert.deepEqual(reader.failures, []);
}

/** Opening fails soon, with that code and a readable reason, and tells no secret. */
async function refused(options: Options, code: ErrorCode, reason: RegExp, secret?: string): Promise<void> {
  const begin = performance.now();
  const error = await openProvider(options).then(
    () => assert.fail("it opened"),
    (cause: unknown) => cause as Error,
  );
  assert.ok(performance.now() - begin < 8_000, `${performance.now() - begin} ms`);
  assert.equal(classifyKafkaError(error), code, inspect(error));
  assert.match(error.message, reason);
  if (secret !== undefined) assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes(secret));
}

for (const mechanism of ["plain", "scram-sha-256", "scram-sha-512"] as const) {
  test(`events pass with SASL ${mechanism}`, () => works({ brokers: servers.saslPlaintext, sasl: { mechanism, ...servers.user } }));

  test(`a wrong password is refused by SASL ${mechanism}`, () => {
    const sasl = { mechanism, ...servers.user, password: "canary-of-a-secret" };
    return refused({ brokers: servers.saslPlaintext, sasl }, "ERR_HEXKIT_AUTHENTICATION_FAILED", /SASL/, sasl.password);
  });

  test(`events pass with SASL ${mechanism} over TLS`, () =>
    works({ brokers: servers.saslTls, tls: { enabled: true, ca: servers.ca }, sasl: { mechanism, ...servers.user } }));
}

test("events pass over TLS, by address and by name", async () => {
  const tls = { enabled: true, ca: servers.ca };
  await works({ brokers: servers.tls, tls });
  await works({ brokers: servers.tls.map((broker) => broker.replace("127.0.0.1", "localhost")), tls });
});

test("events pass with a client certificate, also if its key is encrypted", async () => {
  const { cert, key } = servers.clientCertificate;
  const tls = { enabled: true, ca: servers.ca, cert };
  await works({ brokers: servers.mutualTls, tls: { ...tls, key } });
  const keyPassphrase = "a passphrase";
  const encrypted = createPrivateKey(key).export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: keyPassphrase });
  await works({ brokers: servers.mutualTls, tls: { ...tls, key: String(encrypted), keyPassphrase } });
});

test("a broker that demands a client certificate refuses one without", () =>
  refused({ brokers: servers.mutualTls, tls: { enabled: true, ca: servers.ca } }, "ERR_HEXKIT_AUTHENTICATION_FAILED", /certificate/i));

test("a certificate of an unknown authority is refused", () =>
  refused({ brokers: servers.tls, tls: { enabled: true } }, "ERR_HEXKIT_AUTHENTICATION_FAILED", /certificate/));

test("a certificate for another name is refused", () =>
  refused(
    { brokers: servers.tls, tls: { enabled: true, ca: servers.ca, serverName: "elsewhere.example" } },
    "ERR_HEXKIT_AUTHENTICATION_FAILED",
    /elsewhere\.example/,
  ));

test("without credentials, a listener that wants them does not answer", () =>
  refused({ brokers: servers.saslPlaintext, connectTimeoutMs: 1_000, requestTimeoutMs: 2_000 }, "ERR_HEXKIT_UNAVAILABLE", /closed/i));

test("TLS towards a listener without it is a readable failure", () =>
  refused({ brokers: servers.plain, tls: { enabled: true, ca: servers.ca }, connectTimeoutMs: 1_000 }, "ERR_HEXKIT_UNAVAILABLE", /./));

test("a broker that is not there is named", () => refused({ brokers: ["127.0.0.1:1"] }, "ERR_HEXKIT_UNAVAILABLE", /127\.0\.0\.1:1/));

test("several brokers are tried in turn, and all are named if none answers", async () => {
  await using provider = await openProvider({ brokers: ["127.0.0.1:1", ...servers.plain] });
  await provider.ping();
  await refused({ brokers: ["127.0.0.1:1", "127.0.0.1:2"] }, "ERR_HEXKIT_UNAVAILABLE", /127\.0\.0\.1:1.*127\.0\.0\.1:2/);
});

test("kafkajs's own log lines are for those who look for them: debug only, without what was sent", async () => {
  await using provider = await openProvider({ brokers: servers.saslPlaintext, sasl: { mechanism: "plain", ...servers.user } });
  await provider.ping();
  assert.ok(provider.lines.length > 0);
  assert.ok(provider.lines.every(({ level }) => level === "debug"));
  assert.ok(!JSON.stringify(provider.lines).includes(servers.user.password));
});
