import { defineConfig } from "vitest/config";
import main from "../../vitest.config.ts";

/** Configuration of `npm run release-pair`, which builds another release from the history, and so is no part of `npm test`. */
export default defineConfig({
  test: { ...main.test, include: ["test/release-pair/*.check.ts"] },
});
