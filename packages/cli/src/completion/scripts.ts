import type { Completions, PathAlias } from "./completions.ts";

/** Shells with a completion script. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

export type Shell = (typeof SHELLS)[number];

/** Content of a completion script. */
export interface CompletionTable {
  readonly completions: readonly Completions[];
  readonly aliases: readonly PathAlias[];
}

/**
 * Completion script of a shell, for `routeplane` and `npx routeplane`. The words need no quoting: they are names of commands, options and
 * choices, and the names that `completion --names` prints, which are of such characters too.
 */
export function completionScript(shell: Shell, table: CompletionTable): string {
  return shell === "fish" ? forFish(table) : forBash(table, shell);
}

/** Completion script for bash, and for zsh through its emulation of bash completion. */
function forBash({ completions, aliases }: CompletionTable, shell: "bash" | "zsh"): string {
  const words = completions.map(({ after, words }) => `    "${after}") echo "${words.join(" ")}" ;;`).join("\n");
  const paths = aliases.map(({ alias, path }) => `    "${alias}") echo "${path}" ;;`).join("\n");
  const emulation = shell === "zsh" ? "autoload -Uz compinit bashcompinit && compinit && bashcompinit\n" : "";
  return `# Completes routeplane in ${shell}: source it, e.g. from ~/.${shell}rc.
${emulation}_routeplane_words() {
  case "$1" in
${words}
    *) return 1 ;;
  esac
}

_routeplane_path() {
  case "$1" in
${paths}
    *) echo "$1" ;;
  esac
}

# Completes the words behind the one at $1; the rest is the command that looks names up. In zsh, path and words are variables of the shell.
_routeplane_complete() {
  local first="$1" at=routeplane current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local word next longer offered="" context="" line_break=$'\\n' n
  shift
  for ((n = first + 1; n < COMP_CWORD; n++)); do
    word="\${COMP_WORDS[n]}"
    [[ "\${COMP_WORDS[n-1]}" == --context ]] && context="$word"
    case "$word" in
      -*) ;;
      *) longer="$(_routeplane_path "$at $word")"; _routeplane_words "$longer" > /dev/null && at="$longer" ;;
    esac
  done
  case "$previous" in
    -*) next="$(_routeplane_words "$at $previous")" || next="$(_routeplane_words "$at")" ;;
    *) next="$(_routeplane_words "$at")" ;;
  esac
  # Names are looked up only where no option is being typed.
  while read -r word; do
    case "$word" in
      @*)
        [[ "$current" == -* ]] ||
          offered+=" $(ROUTEPLANE_CONTEXT="\${context:-$ROUTEPLANE_CONTEXT}" "$@" completion --names "\${word#@}" 2> /dev/null < /dev/null)"
        ;;
      *) offered+=" $word" ;;
    esac
  done <<< "\${next// /$line_break}"
  COMPREPLY=($(compgen -W "$offered" -- "$current"))
}

_routeplane() {
  _routeplane_complete 0 "\${COMP_WORDS[0]}"
}

_routeplane_npx() {
  local n
  for ((n = 1; n < COMP_CWORD; n++)); do
    case "\${COMP_WORDS[n]}" in
      -*) ;;
      routeplane) _routeplane_complete "$n" npx --no routeplane; return ;;
      *) return ;;
    esac
  done
}

complete -o default -F _routeplane routeplane
complete -o default -F _routeplane_npx npx`;
}

function forFish({ completions, aliases }: CompletionTable): string {
  const words = completions
    .map(
      ({ after, words }) =>
        `        case "${after}"\n            ${words.length === 0 ? "true" : `printf "%s\\n" ${words.join(" ")}`}`,
    )
    .join("\n");
  const paths = aliases.map(({ alias, path }) => `        case "${alias}"\n            echo "${path}"`).join("\n");
  return `# Completes routeplane in fish: save it as ~/.config/fish/completions/routeplane.fish.
function __routeplane_words
    switch "$argv"
${words}
        case "*"
            return 1
    end
end

function __routeplane_path
    switch "$argv"
${paths}
        case "*"
            echo "$argv"
    end
end

function __routeplane
    set -l at routeplane
    set -l previous ""
    set -l context "$ROUTEPLANE_CONTEXT"
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    if test "$program" = npx
        set program npx --no routeplane
        while test (count $words) -gt 0; and test "$words[1]" != routeplane
            set -e words[1]
        end
        set -e words[1]
    end
    for word in $words
        if test "$previous" = --context
            set context $word
        end
        set previous $word
        if not string match -q -- "-*" $word
            set -l path (__routeplane_path $at $word)
            if __routeplane_words $path >/dev/null
                set at $path
            end
        end
    end
    if string match -q -- "-*" $previous; and __routeplane_words $at $previous >/dev/null
        set at $at $previous
    end
    set -l offered (__routeplane_words $at)
    if test (count $offered) -eq 0
        __fish_complete_path (commandline -ct)
        return
    end
    for word in $offered
        if not string match -q -- "@*" $word
            printf "%s\\n" $word
        else if not string match -q -- "-*" (commandline -ct)
            env ROUTEPLANE_CONTEXT=$context $program completion --names (string sub -s 2 $word) 2>/dev/null </dev/null
        end
    end
end

complete -c routeplane -f -a "(__routeplane)"
complete -c npx -n "__fish_seen_subcommand_from routeplane" -f -a "(__routeplane)"`;
}
