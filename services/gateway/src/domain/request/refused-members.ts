import type { OutputField } from "./output-field.ts";
import type { AddedMember, UpstreamTarget } from "./upstream-body.ts";

/** Patterns of the names by which an error can mean a member, in the words of any API. */
const NAMED: Readonly<Record<AddedMember, RegExp>> = {
  stream_options: /(?<![a-z0-9_])(?:stream[_ ]?options|include[_ ]?usage)(?![a-z0-9_])/i,
  max_tokens: /(?<![a-z0-9_])max[_ ]?tokens(?![a-z0-9_])/i,
  max_output_tokens: /(?<![a-z0-9_])max[_ ]?output[_ ]?tokens(?![a-z0-9_])/i,
  max_completion_tokens: /(?<![a-z0-9_])max[_ ]?completion[_ ]?tokens(?![a-z0-9_])/i,
};

/** Matches an error that is about the value of an output bound: under the other name it would be as wrong, or no bound at all. */
const ABOUT_VALUE =
  /too (?:large|high|big|many|long|small|low)|at (?:most|least)|(?:less|greater|more|fewer|smaller|larger) than|exceed|maximum|minimum|out of range|between|must be|should be|context (?:length|window)|positive/i;
/** Matches an error that is about the name, although it matches `ABOUT_VALUE` too. */
const ABOUT_NAME =
  /un(?:supported|recogni[sz]ed|known|expected)|not (?:supported|recogni[sz]ed|permitted|allowed|known)|extra|forbidden|deprecated|use ['"`]?max/i;

/** Finds the added members that an upstream refuses, by the text of its error. */
export function refusedMembers(error: string, added: readonly AddedMember[]): readonly AddedMember[] {
  const isAboutValue = ABOUT_VALUE.test(error) && !ABOUT_NAME.test(error);
  return added.filter((member) => NAMED[member].test(error) && (member === "stream_options" || !isAboutValue));
}

/** True if the text of an error names a member, or the output bound under either name. */
export function namesAny(error: string, members: readonly AddedMember[]): boolean {
  return members.some(
    (member) => NAMED[member].test(error) || (isOutputField(member) && NAMED[otherName(member)].test(error)),
  );
}

/** Target whose requests have the output bound under the other name, or no stream options of the gateway. */
export function targetWithout(target: UpstreamTarget, refused: readonly AddedMember[]): UpstreamTarget {
  const field = refused.find(isOutputField);
  return {
    ...target,
    ...(refused.includes("stream_options") ? { usageInStreams: "never" } : {}),
    ...(field === undefined ? {} : { outputField: otherName(field), renamesOutputField: true }),
  };
}

function isOutputField(member: AddedMember): member is OutputField {
  return member !== "stream_options";
}

function otherName(field: OutputField): OutputField {
  return field === "max_tokens" ? "max_completion_tokens" : "max_tokens";
}
