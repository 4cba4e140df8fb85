import type { InputCollector } from "../request/input-collector.ts";
import type { ReadMembers } from "../request/read-members.ts";
import type { OutputField } from "../request/output-field.ts";
import type { ObjectNames } from "../request/member-names.ts";
import type { JsonObject } from "../wire/json.ts";
import type { Member } from "../wire/json-members.ts";

/** Body of a request, parsed. */
export interface ParsedBody {
  readonly body: JsonObject;
  /** Body as text. */
  readonly text: string;
  /** Members of the top level, by their positions in `text`. */
  readonly members: readonly Member[];
}

/** Format of the requests of a wire. */
export interface RequestFormat {
  /** Members of the top level that the gateway reads or sets: they have no other effect, and are written as the API names them. */
  readonly readMembers: ReadonlySet<string>;
  /** Rules for the names within members, keyed by member name. */
  readonly namesWithin: ReadonlyMap<string, ObjectNames>;
  /** Names of the output bound; several if the model decides, none if there is no output. */
  readonly outputFields: readonly OutputField[];
  /**
   * Reads the members that the gateway interprets, and collects everything that an upstream may count as input.
   *
   * @throws Refusal 400 that names the field
   */
  read(parsed: ParsedBody): ReadMembers & { readonly collected: InputCollector };
}
