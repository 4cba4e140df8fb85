import { defineConfig } from "vitest/config";
import { servers } from "../../vitest.config.ts";

/**
 * Configuration of `npm run restore-drill`, which needs programs of PostgreSQL that npm does not bring, and so is not part of `npm test`.
 */
export default defineConfig({
  test: { ...servers, include: ["test/restore-drill/*.check.ts"] },
});
