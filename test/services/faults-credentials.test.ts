import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { isHexkitError } from "hexkit";
import { openService, type Service } from "../faults/service.ts";
import { servers } from "./kafka.ts";

/** Opening a whole service fails with the code for wrong credentials, soon, and tells no secret. */
async function isRefused(options: Extract<Service["provider"], { plugin: "kafka" }>["options"], secret: string): Promise<void> {
  const begin = performance.now();
  const error = await openService({ name: "intruder", provider: { plugin: "kafka", options } }).then(
    async (registry) => {
      await registry.close();
      assert.fail("it opened");
    },
    (cause: unknown) => cause,
  );
  assert.ok(isHexkitError(error, "ERR_HEXKIT_AUTHENTICATION_FAILED"), inspect(error));
  assert.equal(error.retryable, false);
  assert.ok(performance.now() - begin < 15_000, `${performance.now() - begin} ms`);
  assert.ok(!inspect(error, { depth: 10 }).includes(secret), "the secret is in the error");
}

for (const mechanism of ["plain", "scram-sha-256", "scram-sha-512"] as const) {
  test(`a service with a wrong password is refused by SASL ${mechanism} over TLS`, () => {
    const password = `canary-${mechanism}`;
    const tls = { enabled: true, ca: servers.ca };
    return isRefused({ brokers: servers.saslTls, tls, sasl: { mechanism, ...servers.user, password } }, password);
  });

  test(`a service with an unknown user is refused by SASL ${mechanism}`, () => {
    const password = `canary-${mechanism}`;
    return isRefused({ brokers: servers.saslPlaintext, sasl: { mechanism, username: "nobody", password } }, password);
  });
}

test("a service that trusts another authority refuses the broker, before it shows its password", () => {
  const password = "canary-of-another-authority";
  const sasl = { mechanism: "plain", ...servers.user, password } as const;
  return isRefused({ brokers: servers.saslTls, tls: { enabled: true }, sasl }, password);
});
