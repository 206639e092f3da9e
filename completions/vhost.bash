# Completes `vhost` in bash. Printed by `vhost completions bash`.
_vhost() {
    local line=${COMP_LINE:0:COMP_POINT} word breaks candidate current prefix= i
    local -a words=()
    # bash splits at `=` and `:` too: what touches on the line is one word for the command.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i == 0)) || [[ $line == [[:space:]]* || -z $line ]]; then
            words+=('')
            line=${line#"${line%%[![:space:]]*}"}
        fi
        # The last one as far as the cursor.
        ((i == COMP_CWORD)) && word=$line
        line=${line#"$word"}
        words[${#words[@]} - 1]+=$word
    done
    current=${words[${#words[@]} - 1]}
    breaks=${COMP_WORDBREAKS//[!:=]/}
    [[ $breaks && $current == *[$breaks]* ]] && prefix=${current%"${current##*[$breaks]}"}
    for i in "${!words[@]}"; do
        word=${words[i]}
        [[ $word == [\"\']* ]] && word=${word:1}
        ((i < ${#words[@]} - 1)) && word=${word%[\"\']}
        words[i]=${word//\\/}
    done

    COMPREPLY=()
    while IFS= read -r candidate; do
        if [[ $candidate == :files ]]; then
            compopt -o default 2>/dev/null
            return
        fi
        candidate=${candidate#"$prefix"}
        # A `*` that is not quoted would stand for files.
        [[ $current == [\"\']* ]] || printf -v candidate %q "$candidate"
        COMPREPLY+=("${candidate//\\,/,}")
        # A key is not all of an option.
        [[ $candidate == *[.=] ]] && compopt -o nospace 2>/dev/null
    done < <(command vhost completions bash -- "${words[@]}" 2>/dev/null)
}
complete -o nosort -F _vhost vhost 2>/dev/null || complete -F _vhost vhost
