import react from "@vitejs/plugin-react";
import { join } from "node:path";
import { defineConfig } from "vite";
import { developmentNode } from "./development-node.ts";
import { leaveOutValidationRules } from "./validation-rules.ts";

/**
 * Build of the browser app. No file is inlined, because the content security policy of the console allows only its own origin, and no
 * `data:` URLs.
 */
export default defineConfig({
  root: join(import.meta.dirname, "app"),
  plugins: [react(), leaveOutValidationRules(), developmentNode()],
  cacheDir: join(import.meta.dirname, "node_modules/.vite"),
  build: {
    outDir: join(import.meta.dirname, "dist"),
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
