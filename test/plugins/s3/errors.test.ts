import assert from "node:assert/strict";
import { test } from "node:test";
import { classifyS3Error } from "../../../plugins/s3/errors.ts";

const error = (name: string, httpStatusCode?: number, facts: object = {}): Error =>
  Object.assign(new Error("captured"), { name, $metadata: { httpStatusCode }, ...facts });

// Facts of errors as SDK 3.1175.0 gave them against MinIO and Versity's gateway.
const table: readonly (readonly [object, string | undefined])[] = [
  [error("NoSuchBucket", 404), "ERR_HEXKIT_BUCKET_NOT_FOUND"],
  [error("NoSuchKey", 404), "ERR_HEXKIT_OBJECT_NOT_FOUND"],
  [error("NotFound", 404), "ERR_HEXKIT_OBJECT_NOT_FOUND"],
  [error("NoSuchUpload", 404), "ERR_HEXKIT_UPLOAD_NOT_FOUND"],
  [error("BucketAlreadyOwnedByYou", 409), "ERR_HEXKIT_BUCKET_EXISTS"],
  [error("XMinioInvalidResourceName", 400), "ERR_HEXKIT_OBJECT_KEY_INVALID"],
  [error("EntityTooSmall", 400), "ERR_HEXKIT_UPLOAD_INCOMPLETE"],
  [error("XAdminUserNotFound", 404), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [error("AuthorizationHeaderMalformed", 400), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [error("Unknown", 403), "ERR_HEXKIT_PERMISSION_DENIED"],
  [error("Unknown", 503), "ERR_HEXKIT_UNAVAILABLE"],
  [error("SyntaxError", undefined, { $response: { statusCode: 502 } }), "ERR_HEXKIT_UNAVAILABLE"],
  [error("SomethingNew", 409), undefined],
  [error("Error", undefined, { code: "ECONNREFUSED" }), "ERR_HEXKIT_UNAVAILABLE"],
  [error("TimeoutError", undefined, { code: "ECONNRESET" }), "ERR_HEXKIT_UNAVAILABLE"],
  [error("TimeoutError", undefined, { code: "ETIMEDOUT" }), "ERR_HEXKIT_TIMEOUT"],
  [error("Error", undefined, { code: "SELF_SIGNED_CERT_IN_CHAIN" }), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [error("CredentialsProviderError"), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [new TypeError("a bug"), undefined],
];

test("errors are classified by code, name, then by status, and unknown ones stay unclassified", () => {
  for (const [each, code] of table) assert.equal(classifyS3Error(each), code, JSON.stringify(each));
  for (const each of [undefined, null, "text", {}]) assert.equal(classifyS3Error(each), undefined);
});
