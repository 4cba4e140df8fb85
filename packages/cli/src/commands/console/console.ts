import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { withExamples } from "../examples.ts";
import { openConsole } from "./sign-in.ts";

interface ConsoleOptions {
  readonly print?: boolean;
  readonly namespace?: string;
}

export function defineConsole(console: Command, context: Context): void {
  console
    .option("--print", "Print the address rather than open it")
    .option("-n, --namespace <name|id>", "Namespace to show (operator only; default: the login's)")
    .addHelpText(
      "after",
      "\nThe address signs in one browser, once and within 60 s. The session acts as the credential in use, for 12 hours, and shows no token.\n" +
        "Without a browser here (no terminal, no display) the address is printed.",
    )
    .action(({ print = false, namespace }: ConsoleOptions) => openConsole(context, { namespace, path: "/", print }));
  withExamples(console, "console", "console --print", "console --namespace staging", "console --json --jq .url");
}
