#!/usr/bin/env node
// Plain JavaScript, because a Node that cannot run TypeScript cannot read main.ts far enough to say so.
import * as module from "node:module";
import { fileURLToPath } from "node:url";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `error: routeplane needs Node 22.18 or newer; this is ${process.version}\n` +
      "In a checkout, `npm start` brings the right one along, and `npx routeplane` then uses it.\n",
  );
  process.exit(1);
}

// Halves the start-up time. Inside the package and not in the shared temporary directory, where others could write.
module.enableCompileCache?.(fileURLToPath(new URL("../node_modules/.cache/compile", import.meta.url)));
await import("../src/main.ts");
