import type { Migrations } from "@routeplane/postgres";
import * as budgets from "./0001_budgets.ts";
import * as audit from "./0002_audit.ts";

export const migrations: Migrations = { "0001_budgets": budgets, "0002_audit": audit };
