import { fromProtoOwnLimit } from "@routeplane/policy-spec/proto";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { loginCredential } from "../session.ts";
import { limitColumns } from "../views/limit.ts";
import { showListAs } from "../views/list.ts";
import { withExamples } from "./examples.ts";

export function defineLimits(limits: Command, context: Context): void {
  limits
    .addHelpText(
      "after",
      "\nShows every budget and rate limit that applies to the key, through its namespace and the keys above it. Needs no scope.\n" +
        "Reserved: set aside for running requests and for gateways. Left: neither used nor reserved.",
    )
    .action(() => showLimits(context));
  withExamples(limits, "cloud limits", "cloud limits --json");
}

async function showLimits(context: Context): Promise<void> {
  const { identity, effectivePolicy } = await context.connect(await loginCredential(context.settings));
  const [{ limits }, who] = await Promise.all([effectivePolicy.getOwnLimits({}), identity.whoAmI({})]);
  const keyId = who.identity.case === "key" ? who.identity.value.keyId : "";
  const data = limits.map(fromProtoOwnLimit);
  showListAs(
    context,
    { data, next_page_token: null },
    data,
    limitColumns(keyId),
    "No limit applies.",
    "Create one: routeplane cloud budget create --help",
  );
}
