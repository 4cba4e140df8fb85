import { defineConfig } from "vitest/config";
import { servers } from "../../vitest.config.ts";

/** Configuration of `npm run release-pair`, which builds another release from the history, and so is not part of `npm test`. */
export default defineConfig({
  test: { ...servers, include: ["test/release-pair/*.check.ts"] },
});
