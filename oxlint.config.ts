import { defineConfig, type OxlintOverride } from "oxlint";

/** What each room of the house may not import. Everything else is free. */
const WIRE = ["@bufbuild/*", "@connectrpc/*", "@grpc/*", "@routeplane/contracts/*", "@routeplane/rpc"];
const DATABASE = ["kysely", "kysely/*", "@routeplane/postgres"];
const BROKER = ["@routeplane/events"];
/** Each of these has one home: packages/postgres and packages/events. */
const DRIVERS = ["pg", "nats"];
const SERVICES = ["@routeplane/{auth,policy,usage,gateway}", "**/services/**"];

function forbid(files: string[], ...groups: string[][]): OxlintOverride {
  const pattern = { group: groups.flat(), message: "This room may not import that." };
  return { files, rules: { "no-restricted-imports": ["error", { patterns: [pattern] }] } };
}

export default defineConfig({
  plugins: ["typescript", "import", "unicorn", "promise", "node", "oxc"],
  categories: { correctness: "error", suspicious: "error", perf: "error" },
  ignorePatterns: ["packages/contracts/src/gen"],
  rules: {
    eqeqeq: "error",
    "no-console": "error",
    "no-await-in-loop": "off",
    "no-shadow": "off",
    "node/no-process-env": "error",
    "import/no-cycle": "error",
    "import/no-named-as-default-member": "off",
    "typescript/consistent-return": "off",
    "typescript/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
    "typescript/no-explicit-any": "error",
    "typescript/no-floating-promises": "error",
    "typescript/no-misused-promises": "error",
    "typescript/no-non-null-assertion": "error",
    "typescript/no-unsafe-type-assertion": "off",
    "typescript/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    "unicorn/consistent-function-scoping": "off",
  },
  overrides: [
    forbid(["packages/**"], SERVICES, DRIVERS),
    forbid(["packages/{domain,credentials,admission,guardrails}/**"], SERVICES, DRIVERS, WIRE, DATABASE, BROKER),
    forbid(["packages/postgres/**"], SERVICES, WIRE, BROKER, ["nats"]),
    forbid(["packages/{testing,standalone}/**"], SERVICES, ["nats"]),
    forbid(["packages/events/**"], SERVICES, DATABASE, ["pg"]),
    forbid(["services/**"], SERVICES, DRIVERS),
    forbid(["services/*/src/domain/**"], SERVICES, DRIVERS, WIRE, DATABASE, BROKER, ["**/store/**", "**/handlers/**"]),
    forbid(["services/*/src/{handlers,consumers}/**"], SERVICES, DRIVERS, DATABASE, ["**/store/**"]),
    forbid(["services/*/src/store/**"], SERVICES, DRIVERS, WIRE, BROKER, ["**/handlers/**", "**/consumers/**"]),
    {
      // The entry of each process hands its environment to the one function that reads it.
      files: [
        "**/*main.ts",
        "**/migrate.ts",
        "packages/cli/**",
        "**/*.test.ts",
        "test/**",
        "packages/testing/**",
        "packages/standalone/bin/**",
        "deploy/**",
      ],
      rules: { "node/no-process-env": "off" },
    },
    {
      // A test reaches into any room, and an index that must be there is asserted by using it.
      files: ["**/*.test.ts", "test/**"],
      rules: { "no-restricted-imports": "off", "typescript/no-non-null-assertion": "off" },
    },
  ],
});
