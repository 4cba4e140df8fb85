#!/usr/bin/env node
// CommonJS, because Node.js takes longer to start an ES module; plain JavaScript, because a Node.js that cannot run TypeScript cannot
// run main.ts to report that. A checkout runs the sources, a package that was installed has only a bundle of them.
"use strict";
const { existsSync } = require("node:fs");
const { enableCompileCache } = require("node:module");
const { join } = require("node:path");

const SOURCE = join(__dirname, "../src/main.ts");
const BUNDLE = join(__dirname, "../dist/routeplane.cjs");

const isCheckout = existsSync(SOURCE);
const [requiredMajor, requiredMinor] = isCheckout ? [22, 18] : [20, 18];
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major < requiredMajor || (major === requiredMajor && minor < requiredMinor)) {
  process.stderr.write(
    `error: routeplane needs Node ${requiredMajor}.${requiredMinor} or newer; this is ${process.version}\n` +
      (isCheckout ? "In a checkout, `npm start` installs the right version, which `npx routeplane` then uses.\n" : ""),
  );
  process.exit(1);
}

// Saves a third of the start. The cache is in the package, not in the temporary directory, which other users can write to.
enableCompileCache?.(join(__dirname, "../node_modules/.cache/compile"));
if (isCheckout) void import(SOURCE);
else require(BUNDLE);
