import assert from "node:assert/strict";
import { test } from "node:test";
import { classifyMinioError } from "../../../plugins/minio/errors.ts";

const error = (facts: object): Error => Object.assign(new Error("captured"), { name: "S3Error", ...facts });

// Facts of errors as minio 8.0.7 gave them against MinIO and Versity's gateway, with the status that the plugin adds.
const table: readonly (readonly [object, string | undefined])[] = [
  [error({ code: "NoSuchBucket", status: 404 }), "ERR_HEXKIT_BUCKET_NOT_FOUND"],
  [error({ code: "NoSuchKey", status: 404 }), "ERR_HEXKIT_OBJECT_NOT_FOUND"],
  [error({ code: "NotFound", status: 404 }), "ERR_HEXKIT_OBJECT_NOT_FOUND"],
  [error({ code: "NoSuchUpload", status: 404 }), "ERR_HEXKIT_UPLOAD_NOT_FOUND"],
  [error({ code: "ObjectParentIsFile", status: 409 }), "ERR_HEXKIT_OBJECT_KEY_INVALID"],
  [error({ code: "XAdminUserNotFound", status: 404 }), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [error({ code: "SignatureDoesNotMatch", status: 403 }), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [error({ code: "AccessDenied", status: 403 }), "ERR_HEXKIT_PERMISSION_DENIED"],
  [error({ code: "", status: 503 }), "ERR_HEXKIT_UNAVAILABLE"],
  [error({ code: "XSomethingNew", status: 507 }), "ERR_HEXKIT_UNAVAILABLE"],
  [error({ code: "XSomethingNew", status: 409 }), undefined],
  [error({ code: "ECONNREFUSED" }), "ERR_HEXKIT_UNAVAILABLE"],
  [error({ code: "ENOTFOUND" }), "ERR_HEXKIT_UNAVAILABLE"],
  [error({ code: "ECONNRESET" }), "ERR_HEXKIT_UNAVAILABLE"],
  [error({ code: "ETIMEDOUT" }), "ERR_HEXKIT_TIMEOUT"],
  [error({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" }), "ERR_HEXKIT_AUTHENTICATION_FAILED"],
  [new TypeError("a bug"), undefined],
];

test("errors are classified by code, then by status, and unknown ones stay unclassified", () => {
  for (const [each, code] of table) assert.equal(classifyMinioError(each), code, JSON.stringify(each));
  for (const each of [undefined, null, "text", {}]) assert.equal(classifyMinioError(each), undefined);
});
