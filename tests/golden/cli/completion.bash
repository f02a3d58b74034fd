# bash completion for bldr; made by 'bldr completion bash'
_bldr() {
    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
    local verb= index=1 skip=
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W "run shell build test clean plan try learn explain doctor audit query fmt cache completion help --help --version" -- "$word"))
        return
    fi
    verb="${COMP_WORDS[1]}"
    local flags= values= command= files= words=""
    case "$verb" in
        run)
            flags="--allow-userns --cache --explain-on-failure -v --verbose -q --quiet -h --help"
            values="-i --input -o --output --overlay -t --temp --tmp-size --toolchain --cwd -e --env --allow-host --fetch --timeout --silence --cpu-time --memory --processes --max-children --fork --exec --kill-on-parent-exit --file-size --disk-io --disk-rate --network-io --cpus --cpu-weight --open-files --core-size --hostname --uid --require --allow-degraded --audit-log --trace --json --report --profile --progress"
            command=yes
            words=""
            files= ;;
        shell)
            flags="--allow-userns -v --verbose -q --quiet -h --help"
            values="-i --input -o --output --overlay -t --temp --tmp-size --toolchain --cwd -e --env --allow-host --fetch --timeout --silence --cpu-time --memory --processes --max-children --fork --exec --kill-on-parent-exit --file-size --disk-io --disk-rate --network-io --cpus --cpu-weight --open-files --core-size --hostname --uid --require --allow-degraded --audit-log"
            command=yes
            words=""
            files= ;;
        build)
            flags="-k --keep-going -n --dry-run --wait --watch --no-hermetic --hermetic --explain -v --verbose -q --quiet -h --help"
            values="-j --jobs --cache-dir --report --profile --progress --json --events"
            command=
            words=""
            files= ;;
        test)
            flags="--wait --watch --no-hermetic --hermetic --explain -v --verbose -q --quiet -h --help --no-cache"
            values="-j --jobs --cache-dir --report --profile --progress --json --events --test-timeout --junit"
            command=
            words=""
            files= ;;
        clean)
            flags="-n --dry-run --wait -q --quiet -h --help"
            values=""
            command=
            words=""
            files= ;;
        plan)
            flags="--allow-userns --json -h --help"
            values="-i --input -o --output --overlay -t --temp --tmp-size --toolchain --cwd -e --env --allow-host --fetch --timeout --silence --cpu-time --memory --processes --max-children --fork --exec --kill-on-parent-exit --file-size --disk-io --disk-rate --network-io --cpus --cpu-weight --open-files --core-size --hostname --uid --require --allow-degraded"
            command=yes
            words=""
            files= ;;
        try)
            flags="--commit --drop --allow-userns -v --verbose -q --quiet -h --help"
            values="-i --input -o --output --overlay -t --temp --tmp-size --toolchain --cwd -e --env --allow-host --fetch --timeout --silence --cpu-time --memory --processes --max-children --fork --exec --kill-on-parent-exit --file-size --disk-io --disk-rate --network-io --cpus --cpu-weight --open-files --core-size --hostname --uid --require --allow-degraded --audit-log --json"
            command=yes
            words=""
            files= ;;
        learn)
            flags="--force --tighten --in-tree --any-host -q --quiet -h --help"
            values="--format --write -w --workspace -i --input -t --temp -e --env --allow-host --timeout --cpu-time --memory --processes --file-size --disk-io --disk-rate --network-io --cpus --cpu-weight --open-files --core-size"
            command=yes
            words=""
            files= ;;
        explain)
            flags="--json -h --help"
            values=""
            command=
            words=""
            files= ;;
        doctor)
            flags="--json -h --help"
            values=""
            command=
            words=""
            files= ;;
        audit)
            flags="-f --follow --verify --head --json -h --help"
            values="--kind --run --subject --since --until --last --expect"
            command=
            words=""
            files= ;;
        query)
            flags="--direct --json --graphviz -h --help"
            values=""
            command=
            words="targets deps rdeps paths"
            files= ;;
        fmt)
            flags="--check -q --quiet -h --help"
            values=""
            command=
            words=""
            files=yes ;;
        cache)
            flags="--json -h --help"
            values="--dir --size"
            command=
            words="stats gc verify clear why"
            files= ;;
        completion)
            flags="-h --help"
            values=""
            command=
            words="bash fish zsh"
            files= ;;
        help)
            flags="-h --help"
            values=""
            command=
            words="run shell build test clean plan try learn explain doctor audit query fmt cache completion help"
            files= ;;
        *) return ;;
    esac
    # find where the command begins: after --, or at the first word that is no option and no value
    if [[ -n "$command" ]]; then
        for (( index = 2; index < COMP_CWORD; index++ )); do
            if [[ -n "$skip" ]]; then skip=; continue; fi
            case "${COMP_WORDS[index]}" in
                --) (( index++ )); _bldr_command $index; return ;;
                --*=*) ;;
                -*) [[ " $values " == *" ${COMP_WORDS[index]} "* ]] && skip=yes ;;
                =) skip=yes ;;
                *) _bldr_command $index; return ;;
            esac
        done
    fi
    if [[ "$before" == "=" ]]; then before="${COMP_WORDS[COMP_CWORD-2]}"; fi
    if [[ "$word" == "=" ]]; then before="${COMP_WORDS[COMP_CWORD-1]}"; word=; fi
    case "$before" in
        -i|--input)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -f -- "$word")); return; fi ;;
        -o|--output)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -d -- "$word")); return; fi ;;
        --overlay)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -f -- "$word")); return; fi ;;
        -t|--temp)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -d -- "$word")); return; fi ;;
        --tmp-size)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --toolchain)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -W "system none" -- "$word")); return; fi ;;
        --cwd)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -d -- "$word")); return; fi ;;
        -e|--env)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --allow-host)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --fetch)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --timeout)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --silence)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --cpu-time)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --memory)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --processes)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --max-children)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --fork)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --exec)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --kill-on-parent-exit)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --file-size)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --disk-io)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --disk-rate)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --network-io)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --cpus)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --cpu-weight)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --open-files)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --core-size)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --hostname)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --uid)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --require)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --allow-degraded)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --audit-log)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -f -- "$word")); return; fi ;;
        --trace)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -W "auto off network full" -- "$word")); return; fi ;;
        --json)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -f -- "$word")); return; fi ;;
        --report)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -f -- "$word")); return; fi ;;
        --profile)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -f -- "$word")); return; fi ;;
        --progress)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -W "plain rich none" -- "$word")); return; fi ;;
        -j|--jobs)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --cache-dir)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -d -- "$word")); return; fi ;;
        --events)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -f -- "$word")); return; fi ;;
        --test-timeout)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --junit)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -f -- "$word")); return; fi ;;
        --format)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -W "command-line python builderfile" -- "$word")); return; fi ;;
        --write)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -f -- "$word")); return; fi ;;
        -w|--workspace)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -d -- "$word")); return; fi ;;
        --kind)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -W "filesystem-read filesystem-write network process limit timeout privilege refusal other" -- "$word")); return; fi ;;
        --run)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --subject)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --since)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --until)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --last)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --expect)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
        --dir)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=($(compgen -d -- "$word")); return; fi ;;
        --size)
            if [[ " $values " == *" $before "* ]]; then COMPREPLY=(); return; fi ;;
    esac
    if [[ "$word" == -* ]]; then
        COMPREPLY=($(compgen -W "$flags $values" -- "$word"))
    elif [[ -n "$words" ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    elif [[ -n "$files" ]]; then
        COMPREPLY=($(compgen -f -- "$word"))
    elif [[ -n "$command" ]]; then
        COMPREPLY=($(compgen -c -- "$word"))
    fi
}
_bldr_command() {
    if declare -F _command_offset > /dev/null; then _command_offset "$1"
    elif (( COMP_CWORD == $1 )); then COMPREPLY=($(compgen -c -- "${COMP_WORDS[COMP_CWORD]}"))
    else COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")); fi
}
complete -o filenames -F _bldr bldr
