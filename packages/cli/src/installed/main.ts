import { readSettings, userConfigFolder } from "../config.ts";
import { run } from "../run.ts";

/** Entry of the installed package. There is no checkout for the login to be in: it is with the user's other settings. */
async function main(): Promise<void> {
  process.exitCode = await run(process.argv.slice(2), {
    settings: readSettings(process.env, userConfigFolder(process.env)),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
  });
}

// CommonJS, which the package is bundled as, has no `await` here.
void main();
