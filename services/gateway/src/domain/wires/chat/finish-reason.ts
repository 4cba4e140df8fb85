import { isObject, type JsonObject } from "../../wire/json.ts";

/** True if a choice has a finish reason. Some servers write an empty string, or the word `null`, instead of null. */
export function isFinished(choice: unknown): choice is JsonObject {
  const reason = isObject(choice) ? choice["finish_reason"] : undefined;
  return typeof reason === "string" && reason !== "" && reason !== "null";
}
