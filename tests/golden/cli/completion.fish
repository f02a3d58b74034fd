# fish completion for bldr; made by 'bldr completion fish'
function __bldr_verb
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end
# whether the command has not begun: no -- and no word yet that is neither an option nor its value
function __bldr_options_of
    __bldr_verb $argv; or return 1
    set -l words (commandline -opc)
    set -e words[1 2]
    set -l skip no
    for word in $words
        if test $skip = yes
            set skip no
        else if contains -- $word -i --input -o --output -t --temp --tmp-size --toolchain --cwd -e --env --allow-host --timeout --cpu-time --memory --processes --file-size --open-files --hostname --uid --require --allow-degraded --json
            set skip yes
        else if test $word = --; or not string match -q -- '-*' $word
            return 1
        end
    end
end
complete -c bldr -f
complete -c bldr -n 'not __bldr_verb run shell plan doctor completion help' -s h -l help -d 'show the list of verbs'
complete -c bldr -n 'not __bldr_verb run shell plan doctor completion help' -s V -l version -d 'show the version'
complete -c bldr -n 'not __bldr_verb run shell plan doctor completion help' -a run -d 'run one command hermetically'
complete -c bldr -n 'not __bldr_verb run shell plan doctor completion help' -a shell -d 'open an interactive shell in exactly that sandbox'
complete -c bldr -n 'not __bldr_verb run shell plan doctor completion help' -a plan -d 'print the policy and the steps, without running'
complete -c bldr -n 'not __bldr_verb run shell plan doctor completion help' -a doctor -d 'say what this host can enforce, how it was tried, and how to raise it'
complete -c bldr -n 'not __bldr_verb run shell plan doctor completion help' -a completion -d 'print a completion script for bash, fish or zsh'
complete -c bldr -n 'not __bldr_verb run shell plan doctor completion help' -a help -d 'show the page of a verb'
complete -c bldr -n '__bldr_options_of run' -s i -l input -r -F -d 'make HOST readable inside, at AT if it shall appear elsewhere'
complete -c bldr -n '__bldr_options_of run' -s o -l output -r -F -d 'make the directory HOST writable inside; what is written stays'
complete -c bldr -n '__bldr_options_of run' -s t -l temp -r -F -d 'an empty directory that is writable inside and gone afterwards; /tmp is always one'
complete -c bldr -n '__bldr_options_of run' -l tmp-size -x -d 'keep temps in memory, at most SIZE; without it they are on disk'
complete -c bldr -n '__bldr_options_of run' -l toolchain -x -a 'system none' -d 'the programs that are visible: system (default: /usr, /bin, /lib, ...) or none'
complete -c bldr -n '__bldr_options_of run' -l cwd -r -F -d 'start in DIR inside; default: the caller'\''s directory if it is visible, else /'
complete -c bldr -n '__bldr_options_of run' -s e -l env -x -d 'set a variable, or pass NAME through from the caller; nothing else is inherited'
complete -c bldr -n '__bldr_options_of run' -l allow-host -x -d 'let connections to this host out; without it there is no network but loopback'
complete -c bldr -n '__bldr_options_of run' -l timeout -x -d 'end everything after this wall-clock time'
complete -c bldr -n '__bldr_options_of run' -l cpu-time -x -d 'CPU seconds that each process may use'
complete -c bldr -n '__bldr_options_of run' -l memory -x -d 'memory of all processes together'
complete -c bldr -n '__bldr_options_of run' -l processes -x -d 'number of processes at the same time'
complete -c bldr -n '__bldr_options_of run' -l file-size -x -d 'largest file that may be written'
complete -c bldr -n '__bldr_options_of run' -l open-files -x -d 'open files of each process'
complete -c bldr -n '__bldr_options_of run' -l hostname -x -d 'host name inside (default: bldr)'
complete -c bldr -n '__bldr_options_of run' -l uid -x -d 'user and group id inside (default: 0)'
complete -c bldr -n '__bldr_options_of run' -l allow-userns -d 'let the command make user namespaces, to nest sandboxes'
complete -c bldr -n '__bldr_options_of run' -l require -x -d 'do not start unless this guarantee holds (and by this mechanism)'
complete -c bldr -n '__bldr_options_of run' -l allow-degraded -x -d 'start even where these guarantees cannot be enforced; the receipt says so'
complete -c bldr -n '__bldr_options_of run' -l json -r -F -d 'write the result, with its receipt, to FILE'
complete -c bldr -n '__bldr_options_of run' -s v -l verbose -d 'show the receipt afterwards: each guarantee and what enforced it'
complete -c bldr -n '__bldr_options_of run' -s q -l quiet -d 'say nothing but errors'
complete -c bldr -n '__bldr_options_of run' -s h -l help -d 'show this page'
complete -c bldr -n '__bldr_verb run' -a '(__fish_complete_subcommand --fcs-skip=2 -i --input -o --output -t --temp --tmp-size --toolchain --cwd -e --env --allow-host --timeout --cpu-time --memory --processes --file-size --open-files --hostname --uid --require --allow-degraded --json)'
complete -c bldr -n '__bldr_options_of shell' -s i -l input -r -F -d 'make HOST readable inside, at AT if it shall appear elsewhere'
complete -c bldr -n '__bldr_options_of shell' -s o -l output -r -F -d 'make the directory HOST writable inside; what is written stays'
complete -c bldr -n '__bldr_options_of shell' -s t -l temp -r -F -d 'an empty directory that is writable inside and gone afterwards; /tmp is always one'
complete -c bldr -n '__bldr_options_of shell' -l tmp-size -x -d 'keep temps in memory, at most SIZE; without it they are on disk'
complete -c bldr -n '__bldr_options_of shell' -l toolchain -x -a 'system none' -d 'the programs that are visible: system (default: /usr, /bin, /lib, ...) or none'
complete -c bldr -n '__bldr_options_of shell' -l cwd -r -F -d 'start in DIR inside; default: the caller'\''s directory if it is visible, else /'
complete -c bldr -n '__bldr_options_of shell' -s e -l env -x -d 'set a variable, or pass NAME through from the caller; nothing else is inherited'
complete -c bldr -n '__bldr_options_of shell' -l allow-host -x -d 'let connections to this host out; without it there is no network but loopback'
complete -c bldr -n '__bldr_options_of shell' -l timeout -x -d 'end everything after this wall-clock time'
complete -c bldr -n '__bldr_options_of shell' -l cpu-time -x -d 'CPU seconds that each process may use'
complete -c bldr -n '__bldr_options_of shell' -l memory -x -d 'memory of all processes together'
complete -c bldr -n '__bldr_options_of shell' -l processes -x -d 'number of processes at the same time'
complete -c bldr -n '__bldr_options_of shell' -l file-size -x -d 'largest file that may be written'
complete -c bldr -n '__bldr_options_of shell' -l open-files -x -d 'open files of each process'
complete -c bldr -n '__bldr_options_of shell' -l hostname -x -d 'host name inside (default: bldr)'
complete -c bldr -n '__bldr_options_of shell' -l uid -x -d 'user and group id inside (default: 0)'
complete -c bldr -n '__bldr_options_of shell' -l allow-userns -d 'let the command make user namespaces, to nest sandboxes'
complete -c bldr -n '__bldr_options_of shell' -l require -x -d 'do not start unless this guarantee holds (and by this mechanism)'
complete -c bldr -n '__bldr_options_of shell' -l allow-degraded -x -d 'start even where these guarantees cannot be enforced; the receipt says so'
complete -c bldr -n '__bldr_options_of shell' -s v -l verbose -d 'show the receipt afterwards: each guarantee and what enforced it'
complete -c bldr -n '__bldr_options_of shell' -s q -l quiet -d 'say nothing but errors'
complete -c bldr -n '__bldr_options_of shell' -s h -l help -d 'show this page'
complete -c bldr -n '__bldr_verb shell' -a '(__fish_complete_subcommand --fcs-skip=2 -i --input -o --output -t --temp --tmp-size --toolchain --cwd -e --env --allow-host --timeout --cpu-time --memory --processes --file-size --open-files --hostname --uid --require --allow-degraded --json)'
complete -c bldr -n '__bldr_options_of plan' -s i -l input -r -F -d 'make HOST readable inside, at AT if it shall appear elsewhere'
complete -c bldr -n '__bldr_options_of plan' -s o -l output -r -F -d 'make the directory HOST writable inside; what is written stays'
complete -c bldr -n '__bldr_options_of plan' -s t -l temp -r -F -d 'an empty directory that is writable inside and gone afterwards; /tmp is always one'
complete -c bldr -n '__bldr_options_of plan' -l tmp-size -x -d 'keep temps in memory, at most SIZE; without it they are on disk'
complete -c bldr -n '__bldr_options_of plan' -l toolchain -x -a 'system none' -d 'the programs that are visible: system (default: /usr, /bin, /lib, ...) or none'
complete -c bldr -n '__bldr_options_of plan' -l cwd -r -F -d 'start in DIR inside; default: the caller'\''s directory if it is visible, else /'
complete -c bldr -n '__bldr_options_of plan' -s e -l env -x -d 'set a variable, or pass NAME through from the caller; nothing else is inherited'
complete -c bldr -n '__bldr_options_of plan' -l allow-host -x -d 'let connections to this host out; without it there is no network but loopback'
complete -c bldr -n '__bldr_options_of plan' -l timeout -x -d 'end everything after this wall-clock time'
complete -c bldr -n '__bldr_options_of plan' -l cpu-time -x -d 'CPU seconds that each process may use'
complete -c bldr -n '__bldr_options_of plan' -l memory -x -d 'memory of all processes together'
complete -c bldr -n '__bldr_options_of plan' -l processes -x -d 'number of processes at the same time'
complete -c bldr -n '__bldr_options_of plan' -l file-size -x -d 'largest file that may be written'
complete -c bldr -n '__bldr_options_of plan' -l open-files -x -d 'open files of each process'
complete -c bldr -n '__bldr_options_of plan' -l hostname -x -d 'host name inside (default: bldr)'
complete -c bldr -n '__bldr_options_of plan' -l uid -x -d 'user and group id inside (default: 0)'
complete -c bldr -n '__bldr_options_of plan' -l allow-userns -d 'let the command make user namespaces, to nest sandboxes'
complete -c bldr -n '__bldr_options_of plan' -l require -x -d 'do not start unless this guarantee holds (and by this mechanism)'
complete -c bldr -n '__bldr_options_of plan' -l allow-degraded -x -d 'start even where these guarantees cannot be enforced; the receipt says so'
complete -c bldr -n '__bldr_options_of plan' -l json -d 'print JSON'
complete -c bldr -n '__bldr_options_of plan' -s h -l help -d 'show this page'
complete -c bldr -n '__bldr_verb plan' -a '(__fish_complete_subcommand --fcs-skip=2 -i --input -o --output -t --temp --tmp-size --toolchain --cwd -e --env --allow-host --timeout --cpu-time --memory --processes --file-size --open-files --hostname --uid --require --allow-degraded --json)'
complete -c bldr -n '__bldr_verb doctor' -l json -d 'print JSON'
complete -c bldr -n '__bldr_verb doctor' -s h -l help -d 'show this page'
complete -c bldr -n '__bldr_verb completion' -s h -l help -d 'show this page'
complete -c bldr -n '__bldr_verb completion' -a 'bash fish zsh'
complete -c bldr -n '__bldr_verb help' -s h -l help -d 'show this page'
complete -c bldr -n '__bldr_verb help' -a 'run shell plan doctor completion help'
