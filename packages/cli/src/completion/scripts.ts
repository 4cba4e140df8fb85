import type { Completions } from "./completions.ts";

/** Shells with a completion script. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

export type Shell = (typeof SHELLS)[number];

/** Completion script of a shell. The words need no quoting: they are names of commands, options and choices. */
export function completionScript(shell: Shell, completions: readonly Completions[]): string {
  return shell === "fish" ? forFish(completions) : forBash(completions, shell);
}

/** Completion script for bash, and for zsh through its emulation of bash completion. */
function forBash(completions: readonly Completions[], shell: "bash" | "zsh"): string {
  const table = completions.map(({ after, words }) => `    "${after}") echo "${words.join(" ")}" ;;`).join("\n");
  const emulation = shell === "zsh" ? "autoload -Uz compinit bashcompinit && compinit && bashcompinit\n" : "";
  return `# Completes routeplane in ${shell}: source it, e.g. from ~/.${shell}rc.
${emulation}_routeplane_words() {
  case "$1" in
${table}
    *) return 1 ;;
  esac
}

_routeplane() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" at=routeplane word words n
  for ((n = 1; n < COMP_CWORD; n++)); do
    word="\${COMP_WORDS[n]}"
    case "$word" in
      -*) ;;
      *) _routeplane_words "$at $word" > /dev/null && at="$at $word" ;;
    esac
  done
  case "$previous" in
    -*) words="$(_routeplane_words "$at $previous")" || words="$(_routeplane_words "$at")" ;;
    *) words="$(_routeplane_words "$at")" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}

complete -o default -F _routeplane routeplane`;
}

function forFish(completions: readonly Completions[]): string {
  const table = completions
    .map(
      ({ after, words }) =>
        `        case "${after}"\n            ${words.length === 0 ? "true" : `printf "%s\\n" ${words.join(" ")}`}`,
    )
    .join("\n");
  return `# Completes routeplane in fish: save it as ~/.config/fish/completions/routeplane.fish.
function __routeplane_words
    switch "$argv"
${table}
        case "*"
            return 1
    end
end

function __routeplane
    set -l at routeplane
    set -l previous ""
    for word in (commandline -opc)[2..]
        set previous $word
        if not string match -q -- "-*" $word; and __routeplane_words $at $word >/dev/null
            set at $at $word
        end
    end
    if string match -q -- "-*" $previous; and __routeplane_words $at $previous >/dev/null
        set at $at $previous
    end
    set -l words (__routeplane_words $at)
    if test (count $words) -eq 0
        __fish_complete_path (commandline -ct)
    else
        printf "%s\\n" $words
    end
end

complete -c routeplane -f -a "(__routeplane)"`;
}
