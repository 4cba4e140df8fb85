import { defineConfig } from "vitest/config";
import { servers } from "../../vitest.config.ts";

/** Configuration of `npm run image`, which needs a container builder and runtime, and so is not part of `npm test`. */
export default defineConfig({
  test: { ...servers, include: ["deploy/image/*.check.ts"], hookTimeout: 900_000 },
});
