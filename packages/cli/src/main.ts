import { readSettings } from "./config.ts";
import { run } from "./run.ts";

process.exitCode = await run(process.argv.slice(2), {
  settings: readSettings(process.env),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
});
