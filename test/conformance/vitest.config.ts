import { defineConfig } from "vitest/config";
import { servers } from "../../vitest.config.ts";
import { TableReporter } from "./table-reporter.ts";

/** Configuration of `npm run conformance`, which prints the table. */
export default defineConfig({
  test: {
    ...servers,
    include: ["test/conformance/*.test.ts"],
    reporters: ["dot", new TableReporter()],
  },
});
