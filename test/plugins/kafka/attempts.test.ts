import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, type SourceTrouble, Troubles } from "../../../core/index.ts";
import { Attempts } from "../../../plugins/kafka/attempts.ts";

const away = Object.assign(new Error("refused"), { name: "KafkaJSConnectionError" });
const noLeader = Object.assign(new Error("no leader"), { name: "KafkaJSProtocolError", type: "LEADER_NOT_AVAILABLE" });

/** A clock that sleeping moves on, and what a sink heard. */
function scene(): { clock: Clock; pauses: number[]; told: (string | undefined)[]; troubles: Troubles } {
  let now = 0;
  const pauses: number[] = [];
  const told: (string | undefined)[] = [];
  const clock: Clock = {
    now: () => now,
    sleep: async (ms) => {
      pauses.push(ms);
      now += ms;
    },
  };
  const sink = { trouble: (trouble: SourceTrouble | undefined) => void told.push(trouble?.reason) };
  return { clock, pauses, told, troubles: new Troubles(sink) };
}
const signal = new AbortController().signal;

test("a broker that is away is a trouble at the third try; pauses double up to a bound and begin anew", async () => {
  const { clock, pauses, told, troubles } = scene();
  const attempts = new Attempts(troubles, clock, "broker 1", "cannot read");
  for (let failure = 1; failure <= 7; failure += 1) {
    await attempts.failed(away, signal);
    assert.equal(told.length, failure < 3 ? 0 : 1);
  }
  assert.deepEqual(pauses, [100, 200, 400, 800, 1_600, 2_000, 2_000]);
  attempts.succeeded();
  assert.deepEqual(told, ["broker 1: cannot read: refused", undefined]);
  await attempts.failed(away, signal, 50);
  assert.equal(pauses.at(-1), 50);
  assert.equal(told.length, 2);
});

test("what a broker answers while a topic or group is new is a trouble only after three seconds", async () => {
  const { clock, told, troubles } = scene();
  const attempts = new Attempts(troubles, clock, "broker 1", "cannot read");
  while (clock.now() < 3_000) {
    await attempts.failed(noLeader, signal);
    assert.deepEqual(told, []);
  }
  await attempts.failed(noLeader, signal);
  assert.equal(told.length, 1);
});
