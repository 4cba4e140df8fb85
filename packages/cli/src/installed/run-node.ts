import { CliError, ExitCode } from "../errors.ts";

/** Replaces the code that runs a node in the installed package, which has no services. @throws CliError always */
export function runNode(): never {
  throw new CliError(
    ExitCode.failed,
    "failed_precondition",
    "SERVICES_NOT_INSTALLED",
    "the installed command line has no services to run a node with",
    {
      hint:
        "Run `npm start` in a checkout of Routeplane, or deploy its image. To use a node that runs, set ROUTEPLANE_URL or sign in\n" +
        "with `routeplane cloud login --api-key -`.",
    },
  );
}
