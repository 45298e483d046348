import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import {
  classifyMongodbError,
  IndexError,
  isOutcomeUnknown,
  NoServerError,
  StoredValueError,
  UpsertRaceError,
  withoutValues,
} from "../../../plugins/mongodb/errors.ts";

const error = (facts: { labels?: readonly string[]; message?: string } & Record<string, unknown>): Error => {
  const { labels = [], message = "captured", ...rest } = facts;
  return Object.assign(new Error(message), rest, { hasErrorLabel: (label: string) => labels.includes(label) });
};
const server = (code: number, more: object = {}): Error => error({ name: "MongoServerError", code, ...more });
const taken = "E11000 duplicate key error collection: probe.x index: _id_ dup key: { _id: 1 }";
const violated = "E11000 duplicate key error collection: probe.x index: a_1 dup key: { a: 1 }";
const transient = { labels: ["TransientTransactionError"] };

// Facts of errors as mongodb 7.9.0 gave them against MongoDB 6.0.5.
const table: readonly (readonly [Error, string | undefined])[] = [
  [server(11000, { message: taken, keyPattern: { _id: 1 } }), "ERR_HEXKIT_DOCUMENT_EXISTS"],
  [server(11000, { message: violated, keyPattern: { a: 1 } }), "ERR_HEXKIT_UNIQUE_VIOLATION"],
  [server(11000, { message: violated, keyPattern: { _id: 1, a: 1 } }), "ERR_HEXKIT_UNIQUE_VIOLATION"],
  [error({ name: "MongoBulkWriteError", code: 11000, message: taken }), "ERR_HEXKIT_DOCUMENT_EXISTS"],
  [error({ name: "MongoBulkWriteError", code: 11000, message: violated }), "ERR_HEXKIT_UNIQUE_VIOLATION"],
  [server(10334, { message: "BSONObj size: 17301749 (0x10800F5) is invalid." }), "ERR_HEXKIT_DOCUMENT_TOO_LARGE"],
  [server(2, { message: "object to insert too large. size in bytes: 16777235, max size: 16777216" }), "ERR_HEXKIT_DOCUMENT_TOO_LARGE"],
  [server(2, { message: "$where is not allowed in this context" }), undefined],
  [Object.assign(new RangeError('The value of "offset" is out of range.'), { code: "ERR_OUT_OF_RANGE" }), "ERR_HEXKIT_DOCUMENT_TOO_LARGE"],
  [
    error({ name: "MongoInvalidArgumentError", message: "Document is larger than the maximum size 16777216" }),
    "ERR_HEXKIT_DOCUMENT_TOO_LARGE",
  ],
  [error({ name: "MongoInvalidArgumentError", message: "something else" }), undefined],
  [server(85), "ERR_HEXKIT_INDEX_CONFLICT"],
  [server(86), "ERR_HEXKIT_INDEX_CONFLICT"],
  [new IndexError("equal"), "ERR_HEXKIT_INDEX_CONFLICT"],
  [server(171), "ERR_HEXKIT_DOCUMENT_INVALID"],
  [server(50), "ERR_HEXKIT_TIMEOUT"],
  [error({ name: "MongoNetworkTimeoutError" }), "ERR_HEXKIT_TIMEOUT"],
  [error({ name: "MongoOperationTimeoutError" }), "ERR_HEXKIT_TIMEOUT"],
  [server(18, { message: "Authentication failed." }), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [server(13, { message: "command insert requires authentication" }), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [server(13, { message: "not authorized on x to execute command" }), "ERR_HEXKIT_PERMISSION_DENIED"],
  [error({ name: "MongoNetworkError", ...transient }), "ERR_HEXKIT_UNAVAILABLE"],
  [error({ name: "MongoServerSelectionError", message: "connect ECONNREFUSED 127.0.0.1:1" }), "ERR_HEXKIT_UNAVAILABLE"],
  [server(189), "ERR_HEXKIT_UNAVAILABLE"],
  [server(11600), "ERR_HEXKIT_UNAVAILABLE"],
  [server(112, transient), "ERR_HEXKIT_TRANSACTION_CONFLICT"],
  [server(251, transient), "ERR_HEXKIT_TRANSACTION_CONFLICT"],
  [server(99_999, transient), "ERR_HEXKIT_TRANSACTION_CONFLICT"],
  [server(99_999), undefined],
  [new UpsertRaceError("both"), "ERR_HEXKIT_TRANSACTION_CONFLICT"],
  [new StoredValueError("ObjectId"), "ERR_HEXKIT_STORED_DOCUMENT_INVALID"],
  [error({ name: "BSONError" }), "ERR_HEXKIT_STORED_DOCUMENT_INVALID"],
  [new NoServerError(["a:1"], new Map(), undefined), "ERR_HEXKIT_UNAVAILABLE"],
  [new TypeError("a bug"), undefined],
];

test("errors are classified by number, name and label, and unknown ones stay unclassified", () => {
  for (const [each, code] of table) assert.equal(classifyMongodbError(each), code, inspect(each));
  for (const each of [undefined, null, "text", {}, 5]) assert.equal(classifyMongodbError(each), undefined);
});

test("only a label says that nobody knows whether a transaction was committed", () => {
  assert.ok(isOutcomeUnknown(error({ labels: ["UnknownTransactionCommitResult"] })), "the label was not seen");
  assert.ok(!isOutcomeUnknown(server(251, transient)), "a transaction that is gone is known");
});

test("stored values are taken out of an error, its kind and what it is about stay", () => {
  const secret = "canary-of-a-secret";
  const failure = error({
    name: "MongoBulkWriteError",
    code: 11000,
    message: `E11000 duplicate key error collection: probe.x index: a_1 dup key: { a: "${secret}" }`,
    writeErrors: [{ op: { a: secret } }],
    result: { secret },
    errorResponse: { keyValue: { a: secret } },
    keyValue: { a: secret },
  });
  const cleaned = withoutValues(failure) as Error;
  assert.equal(cleaned, failure);
  assert.ok(!inspect(cleaned, { depth: 9 }).includes(secret), inspect(cleaned, { depth: 9 }));
  assert.equal(cleaned.message, "E11000 duplicate key error collection: probe.x index: a_1 dup key");
  assert.equal(classifyMongodbError(cleaned), "ERR_HEXKIT_UNIQUE_VIOLATION");
  assert.equal(classifyMongodbError(withoutValues(error({ code: 11000, message: taken }))), "ERR_HEXKIT_DOCUMENT_EXISTS");
  assert.equal((withoutValues(new Error("x".repeat(2_000))) as Error).message.length, 501);
  assert.equal(withoutValues("text"), "text");
});

test("no server: the message names each with its reason, or all that there are", () => {
  assert.match(
    new NoServerError(["a:1", "b:2"], new Map([["a:1", "refused"]]), "rs0").message,
    /primary of the replica set rs0: a:1: refused$/,
  );
  assert.match(new NoServerError(["a:1", "b:2"], new Map(), undefined).message, /a:1, b:2: no answer/);
});

test("a stored value that has no counterpart is named with its place", () => {
  assert.equal(
    new StoredValueError("ObjectId").inside("id").inside("owner").message,
    "owner.id: holds ObjectId, which has no counterpart here",
  );
});
