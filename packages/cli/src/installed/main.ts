import { homedir } from "node:os";
import { join } from "node:path";
import { readSettings } from "../config.ts";
import { run } from "../run.ts";

/** Entry of the installed package. There is no checkout for the login to be in: it is with the user's other settings. */
const { XDG_CONFIG_HOME, ROUTEPLANE_HOME } = process.env;
const home = ROUTEPLANE_HOME?.trim() || join(XDG_CONFIG_HOME?.trim() || join(homedir(), ".config"), "routeplane");

async function main(): Promise<void> {
  process.exitCode = await run(process.argv.slice(2), {
    settings: readSettings({ ...process.env, ROUTEPLANE_HOME: home }),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
  });
}

// CommonJS, which the package is bundled as, has no `await` here.
void main();
