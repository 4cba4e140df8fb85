import { expect, test } from "vitest";
import { loadPatiently } from "./load-patiently.ts";

test("loads again after failures, and throws the last error", async () => {
  let attempts = 0;
  const load = async (): Promise<string> => {
    attempts++;
    if (attempts < 3) throw new Error(`attempt ${attempts}`);
    return "page";
  };
  await expect(loadPatiently(load, [0])).rejects.toThrow("attempt 2");
  await expect(loadPatiently(load, [0])).resolves.toBe("page");
});
