#!/usr/bin/env node
// Plain JavaScript, because a Node.js that cannot run TypeScript cannot run main.ts to report that.
import * as module from "node:module";
import { fileURLToPath } from "node:url";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `error: routeplane needs Node 22.18 or newer; this is ${process.version}\n` +
      "In a checkout, `npm start` installs the right version, which `npx routeplane` then uses.\n",
  );
  process.exit(1);
}

// Saves a third of the start. The cache is in the package, not in the temporary directory, which other users can write to.
module.enableCompileCache?.(fileURLToPath(new URL("../node_modules/.cache/compile", import.meta.url)));
await import("../src/main.ts");
