import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { describeValues, readSources, resolveConfig } from "../../config/index.ts";
import { folderWith, lines, onKafka, options, resolved, valid, vocabulary, wrong } from "./fixture.ts";

describe("fetching values from elsewhere", () => {
  it("follows $env with the type that the option has", () => {
    const config = onKafka({
      token: { $env: "TOKEN" },
      brokers: { $env: "BROKERS" },
      tls: { $env: "TLS" },
      sasl: { password: { $env: "TOKEN" } },
    });
    assert.deepEqual(options(config, { TOKEN: "t", BROKERS: "a,b", TLS: "true" }), {
      token: "t",
      brokers: ["a", "b"],
      tls: true,
      clientId: "hexkit",
      sasl: { mechanism: "plain", password: "t" },
    });
  });

  it("follows $env within lists, and in the sections", () => {
    const config = { ...onKafka({ brokers: ["a", { $env: "B" }] }), service: { name: { $env: "POD" } } };
    const found = valid(resolved(config, { B: "b", POD: "pod" }));
    assert.deepEqual([found.providers[0]?.options.brokers, found.service.name], [["a", "b"], "pod"]);
    assert.ok(!resolved(config, { B: "b", POD: "pod-name-1" }).secrets.includes("pod-name-1"));
  });

  it("reads $file relative to the file that names it, without the last line break", async () => {
    const folder = await folderWith({ "c.json": onKafka({ token: { $file: "./token" } }), token: "line\n\n" });
    const sources = readSources({ config: join(folder, "c.json"), env: {}, cwd: "/" });
    const { config, values } = resolveConfig(sources, vocabulary);
    assert.equal(config?.providers[0]?.options.token, "line\n");
    assert.equal(values.find(({ pointer }) => pointer.endsWith("/token"))?.origin, "file ./token");
  });

  it("reports what cannot be fetched, at its place", () => {
    const config = onKafka({
      token: { $env: "NOPE" },
      url: { $file: "/nope" },
      clientId: { $env: "A", $file: "b" },
      brokers: ["a", { $env: 1 }],
    });
    assert.deepEqual(wrong(config), [
      "config#/providers/events/options/brokers/1: `$env` must be text: the name of a variable",
      "config#/providers/events/options/clientId: `$env` and `$file` stand alone in their object",
      'config#/providers/events/options/token: the variable "NOPE" is not set',
      'config#/providers/events/options/url: file "/nope" does not exist',
    ]);
  });

  it("does not report a required value as missing when it only could not be fetched", () => {
    assert.deepEqual(wrong(onKafka({ sasl: { password: { $env: "NOPE" } } })), [
      'config#/providers/events/options/sasl/password: the variable "NOPE" is not set',
    ]);
  });

  it("reads secrets by _FILE, nested ones too", async () => {
    const folder = await folderWith({ p: "secret-by-file\r\n" });
    const env = { HEXKIT_EVENTS_SASL_PASSWORD_FILE: join(folder, "p"), HEXKIT_EVENTS_TOKEN_FILE: join(folder, "p") };
    const { config, secrets } = resolved(onKafka(), env);
    assert.deepEqual(config?.providers[0]?.options.sasl, { mechanism: "plain", password: "secret-by-file" });
    assert.ok(secrets.includes("secret-by-file"));
  });

  it("reports an unreadable _FILE by variable and path, and a value given twice", async () => {
    const folder = await folderWith({ p: "x" });
    assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENTS_TOKEN_FILE: "/nope", HEXKIT_EVENTS_PIN_FILE: folder }), [
      `HEXKIT_EVENTS_PIN_FILE: file "${folder}" cannot be read (EISDIR)`,
      'HEXKIT_EVENTS_TOKEN_FILE: file "/nope" does not exist',
    ]);
    assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENTS_TOKEN_FILE: join(folder, "p"), HEXKIT_EVENTS_TOKEN: "y" }), [
      "HEXKIT_EVENTS_TOKEN_FILE: set together with HEXKIT_EVENTS_TOKEN: remove one of them",
    ]);
  });

  it("refuses _FILE for what is no secret", () => {
    assert.deepEqual(wrong(onKafka(), { HEXKIT_EVENTS_CLIENT_ID_FILE: "/nope" }), [
      "HEXKIT_EVENTS_CLIENT_ID_FILE: unknown: only secrets are read from files; use HEXKIT_EVENTS_CLIENT_ID",
    ]);
  });

  it("takes a secret in clear text from a file", () => {
    assert.equal((options(onKafka({ token: "clear" })) as { token: string }).token, "clear");
  });
});

describe("keeping secrets", () => {
  it("collects secrets as they are, URL-encoded, and the passwords of addresses", () => {
    const { secrets } = resolved(
      onKafka({
        token: "a b/c",
        url: "nats://me:p%40ss@host:1/x?password=q1",
        labels: { $env: "L" },
        brokers: ["amqp://u:one@a,amqp://u:t@o@b"],
        clientId: { $env: "ID" },
      }),
      { L: '{"k":"label-value","short":"eu-west"}', ID: "the-client-id" },
    );
    for (const secret of ["a b/c", "a%20b%2Fc", "p%40ss", "p@ss", "q1", "label-value", "the-client-id", "one", "t@o"])
      assert.ok(secrets.includes(secret), secret);
    assert.ok(!secrets.includes("me"));
    assert.ok(!secrets.includes("eu-west"), "a short text for an option that is no secret would be cut out of other texts");
    assert.deepEqual(
      [...secrets].sort((a, b) => b.length - a.length),
      secrets,
    );
  });

  it("collects the forms of a secret that looks URL-encoded, or only nearly so", () => {
    const { secrets } = resolved(onKafka({ token: "50%2f", sasl: { password: "100% sure" } }));
    for (const secret of ["50%2f", "50/", "50%2F", "50%252f", "100% sure", "100%25%20sure"]) assert.ok(secrets.includes(secret), secret);
  });

  it("masks secrets in the values and in what is printed", () => {
    const config = onKafka({
      token: "canary-1",
      url: "nats://me:canary-2@host",
      labels: { a: { $env: "L" } },
      sasl: { password: "canary-4" },
      pin: 12345678,
      pasword: "canary-5",
    });
    const { values } = resolved(config, { L: "canary-3" });
    const text = JSON.stringify(values) + describeValues(values);
    assert.doesNotMatch(text, /canary|12345678/);
    assert.match(
      describeValues(values),
      /^\/providers\/events\/options\/url = "nats:\/\/me:\[secret\]@host" {2}\(file config#\/providers\/events\/options\/url\)$/m,
    );
    assert.match(describeValues(values), /^\/providers\/events\/options\/token = \[secret\] {2}/m);
    assert.match(describeValues(values), /^\/providers\/events\/options\/clientId = "hexkit" {2}\(default\)$/m);
  });

  it("masks the values of a provider that is not bound", () => {
    const { values } = resolved(
      { providers: { idle: { plugin: "@acme/hexkit-plugin-unknown", options: { key: "canary" } } } },
      { HEXKIT_IDLE_KEY: "canary" },
    );
    assert.doesNotMatch(JSON.stringify(values), /canary/);
  });

  it("puts no secret into a problem, whatever is wrong with it", () => {
    const canary = "canary-3f9a";
    const problems = [
      ...wrong(
        onKafka({
          token: [canary],
          pin: canary,
          sasl: { password: { canary } },
          url: { $env: "C" },
          tls: { $env: "C" },
          ports: ["x", { $env: "C" }],
          acks: { $env: "C" },
        }),
        { C: canary },
      ),
      ...wrong(onKafka(), {
        HEXKIT_EVENTS_PIN: canary,
        HEXKIT_EVENTS_SASL: `{"password":"${canary}"`,
        HEXKIT_EVENTS_TLS: `http://u:${canary}@h`,
        HEXKIT_LOG_LEVEL: canary,
      }),
      ...wrong({}, { HEXKIT_DAO: `mongodb://u:${canary}@h`, HEXKIT_OUTBOX__A__DAO: `mongodb://u:${canary}@h` }),
      ...wrong({
        providers: { a: { plugin: `x://u:${canary}@h`, options: { url: `x://u:${canary}@h` } } },
        protocols: { dao: "a", [`x://u:${canary}@h`]: "a" },
      }),
      ...wrong(onKafka({ token: canary, labels: { [canary]: 1 } })),
    ];
    assert.ok(problems.length > 14, problems.join("\n"));
    assert.doesNotMatch(problems.join("\n"), /canary-/);
  });

  it("masks a password that a wrong value of the sections holds", () => {
    const { problems } = resolved({ service: { name: "bad\nname" }, log: { level: "x://u:canary-9@h" } });
    assert.doesNotMatch(lines(problems).join(), /canary/);
    assert.equal(problems.length, 2);
  });
});
