import { expect, it, onTestFinished } from "vitest";
import { admission, type AdmissionRequest } from "./admission.ts";

const caller = { namespaceId: "ns_1", lineage: ["key_1"] };

it.each<[string, Partial<AdmissionRequest>]>([
  ["inputTokensMax", { inputTokensMax: 1.5 }],
  ["outputTokensMax", { outputTokensMax: -1 }],
  ["outputTokensMax", { outputTokensMax: NaN }],
  ["inputMicroUsdPerMtok", { price: { inputMicroUsdPerMtok: 0.15 } }],
  ["requestMicroUsd", { price: { requestMicroUsd: -1 } }],
])("refuses a request whose %s is not a whole number, without a call", async (field, request) => {
  const spend = admission({ url: "http://127.0.0.1:1", serviceCredential: "rps_none" });
  onTestFinished(() => spend.stop());
  const refusal = { reason: "FIELD_INVALID", statusCode: 400, fields: [{ field }] };
  await expect(spend.admit({ caller, price: {}, ...request })).rejects.toMatchObject(refusal);
});
