import { type LoadOptions, runLoad } from "./load.ts";

/** Process of `startLoader`: sends a load for each message of its parent, and answers with the result. */
process.on("message", (options: LoadOptions) => void runLoad(options).then((result) => process.send?.(result)));
process.on("disconnect", () => process.exit(0));
