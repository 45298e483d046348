import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect } from "@nats-io/transport-node";
import { inspectConfig, openRegistry } from "hexkit";
import { classifyNatsError } from "../../examples/nats-jetstream/errors.ts";
import { type GroupState, type Myself, nobody, placeOf, plan, without } from "../../examples/nats-jetstream/group.ts";
import plugin from "../../examples/nats-jetstream/index.ts";
import { decodeRecord, encodeRecord } from "../../examples/nats-jetstream/records.ts";
import { hash, token } from "../../examples/nats-jetstream/topics.ts";

const config = (options: object) => ({
  service: { name: "tested" },
  providers: { queue: { plugin: "nats", options } },
  protocols: { eventPublisher: "queue" },
});
const opened = (options: object): Promise<unknown> => openRegistry({ config: config(options), plugins: [plugin], env: {} });
/** Nothing listens on the port of this name. */
const nowhere = "127.0.0.1:1";

describe("the NATS plugin without a server", () => {
  it("is refused without servers, and with addresses that hold credentials", async () => {
    for (const options of [{}, { servers: [] }, { servers: ["nats://ann:secret@host:4222"] }, { servers: ["host:4222/path"] }]) {
      await assert.rejects(opened(options), { code: "ERR_HEXKIT_CONFIG_INVALID" }, JSON.stringify(options));
    }
  });

  it("refuses heartbeats that are too rare, and says which are not", async () => {
    const options = { servers: [nowhere], sessionTimeoutMs: 3_000, heartbeatIntervalMs: 2_000 };
    await assert.rejects(
      opened(options),
      /ERR_HEXKIT_CONFIG_INVALID|heartbeatIntervalMs 2000 is more than a third of sessionTimeoutMs 3000; set it to 1000 or less/,
    );
  });

  it("takes its options from the environment, and shows no secret", async () => {
    const env = { HEXKIT_QUEUE_SERVERS: "a:4222,b:4222", HEXKIT_QUEUE_PASSWORD: "canary-1", HEXKIT_QUEUE_TOKEN: "canary-2" };
    const report = JSON.stringify(await inspectConfig({ config: config({}), plugins: [plugin], env }));
    assert.match(report, /a:4222/);
    assert.doesNotMatch(report, /canary/);
  });

  it("says that nothing listens there, without a secret", async () => {
    const failure = await opened({ servers: [nowhere], user: "ann", password: "canary" }).catch((error: unknown) => error as Error);
    assert.match(String((failure as Error).message), /ERR_HEXKIT_UNAVAILABLE|refused/i);
    assert.doesNotMatch(JSON.stringify(failure) + String((failure as Error).stack), /canary/);
  });

  it("knows the client's own error for a server that is not there", async () => {
    const error = await connect({ servers: [nowhere], reconnect: false }).catch((reason: unknown) => reason);
    assert.equal(classifyNatsError(error), "ERR_HEXKIT_UNAVAILABLE", String(error));
  });

  it("tells errors apart by name, by JetStream's code, and by what they were caused by", () => {
    const named = (name: string, more: object = {}): Error => Object.assign(new Error("on purpose"), { name, ...more });
    const cases: readonly (readonly [error: unknown, code: string | undefined])[] = [
      [named("AuthorizationError"), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
      [named("ConnectionError", { cause: named("AuthorizationError") }), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
      [named("RequestError", { cause: named("PermissionViolationError") }), "ERR_HEXKIT_PERMISSION_DENIED"],
      [named("JetStreamNotEnabled", { cause: named("RequestError", { cause: named("NoResponders") }) }), "ERR_HEXKIT_UNAVAILABLE"],
      [named("JetStreamNotEnabled", { cause: named("JetStreamApiError", { code: 10039 }) }), "ERR_HEXKIT_UNSUPPORTED"],
      [named("StreamNotFoundError", { code: 10059 }), "ERR_HEXKIT_TOPIC_NOT_FOUND"],
      [named("JetStreamApiError", { code: 10054 }), "ERR_HEXKIT_MESSAGE_TOO_LARGE"],
      [named("JetStreamApiError", { code: 10077 }), "ERR_HEXKIT_UNAVAILABLE"],
      [named("TimeoutError"), "ERR_HEXKIT_TIMEOUT"],
      [named("Error", { code: "ECONNREFUSED" }), "ERR_HEXKIT_UNAVAILABLE"],
      [named("Error", { code: "DEPTH_ZERO_SELF_SIGNED_CERT" }), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
      [named("Error"), undefined],
      ["no error", undefined],
    ];
    for (const [error, code] of cases) assert.equal(classifyNatsError(error), code, String((error as Error).name));
  });

  it("carries whatever a record holds through the headers of a message", () => {
    const record = {
      key: " a key\r\nof 100% ",
      value: "{}",
      headers: [
        ["type", "tested"],
        ["exc_stack", "Error: x\n    at y\r\n"],
        ["Nats-Msg-Id", "no instruction to the server"],
        ["nats-rollup", "all"],
        ["Hexkit-Key", "another"],
        ["a name: with blanks", ""],
        ["%41", "%42"],
      ],
    } as const;
    const { headers, body } = encodeRecord(record);
    for (const [name, text] of headers) {
      assert.match(name, /^[!-9;-~]+$/, name);
      assert.match(text, /^([!-~]([ -~]*[!-~])?)?$/, text);
    }
    assert.deepEqual(headers.filter(([name]) => /^(nats|hexkit)-/i.test(name)).length, 1);
    const decoded = decodeRecord({ headers: [["Nats-Msg-Id", "the driver's"], ...headers], body });
    const text = (bytes: Uint8Array | null): string => Buffer.from(bytes ?? []).toString();
    assert.equal(text(decoded.key), record.key);
    assert.deepEqual(
      decoded.headers.map(([name, value]) => [name, text(value)]),
      record.headers,
    );
  });

  it("reads messages that others wrote: without our header there is no key, and text outside ASCII is UTF-8", () => {
    const { key, headers } = decodeRecord({ headers: [["note", "Grüße, 100%"]], body: Buffer.from("") });
    assert.equal(key, null);
    assert.equal(Buffer.from(headers[0]?.[1] ?? []).toString(), "Grüße, 100%");
  });

  it("gives topics names that streams and subjects may have, and each another", () => {
    const topics = ["orders", "orders.eu", "orders eu", "orders=2Eeu", "a/b", "*", ">"];
    const tokens = topics.map(token);
    for (const each of tokens) assert.match(each, /^[A-Za-z0-9_=-]+$/);
    assert.equal(new Set(tokens).size, topics.length);
  });

  it("hashes keys as every version will", () => {
    assert.deepEqual(["", "a", "order-17"].map(hash), [2_166_136_261, 3_826_002_220, hash("order-17")]);
  });
});

describe("the group of the NATS plugin", () => {
  const me = (id: string, more: Partial<Myself> = {}): Myself => ({
    id,
    topics: ["t"],
    counts: new Map([["t", 4]]),
    released: new Set(),
    dead: new Set(),
    ...more,
  });
  const places = [0, 1, 2, 3].map((partition) => placeOf("t", partition));
  /** The state after each of them has taken a step, and let go of what it should, until nothing changes. */
  const settle = (start: GroupState, ids: readonly string[], more: Partial<Myself> = {}): GroupState => {
    let state = start;
    let before = "";
    for (let round = 0; round < 10; round += 1) {
      before = JSON.stringify(state.owners);
      for (const id of ids) {
        const first = plan(state, me(id, more));
        state = plan(first.state, me(id, { ...more, released: first.excess })).state;
      }
    }
    assert.equal(JSON.stringify(state.owners), before, "it never settles");
    return state;
  };
  const loads = (state: GroupState): number[] =>
    Object.keys(state.members).map((id) => Object.values(state.owners).filter((owner) => owner === id).length);

  it("gives all to the first, and even shares to more", () => {
    const one = plan(nobody, me("a"));
    assert.deepEqual(one.mine.toSorted(), places);
    assert.deepEqual(one.excess.size, 0);
    assert.deepEqual(loads(settle(one.state, ["a", "b"])), [2, 2]);
    assert.deepEqual(loads(settle(one.state, ["a", "b", "c"])).sort(), [1, 1, 2]);
    assert.deepEqual(loads(settle(one.state, ["a", "b", "c", "d", "e"])).sort(), [0, 1, 1, 1, 1]);
  });

  it("takes nothing that another still has", () => {
    const { state } = plan(nobody, me("a"));
    const { mine, state: after } = plan(state, me("b"));
    assert.deepEqual(mine, []);
    assert.deepEqual(after.owners, state.owners);
    assert.equal(plan(after, me("a")).excess.size, 2);
  });

  it("moves no more than it must", () => {
    const two = settle(nobody, ["a", "b"]);
    const three = settle(two, ["a", "b", "c"]);
    assert.equal(places.filter((place) => two.owners[place] !== three.owners[place]).length, 1);
  });

  it("takes over from whoever has left or is dead", () => {
    const two = settle(nobody, ["a", "b"]);
    assert.deepEqual(plan(without(two, "a"), me("b")).mine.toSorted(), places);
    assert.deepEqual(plan(two, me("b", { dead: new Set(["a"]) })).mine.toSorted(), places);
    assert.equal(plan(two, me("b", { dead: new Set(["b"]) })).mine.length, 2, "nobody is dead to itself");
  });

  it("gives topics only to those who read them", () => {
    const counts = new Map([
      ["t", 2],
      ["u", 2],
    ]);
    const { state } = plan(nobody, me("a", { topics: ["t"], counts }));
    const both = plan(state, me("b", { topics: ["u"], counts }));
    assert.deepEqual(both.mine.toSorted(), [placeOf("u", 0), placeOf("u", 1)]);
    assert.equal(plan(both.state, me("a", { topics: ["t"], counts })).excess.size, 0);
  });

  it("says whether anything is new", () => {
    const { state, changed } = plan(nobody, me("a"));
    assert.equal(changed, true);
    assert.equal(plan(state, me("a")).changed, false);
    assert.equal(plan(state, me("a", { counts: new Map([["t", 5]]) })).changed, true);
    assert.equal(plan(state, me("b")).changed, true);
    assert.deepEqual(plan(state, me("a")).state, state);
  });
});
