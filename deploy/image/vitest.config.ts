import { defineConfig } from "vitest/config";
import { servers } from "../../vitest.config.ts";

/** Configuration of `npm run image`, which needs a builder and a runtime of containers, and so is no part of `npm test`. */
export default defineConfig({
  test: { ...servers, include: ["deploy/image/*.check.ts"], hookTimeout: 900_000 },
});
