import { addLazyCommands, type LazyCommand } from "./lazy-commands.ts";

const CLOUD: readonly LazyCommand[] = [
  {
    name: "status",
    description: "Show the account, the namespace and the node in use",
    load: async () => (await import("./commands/identity.ts")).defineStatus,
  },
  {
    name: "whoami",
    description: "Show the principal and the scopes of the credential in use",
    load: async () => (await import("./commands/identity.ts")).defineWhoami,
  },
  {
    name: "login",
    description: "Check a key with the node and save it",
    load: async () => (await import("./commands/identity.ts")).defineLogin,
  },
  {
    name: "logout",
    description: "Remove the saved key, which stays valid until revoked",
    load: async () => (await import("./commands/identity.ts")).defineLogout,
  },
  {
    name: "context",
    alias: "contexts",
    description: "Manage logins, each of one node and one key",
    load: async () => (await import("./commands/context.ts")).addContextCommands,
  },
  {
    name: "limits",
    description: "Show the limits of the key in use and what is left",
    load: async () => (await import("./commands/limits.ts")).defineLimits,
  },
  {
    name: "env",
    description: "Print the variables of a client for a shell",
    load: async () => (await import("./commands/env.ts")).defineEnv,
  },
  {
    name: "account",
    alias: "accounts",
    description: "Manage accounts, which own namespaces (operator only)",
    load: async () => (await import("./commands/account.ts")).addAccountCommands,
  },
  {
    name: "namespace",
    alias: "namespaces",
    description: "Manage namespaces, which isolate keys, policies and usage",
    load: async () => (await import("./commands/namespace.ts")).addNamespaceCommands,
  },
  {
    name: "keys",
    alias: "key",
    description: "Manage API keys of the namespace",
    load: async () => (await import("./commands/keys/keys.ts")).addKeyCommands,
  },
  {
    name: "sessions",
    alias: "session",
    description: "List and revoke sessions of people at the console",
    load: async () => (await import("./commands/sessions.ts")).addSessionCommands,
  },
  {
    name: "operator",
    alias: "operators",
    description: "Manage operator credentials, which administer the node",
    load: async () => (await import("./commands/operator.ts")).addOperatorCommands,
  },
  {
    name: "policy",
    alias: "policies",
    description: "Manage policies, which decide what keys may do",
    load: async () => (await import("./commands/policies/policy.ts")).addPolicyCommands,
  },
  {
    name: "budget",
    alias: "budgets",
    description: "Manage budgets, which limit spend within a window",
    load: async () => (await import("./commands/policies/budget.ts")).addBudgetCommands,
  },
  {
    name: "guardrail",
    alias: "guardrails",
    description: "Manage guardrails on models, streaming, size and content",
    load: async () => (await import("./commands/policies/guardrail.ts")).addGuardrailCommands,
  },
  {
    name: "rate-limit",
    alias: "rate-limits",
    description: "Manage rate limits on requests, tokens and concurrency",
    load: async () => (await import("./commands/policies/rate-limit.ts")).addRateLimitCommands,
  },
  {
    name: "preset",
    alias: "presets",
    description: "Manage presets of a guardrail, a rate limit and a budget",
    load: async () => (await import("./commands/policies/preset.ts")).addPresetCommands,
  },
  {
    name: "usage",
    description: "Show requests, tokens and spend of the namespace",
    load: async () => (await import("./commands/usage.ts")).defineUsage,
  },
  {
    name: "report",
    description: "Compare spend by key, model and day with the time before",
    load: async () => (await import("./commands/report.ts")).defineReport,
  },
  {
    name: "requests",
    description: "List the request log, newest first, page by page",
    load: async () => (await import("./commands/requests/requests.ts")).defineRequests,
  },
  {
    name: "request",
    description: "Show or explain a request of the request log",
    load: async () => (await import("./commands/requests/request.ts")).addRequestCommands,
  },
  {
    name: "models",
    description: "List the models that the key in use may call",
    load: async () => (await import("./commands/models.ts")).defineModels,
  },
  {
    name: "audit",
    description: "Read the audit log",
    load: async () => (await import("./commands/audit.ts")).addAuditCommands,
  },
  {
    name: "open",
    description: "Open a page of the console in your browser",
    load: async () => (await import("./commands/console/open.ts")).defineOpen,
  },
];

/** Commands of `routeplane`, in the order of its help. */
export const COMMANDS: readonly LazyCommand[] = [
  {
    name: "up",
    description: "Run a node on this machine, in the foreground",
    load: async () => (await import("./commands/up.ts")).defineUp,
  },
  {
    name: "console",
    description: "Open the console of a node in your browser, signed in",
    load: async () => (await import("./commands/console/console.ts")).defineConsole,
  },
  {
    name: "run",
    description: "Run a command under a key of its own, with limits",
    load: async () => (await import("./commands/run/run.ts")).defineRun,
  },
  {
    name: "cloud",
    description: "Manage keys, policies and usage of a node",
    load: async () => (cloud, context) => addLazyCommands(cloud, context, CLOUD),
  },
  {
    name: "admin",
    description: "Administer the node (operator only)",
    load: async () => (await import("./commands/admin/admin.ts")).addAdminCommands,
  },
  {
    name: "mcp",
    description: "Serve tools of the key in use to an agent, over MCP",
    load: async () => (await import("./commands/mcp/mcp.ts")).defineMcp,
  },
  {
    name: "completion",
    description: "Print a script that completes commands in your shell",
    load: async () => (await import("./commands/completion.ts")).defineCompletion,
  },
];
