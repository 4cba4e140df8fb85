import { defineConfig } from "vitest/config";
import { servers } from "../../vitest.config.ts";

/** Configuration of `npm run pgbouncer`, which needs a program that neither npm nor Debian 12 brings, and so is not part of `npm test`. */
export default defineConfig({
  test: { ...servers, include: ["test/pgbouncer/*.check.ts"] },
});
