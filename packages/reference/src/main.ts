import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { apiPage } from "./api-page.ts";
import { domainOf, readServices, ROOT } from "./contracts.ts";
import { openApiDocument } from "./openapi/document.ts";

/** Writes the reference of the API to docs/reference. Run by `npm run generate`. */

const services = readServices();
const byDomain = Map.groupBy(services, ({ typeName }) => domainOf(typeName));
for (const [domain, own] of byDomain) write(`api-${domain}.md`, apiPage(domain, own));
write("openapi.yaml", stringify(openApiDocument(services), { lineWidth: 0, aliasDuplicateObjects: false }));

function write(name: string, text: string): void {
  writeFileSync(join(ROOT, "docs/reference", name), `${text.trimEnd()}\n`);
}
