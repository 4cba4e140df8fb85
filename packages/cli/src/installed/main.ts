import { readSettings, userConfigFolder } from "../config.ts";
import { run } from "../run.ts";

/** Entry point of the installed package. Without a checkout, the login is stored with the user's other settings. */
async function main(): Promise<void> {
  process.exitCode = await run(process.argv.slice(2), {
    settings: readSettings(process.env, userConfigFolder(process.env)),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
  });
}

// The package is bundled as CommonJS, which has no top-level `await`.
void main();
