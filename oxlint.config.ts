import { defineConfig, type OxlintOverride } from "oxlint";

/** A group of imports that a room may not have, and what its violation reports. */
interface ImportRule {
  readonly group: string[];
  readonly message: string;
}

/** Import rules. Each message names the rule, then the mend. */
const NO_SERVICE: ImportRule = {
  group: ["@routeplane/{auth,policy,usage,gateway,console}", "**/services/**", "**/{auth,policy,usage,gateway}/src/**"],
  message: "Services and packages import no service: call its RPCs, or move what both need to packages/.",
};
const NO_DRIVER: ImportRule = {
  group: ["pg", "nats"],
  message: "Drivers have one home each: use @routeplane/postgres instead of pg, @routeplane/events instead of nats.",
};
const NO_NATS: ImportRule = { group: ["nats"], message: "Only packages/events imports nats: use @routeplane/events." };
const NO_PG: ImportRule = { group: ["pg"], message: "Only packages/postgres imports pg: use @routeplane/postgres." };

const WIRE = [
  "@bufbuild/*",
  "@connectrpc/*",
  "@grpc/*",
  "@routeplane/contracts/*",
  "@routeplane/policy-spec/proto",
  "@routeplane/rpc",
];
const DATABASE = ["kysely", "kysely/*", "@routeplane/postgres"];
const BROKER = ["@routeplane/events"];

function noWire(room: string, mend: string): ImportRule {
  return { group: WIRE, message: `${room} imports no wire code: ${mend}.` };
}

function noDatabase(room: string, mend: string): ImportRule {
  return { group: DATABASE, message: `${room} imports no database code: ${mend}.` };
}

function noBroker(room: string, mend: string): ImportRule {
  return { group: BROKER, message: `${room} imports no broker code: ${mend}.` };
}

function noRooms(room: string, rooms: string[], mend: string): ImportRule {
  return {
    group: rooms.map((other) => `**/${other}/**`),
    message: `${room} imports no ${rooms.join("/, ")}/: ${mend}.`,
  };
}

/** The last override that matches a file holds for it alone. */
function forbid(files: string[], ...rules: ImportRule[]): OxlintOverride {
  return { files, rules: { "no-restricted-imports": ["error", { patterns: rules }] } };
}

const DECLARE_PORT = "declare a port in domain/ and let app.ts pass its implementation in";

export default defineConfig({
  plugins: ["typescript", "import", "unicorn", "promise", "node", "oxc"],
  categories: { correctness: "error", suspicious: "error", perf: "error" },
  ignorePatterns: ["packages/contracts/src/gen", "services/console/dist"],
  rules: {
    eqeqeq: "error",
    "no-console": "error",
    "no-await-in-loop": "off",
    "no-shadow": "off",
    "node/no-process-env": "error",
    // Imports of types count: a circle of them couples files as one of values does.
    "import/no-cycle": ["error", { ignoreTypes: false }],
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
    // For windows of browsers: messages to threads have no origin.
    "unicorn/require-post-message-target-origin": "off",
  },
  overrides: [
    forbid(["packages/**"], NO_SERVICE, NO_DRIVER),
    forbid(
      ["packages/{domain,credentials,admission,guardrails,protocols,explanations}/**"],
      NO_SERVICE,
      NO_DRIVER,
      noWire("A pure package", "move the conversion to packages/rpc or to a service's handlers/"),
      noDatabase("A pure package", "move the query to packages/postgres or to a service's store/"),
      noBroker("A pure package", "pass the value in instead"),
    ),
    forbid(
      ["packages/policy-spec/**"],
      NO_SERVICE,
      NO_DRIVER,
      noWire("packages/policy-spec, but for convert-proto.ts,", "convert messages there"),
      noDatabase("packages/policy-spec", "move the query to a service's store/"),
      noBroker("packages/policy-spec", "pass the value in instead"),
    ),
    forbid(
      ["packages/policy-spec/src/convert-proto.ts"],
      NO_SERVICE,
      NO_DRIVER,
      noDatabase("packages/policy-spec", "move the query to a service's store/"),
      noBroker("packages/policy-spec", "pass the value in instead"),
    ),
    forbid(
      ["packages/postgres/**"],
      NO_SERVICE,
      NO_NATS,
      noWire("packages/postgres", "move the conversion to packages/rpc"),
      noBroker("packages/postgres", "join both in a service's app.ts"),
    ),
    forbid(["packages/{testing,standalone}/**"], NO_SERVICE, NO_NATS),
    forbid(["packages/events/**"], NO_SERVICE, NO_PG, noDatabase("packages/events", "join both in a service's app.ts")),
    forbid(["services/**"], NO_SERVICE, NO_DRIVER),
    forbid(
      ["services/*/src/domain/**"],
      NO_SERVICE,
      NO_DRIVER,
      noWire("domain/ declares ports and", "move the conversion to handlers/ or clients/"),
      noDatabase("domain/ declares ports and", "move the query to store/"),
      noBroker("domain/ declares ports and", "move it to consumers/ or clients/"),
      noRooms("domain/", ["store", "handlers", "clients", "consumers", "jobs", "upstreams", "providers"], DECLARE_PORT),
    ),
    forbid(
      ["services/*/src/handlers/**"],
      NO_SERVICE,
      NO_DRIVER,
      noDatabase("handlers/", "call a port of domain/ that store/ implements"),
      noBroker("handlers/", "call a port of domain/ that clients/ implements"),
      noRooms("handlers/", ["store", "clients", "consumers", "jobs", "upstreams"], DECLARE_PORT),
    ),
    ...["consumers", "jobs"].map((room) =>
      forbid(
        [`services/*/src/${room}/**`],
        NO_SERVICE,
        NO_DRIVER,
        noDatabase(`${room}/`, "call a port of domain/ that store/ implements"),
        noRooms(`${room}/`, ["store", "handlers", "clients", "upstreams"], DECLARE_PORT),
      ),
    ),
    forbid(
      ["services/*/src/clients/**"],
      NO_SERVICE,
      NO_DRIVER,
      noDatabase("clients/", "move the query to store/"),
      noRooms("clients/", ["store", "handlers", "consumers", "jobs", "upstreams"], DECLARE_PORT),
    ),
    ...["upstreams", "providers"].map((room) =>
      forbid(
        [`services/*/src/${room}/**`],
        NO_SERVICE,
        NO_DRIVER,
        noWire(`${room}/`, "calls to services are in clients/"),
        noDatabase(`${room}/`, "move the query to store/"),
        noBroker(`${room}/`, "move it to clients/"),
        noRooms(`${room}/`, ["store", "handlers", "clients", "consumers", "jobs"], DECLARE_PORT),
      ),
    ),
    forbid(
      ["services/*/src/store/**"],
      NO_SERVICE,
      NO_DRIVER,
      noWire("store/", "convert rows to domain values and domain values to messages in handlers/"),
      noBroker("store/", "move it to consumers/ or clients/"),
      noRooms("store/", ["handlers", "clients", "consumers", "jobs", "upstreams", "providers"], DECLARE_PORT),
    ),
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
        "examples/**",
        "services/console/development-node.ts",
      ],
      rules: { "node/no-process-env": "off" },
    },
    {
      files: ["services/console/app/**"],
      plugins: ["typescript", "import", "unicorn", "promise", "oxc", "react", "jsx-a11y"],
      rules: {
        // The build compiles JSX without it; styles are imported for their effect.
        "react/react-in-jsx-scope": "off",
        "import/no-unassigned-import": ["error", { allow: ["**/*.css"] }],
        // State that comes from outside of the page is set when it arrives.
        "react/set-state-in-effect": "off",
        // Columns of tables render their cells by functions that are called, not mounted.
        "react/no-unstable-nested-components": ["error", { allowAsProps: true }],
        // A region that scrolls must be reachable by keyboard.
        "jsx-a11y/no-noninteractive-tabindex": "off",
        "jsx-a11y/prefer-tag-over-role": "off",
      },
    },
    {
      // A test reaches into any room, and an index that must be there is asserted by using it.
      files: ["**/*.test.ts", "test/**"],
      rules: { "no-restricted-imports": "off", "typescript/no-non-null-assertion": "off" },
    },
  ],
});
