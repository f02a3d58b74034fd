#compdef bldr
# zsh completion for bldr; made by 'bldr completion zsh'

_bldr() {
    local context state state_descr line
    typeset -A opt_args
    local -a verbs=(
        'run:run one command hermetically'
        'shell:open an interactive shell in exactly that sandbox'
        'build:build targets of the Builderfile, each action in its own sandbox'
        'test:build and run tests of the Builderfile, each in its own sandbox'
        'clean:remove what builds have made'
        'plan:print the policy and the steps, without running'
        'try:show what a command would change, then commit or drop that'
        'learn:watch a command, and write the smallest spec that suffices for it'
        'explain:why a run failed, and what would allow what it was denied'
        'doctor:say what this host can enforce, how it was tried, and how to raise it'
        'audit:show, filter, follow and verify an audit log'
        'query:ask about targets: which there are, what they need, what needs them, and why'
        'fmt:lay out Builderfiles in the one way'
        'cache:look after what '\''bldr run --cache'\'' keeps'
        'completion:print a completion script for bash, fish or zsh'
        'help:show the page of a verb'
    )
    if (( CURRENT == 2 )); then
        _describe -t verbs verb verbs
        _arguments '(-h --help)'{-h,--help}'[show the verbs]' '(-V --version)'{-V,--version}'[show it]'
        return
    fi
    local verb=$words[2]
    shift words; (( CURRENT-- ))
    case "$verb" in
        run)
            local dashes=${words[(i)--]}
            if (( dashes < CURRENT )); then
                shift dashes words; (( CURRENT -= dashes )); _normal; return
            fi
            _arguments -s -S \
                '*'{-i+,--input=}'[make HOST readable inside, at AT if it shall appear elsewhere]:HOST\[\:AT\]:_files' \
                '*'{-o+,--output=}'[make the directory HOST writable inside; what is written stays]:HOST\[\:AT\]:_files -/' \
                '--overlay=[make HOST readable and writable inside; what is written lands in a private layer and is gone afterwards]:HOST\[\:AT\]:_files' \
                '*'{-t+,--temp=}'[an empty directory that is writable inside and gone afterwards; /tmp is always one]:PATH:_files -/' \
                '--tmp-size=[keep temps in memory, at most SIZE; without it they are on disk]:SIZE: ' \
                '--toolchain=[the programs that are visible\: system (default\: /usr, /bin, /lib, ...) or none]:NAME:(system none)' \
                '--cwd=[start in DIR inside; default\: the caller'\''s directory if it is visible, else /]:DIR:_files -/' \
                '*'{-e+,--env=}'[set a variable, or pass NAME through from the caller; nothing else is inherited]:NAME\[=VALUE\]: ' \
                '*--allow-host=[let connections to HOST out, on PORT or on those of ssh, http, https and git; *.NAME is every name below NAME]:HOST\[\:PORT\]: ' \
                '--fetch=[fetch a file before the start, keep it by its digest, and make it readable at AT (default\: /fetched/NAME)]:URL=sha256\:DIGEST\[\:AT\]: ' \
                '--timeout=[end everything after this wall-clock time]:DURATION: ' \
                '--silence=[end everything when nothing was printed for so long]:DURATION: ' \
                '--cpu-time=[CPU time of all processes together (default\: 1h)]:DURATION: ' \
                '--memory=[memory of all processes together (default\: 4G)]:SIZE: ' \
                '--processes=[processes and threads at the same time (default\: 128)]:N: ' \
                '--max-children=[processes and threads beside the first one]:N: ' \
                '--fork=[whether further processes may be made (default\: true)]:BOOL: ' \
                '--exec=[whether further programs may be executed (default\: true)]:BOOL: ' \
                '--kill-on-parent-exit=[whether everything inside ends with bldr (default\: true); false is refused, see docs/limits.md]:BOOL: ' \
                '--file-size=[largest file that may be written]:SIZE: ' \
                '--disk-io=[bytes read from and written to disks in all]:SIZE: ' \
                '--disk-rate=[bytes a second to and from each disk]:SIZE: ' \
                '--network-io=[bytes over the network in all]:SIZE: ' \
                '--cpus=[how many CPUs may be used\: 0.5, 2]:CPUS: ' \
                '--cpu-weight=[share of busy CPUs, 1 to 10000 (others have 100)]:N: ' \
                '--open-files=[open files of each process]:N: ' \
                '--core-size=[largest core file (default\: none)]:SIZE: ' \
                '--hostname=[host name inside (default\: bldr)]:NAME: ' \
                '--uid=[user and group id inside (default\: 0)]:N: ' \
                '--allow-userns[let the command make user namespaces, to nest sandboxes]' \
                '*--require=[do not start unless this guarantee holds (and by this mechanism)]:GUARANTEE\[=MECHANISM\]: ' \
                '*--allow-degraded=[start even where these guarantees cannot be enforced; the receipt says so]:GUARANTEE,...: ' \
                '--audit-log=[append each violation and denial to FILE, see bldr audit]:FILE:_files' \
                '--trace=[record what the command does\: nothing (off), programs and connections (network), files as well (full); auto (default)\: nothing, but read the messages of a command that fails]:LEVEL:(auto off network full)' \
                '--cache=-[take the result from the cache when nothing has changed, else keep it there (default\: ~/.cache/bldr)]::DIR:_files -/' \
                '--explain-on-failure[when it fails, run it once more, traced, and say why it failed]' \
                '--json=[write the result, with its receipt, to FILE]:FILE:_files' \
                '--report=[draw what ran over time, and what it used, as a page that needs nothing but a browser]:FILE.html:_files' \
                '--profile=[write what ran over time in the Chrome trace format, for Perfetto]:FILE.json:_files' \
                '--progress=[show what goes on\: rich (live, in the last lines of a terminal; the default there), plain (a line now and then) or none]:MODE:(plain rich none)' \
                '(-v --verbose)'{-v,--verbose}'[show the receipt afterwards\: each guarantee and what enforced it]' \
                '(-q --quiet)'{-q,--quiet}'[say nothing but errors]' \
                '(-h --help)'{-h,--help}'[show this page]' \
                '*::command:_normal' ;;
        shell)
            local dashes=${words[(i)--]}
            if (( dashes < CURRENT )); then
                shift dashes words; (( CURRENT -= dashes )); _normal; return
            fi
            _arguments -s -S \
                '*'{-i+,--input=}'[make HOST readable inside, at AT if it shall appear elsewhere]:HOST\[\:AT\]:_files' \
                '*'{-o+,--output=}'[make the directory HOST writable inside; what is written stays]:HOST\[\:AT\]:_files -/' \
                '--overlay=[make HOST readable and writable inside; what is written lands in a private layer and is gone afterwards]:HOST\[\:AT\]:_files' \
                '*'{-t+,--temp=}'[an empty directory that is writable inside and gone afterwards; /tmp is always one]:PATH:_files -/' \
                '--tmp-size=[keep temps in memory, at most SIZE; without it they are on disk]:SIZE: ' \
                '--toolchain=[the programs that are visible\: system (default\: /usr, /bin, /lib, ...) or none]:NAME:(system none)' \
                '--cwd=[start in DIR inside; default\: the caller'\''s directory if it is visible, else /]:DIR:_files -/' \
                '*'{-e+,--env=}'[set a variable, or pass NAME through from the caller; nothing else is inherited]:NAME\[=VALUE\]: ' \
                '*--allow-host=[let connections to HOST out, on PORT or on those of ssh, http, https and git; *.NAME is every name below NAME]:HOST\[\:PORT\]: ' \
                '--fetch=[fetch a file before the start, keep it by its digest, and make it readable at AT (default\: /fetched/NAME)]:URL=sha256\:DIGEST\[\:AT\]: ' \
                '--timeout=[end everything after this wall-clock time]:DURATION: ' \
                '--silence=[end everything when nothing was printed for so long]:DURATION: ' \
                '--cpu-time=[CPU time of all processes together (default\: 1h)]:DURATION: ' \
                '--memory=[memory of all processes together (default\: 4G)]:SIZE: ' \
                '--processes=[processes and threads at the same time (default\: 128)]:N: ' \
                '--max-children=[processes and threads beside the first one]:N: ' \
                '--fork=[whether further processes may be made (default\: true)]:BOOL: ' \
                '--exec=[whether further programs may be executed (default\: true)]:BOOL: ' \
                '--kill-on-parent-exit=[whether everything inside ends with bldr (default\: true); false is refused, see docs/limits.md]:BOOL: ' \
                '--file-size=[largest file that may be written]:SIZE: ' \
                '--disk-io=[bytes read from and written to disks in all]:SIZE: ' \
                '--disk-rate=[bytes a second to and from each disk]:SIZE: ' \
                '--network-io=[bytes over the network in all]:SIZE: ' \
                '--cpus=[how many CPUs may be used\: 0.5, 2]:CPUS: ' \
                '--cpu-weight=[share of busy CPUs, 1 to 10000 (others have 100)]:N: ' \
                '--open-files=[open files of each process]:N: ' \
                '--core-size=[largest core file (default\: none)]:SIZE: ' \
                '--hostname=[host name inside (default\: bldr)]:NAME: ' \
                '--uid=[user and group id inside (default\: 0)]:N: ' \
                '--allow-userns[let the command make user namespaces, to nest sandboxes]' \
                '*--require=[do not start unless this guarantee holds (and by this mechanism)]:GUARANTEE\[=MECHANISM\]: ' \
                '*--allow-degraded=[start even where these guarantees cannot be enforced; the receipt says so]:GUARANTEE,...: ' \
                '--audit-log=[append each violation and denial to FILE, see bldr audit]:FILE:_files' \
                '(-v --verbose)'{-v,--verbose}'[show the receipt afterwards\: each guarantee and what enforced it]' \
                '(-q --quiet)'{-q,--quiet}'[say nothing but errors]' \
                '(-h --help)'{-h,--help}'[show this page]' \
                '*::command:_normal' ;;
        build)
            _arguments -s -S \
                '(-j --jobs)'{-j+,--jobs=}'[run up to N actions at a time (default\: one for each CPU)]:N: ' \
                '(-k --keep-going)'{-k,--keep-going}'[build everything that does not need an action that failed]' \
                '(-n --dry-run)'{-n,--dry-run}'[show what would be done, and why, without doing it]' \
                '--wait[wait while another bldr builds in this workspace, instead of refusing]' \
                '--watch[build again whenever something changes that the targets depend on, until Ctrl-C]' \
                '--no-hermetic[run without sandboxes\: everything can be read, and nothing is remembered]' \
                '--hermetic[run in sandboxes whatever BUILDER_HERMETIC says]' \
                '--cache-dir=[keep results in DIR (default\: ~/.cache/bldr)]:DIR:_files -/' \
                '--explain[say of each action why it runs]' \
                '--report=[draw what ran over time, and what it used, as a page that needs nothing but a browser]:FILE.html:_files' \
                '--profile=[write what ran over time in the Chrome trace format, for Perfetto]:FILE.json:_files' \
                '--progress=[show what goes on\: rich (live, in the last lines of a terminal; the default there), plain (a line now and then) or none]:MODE:(plain rich none)' \
                '--json=[write what came of each action to FILE]:FILE:_files' \
                '--events=[write what happens to FILE while it happens, one JSON object a line]:FILE:_files' \
                '(-v --verbose)'{-v,--verbose}'[show each command, and how it is confined]' \
                '(-q --quiet)'{-q,--quiet}'[say nothing but errors]' \
                '(-h --help)'{-h,--help}'[show this page]' ;;
        test)
            _arguments -s -S \
                '(-j --jobs)'{-j+,--jobs=}'[run up to N actions at a time (default\: one for each CPU)]:N: ' \
                '--wait[wait while another bldr builds in this workspace, instead of refusing]' \
                '--watch[build again whenever something changes that the targets depend on, until Ctrl-C]' \
                '--no-hermetic[run without sandboxes\: everything can be read, and nothing is remembered]' \
                '--hermetic[run in sandboxes whatever BUILDER_HERMETIC says]' \
                '--cache-dir=[keep results in DIR (default\: ~/.cache/bldr)]:DIR:_files -/' \
                '--explain[say of each action why it runs]' \
                '--report=[draw what ran over time, and what it used, as a page that needs nothing but a browser]:FILE.html:_files' \
                '--profile=[write what ran over time in the Chrome trace format, for Perfetto]:FILE.json:_files' \
                '--progress=[show what goes on\: rich (live, in the last lines of a terminal; the default there), plain (a line now and then) or none]:MODE:(plain rich none)' \
                '--json=[write what came of each action to FILE]:FILE:_files' \
                '--events=[write what happens to FILE while it happens, one JSON object a line]:FILE:_files' \
                '(-v --verbose)'{-v,--verbose}'[show each command, and how it is confined]' \
                '(-q --quiet)'{-q,--quiet}'[say nothing but errors]' \
                '(-h --help)'{-h,--help}'[show this page]' \
                '--no-cache[run every test, also those that have passed and of which nothing has changed]' \
                '--test-timeout=[end a test after DURATION where its target has no timeout]:DURATION: ' \
                '--junit=[write the result of each case to FILE, as JUnit XML]:FILE:_files' ;;
        clean)
            _arguments -s -S \
                '(-n --dry-run)'{-n,--dry-run}'[show what would be done, and why, without doing it]' \
                '--wait[wait while another bldr builds in this workspace, instead of refusing]' \
                '(-q --quiet)'{-q,--quiet}'[say nothing but errors]' \
                '(-h --help)'{-h,--help}'[show this page]' ;;
        plan)
            local dashes=${words[(i)--]}
            if (( dashes < CURRENT )); then
                shift dashes words; (( CURRENT -= dashes )); _normal; return
            fi
            _arguments -s -S \
                '*'{-i+,--input=}'[make HOST readable inside, at AT if it shall appear elsewhere]:HOST\[\:AT\]:_files' \
                '*'{-o+,--output=}'[make the directory HOST writable inside; what is written stays]:HOST\[\:AT\]:_files -/' \
                '--overlay=[make HOST readable and writable inside; what is written lands in a private layer and is gone afterwards]:HOST\[\:AT\]:_files' \
                '*'{-t+,--temp=}'[an empty directory that is writable inside and gone afterwards; /tmp is always one]:PATH:_files -/' \
                '--tmp-size=[keep temps in memory, at most SIZE; without it they are on disk]:SIZE: ' \
                '--toolchain=[the programs that are visible\: system (default\: /usr, /bin, /lib, ...) or none]:NAME:(system none)' \
                '--cwd=[start in DIR inside; default\: the caller'\''s directory if it is visible, else /]:DIR:_files -/' \
                '*'{-e+,--env=}'[set a variable, or pass NAME through from the caller; nothing else is inherited]:NAME\[=VALUE\]: ' \
                '*--allow-host=[let connections to HOST out, on PORT or on those of ssh, http, https and git; *.NAME is every name below NAME]:HOST\[\:PORT\]: ' \
                '--fetch=[fetch a file before the start, keep it by its digest, and make it readable at AT (default\: /fetched/NAME)]:URL=sha256\:DIGEST\[\:AT\]: ' \
                '--timeout=[end everything after this wall-clock time]:DURATION: ' \
                '--silence=[end everything when nothing was printed for so long]:DURATION: ' \
                '--cpu-time=[CPU time of all processes together (default\: 1h)]:DURATION: ' \
                '--memory=[memory of all processes together (default\: 4G)]:SIZE: ' \
                '--processes=[processes and threads at the same time (default\: 128)]:N: ' \
                '--max-children=[processes and threads beside the first one]:N: ' \
                '--fork=[whether further processes may be made (default\: true)]:BOOL: ' \
                '--exec=[whether further programs may be executed (default\: true)]:BOOL: ' \
                '--kill-on-parent-exit=[whether everything inside ends with bldr (default\: true); false is refused, see docs/limits.md]:BOOL: ' \
                '--file-size=[largest file that may be written]:SIZE: ' \
                '--disk-io=[bytes read from and written to disks in all]:SIZE: ' \
                '--disk-rate=[bytes a second to and from each disk]:SIZE: ' \
                '--network-io=[bytes over the network in all]:SIZE: ' \
                '--cpus=[how many CPUs may be used\: 0.5, 2]:CPUS: ' \
                '--cpu-weight=[share of busy CPUs, 1 to 10000 (others have 100)]:N: ' \
                '--open-files=[open files of each process]:N: ' \
                '--core-size=[largest core file (default\: none)]:SIZE: ' \
                '--hostname=[host name inside (default\: bldr)]:NAME: ' \
                '--uid=[user and group id inside (default\: 0)]:N: ' \
                '--allow-userns[let the command make user namespaces, to nest sandboxes]' \
                '*--require=[do not start unless this guarantee holds (and by this mechanism)]:GUARANTEE\[=MECHANISM\]: ' \
                '*--allow-degraded=[start even where these guarantees cannot be enforced; the receipt says so]:GUARANTEE,...: ' \
                '--json[print JSON]' \
                '(-h --help)'{-h,--help}'[show this page]' \
                '*::command:_normal' ;;
        try)
            local dashes=${words[(i)--]}
            if (( dashes < CURRENT )); then
                shift dashes words; (( CURRENT -= dashes )); _normal; return
            fi
            _arguments -s -S \
                '--commit[take the changes over when the command succeeds]' \
                '--drop[only show the changes]' \
                '*'{-i+,--input=}'[make HOST readable inside, at AT if it shall appear elsewhere]:HOST\[\:AT\]:_files' \
                '*'{-o+,--output=}'[make the directory HOST writable inside; what is written stays]:HOST\[\:AT\]:_files -/' \
                '--overlay=[make HOST readable and writable inside; what is written lands in a private layer and is gone afterwards]:HOST\[\:AT\]:_files' \
                '*'{-t+,--temp=}'[an empty directory that is writable inside and gone afterwards; /tmp is always one]:PATH:_files -/' \
                '--tmp-size=[keep temps in memory, at most SIZE; without it they are on disk]:SIZE: ' \
                '--toolchain=[the programs that are visible\: system (default\: /usr, /bin, /lib, ...) or none]:NAME:(system none)' \
                '--cwd=[start in DIR inside; default\: the caller'\''s directory if it is visible, else /]:DIR:_files -/' \
                '*'{-e+,--env=}'[set a variable, or pass NAME through from the caller; nothing else is inherited]:NAME\[=VALUE\]: ' \
                '*--allow-host=[let connections to HOST out, on PORT or on those of ssh, http, https and git; *.NAME is every name below NAME]:HOST\[\:PORT\]: ' \
                '--fetch=[fetch a file before the start, keep it by its digest, and make it readable at AT (default\: /fetched/NAME)]:URL=sha256\:DIGEST\[\:AT\]: ' \
                '--timeout=[end everything after this wall-clock time]:DURATION: ' \
                '--silence=[end everything when nothing was printed for so long]:DURATION: ' \
                '--cpu-time=[CPU time of all processes together (default\: 1h)]:DURATION: ' \
                '--memory=[memory of all processes together (default\: 4G)]:SIZE: ' \
                '--processes=[processes and threads at the same time (default\: 128)]:N: ' \
                '--max-children=[processes and threads beside the first one]:N: ' \
                '--fork=[whether further processes may be made (default\: true)]:BOOL: ' \
                '--exec=[whether further programs may be executed (default\: true)]:BOOL: ' \
                '--kill-on-parent-exit=[whether everything inside ends with bldr (default\: true); false is refused, see docs/limits.md]:BOOL: ' \
                '--file-size=[largest file that may be written]:SIZE: ' \
                '--disk-io=[bytes read from and written to disks in all]:SIZE: ' \
                '--disk-rate=[bytes a second to and from each disk]:SIZE: ' \
                '--network-io=[bytes over the network in all]:SIZE: ' \
                '--cpus=[how many CPUs may be used\: 0.5, 2]:CPUS: ' \
                '--cpu-weight=[share of busy CPUs, 1 to 10000 (others have 100)]:N: ' \
                '--open-files=[open files of each process]:N: ' \
                '--core-size=[largest core file (default\: none)]:SIZE: ' \
                '--hostname=[host name inside (default\: bldr)]:NAME: ' \
                '--uid=[user and group id inside (default\: 0)]:N: ' \
                '--allow-userns[let the command make user namespaces, to nest sandboxes]' \
                '*--require=[do not start unless this guarantee holds (and by this mechanism)]:GUARANTEE\[=MECHANISM\]: ' \
                '*--allow-degraded=[start even where these guarantees cannot be enforced; the receipt says so]:GUARANTEE,...: ' \
                '--audit-log=[append each violation and denial to FILE, see bldr audit]:FILE:_files' \
                '--json=[write the result and the changes to FILE]:FILE:_files' \
                '(-v --verbose)'{-v,--verbose}'[show the receipt, and changes of times]' \
                '(-q --quiet)'{-q,--quiet}'[say nothing but errors]' \
                '(-h --help)'{-h,--help}'[show this page]' \
                '*::command:_normal' ;;
        learn)
            local dashes=${words[(i)--]}
            if (( dashes < CURRENT )); then
                shift dashes words; (( CURRENT -= dashes )); _normal; return
            fi
            _arguments -s -S \
                '--format=[command-line (default), python or builderfile]:FORMAT:(command-line python builderfile)' \
                '--write=[write it to FILE, which must not be there]:FILE:_files' \
                '--force[overwrite that file]' \
                '--tighten[run it again in exactly that\: what is missing is added, what is not used is taken away]' \
                '--in-tree[make a directory an output where results are written beside what is read; else it is an overlay]' \
                '(-w --workspace)'{-w+,--workspace=}'[what the command may change (default\: the caller'\''s directory)]:DIR:_files -/' \
                '--any-host[let connections to every host out that it asks for, and list them]' \
                '*'{-i+,--input=}'[make HOST readable inside, at AT if it shall appear elsewhere]:HOST\[\:AT\]:_files' \
                '*'{-t+,--temp=}'[an empty directory that is writable inside and gone afterwards; /tmp is always one]:PATH:_files -/' \
                '*'{-e+,--env=}'[set a variable, or pass NAME through from the caller; nothing else is inherited]:NAME\[=VALUE\]: ' \
                '*--allow-host=[let connections to HOST out, on PORT or on those of ssh, http, https and git; *.NAME is every name below NAME]:HOST\[\:PORT\]: ' \
                '--timeout=[end everything after this wall-clock time]:DURATION: ' \
                '--cpu-time=[CPU time of all processes together (default\: 1h)]:DURATION: ' \
                '--memory=[memory of all processes together (default\: 4G)]:SIZE: ' \
                '--processes=[processes and threads at the same time (default\: 128)]:N: ' \
                '--file-size=[largest file that may be written]:SIZE: ' \
                '--disk-io=[bytes read from and written to disks in all]:SIZE: ' \
                '--disk-rate=[bytes a second to and from each disk]:SIZE: ' \
                '--network-io=[bytes over the network in all]:SIZE: ' \
                '--cpus=[how many CPUs may be used\: 0.5, 2]:CPUS: ' \
                '--cpu-weight=[share of busy CPUs, 1 to 10000 (others have 100)]:N: ' \
                '--open-files=[open files of each process]:N: ' \
                '--core-size=[largest core file (default\: none)]:SIZE: ' \
                '(-q --quiet)'{-q,--quiet}'[say nothing but errors]' \
                '(-h --help)'{-h,--help}'[show this page]' \
                '*::command:_normal' ;;
        explain)
            _arguments -s -S \
                '--json[print JSON]' \
                '(-h --help)'{-h,--help}'[show this page]' ;;
        doctor)
            _arguments -s -S \
                '--json[print JSON]' \
                '(-h --help)'{-h,--help}'[show this page]' ;;
        audit)
            _arguments -s -S \
                '--kind=[only events of this kind]:KIND:(filesystem-read filesystem-write network process limit timeout privilege refusal other)' \
                '--run=[only events of this run]:RUN: ' \
                '--subject=[only events about this\: a limit, a path, an endpoint; * and ? match]:PATTERN: ' \
                '--since=[only events since then\: 2026-11-24, 2026-11-24T13\:00, or 90m ago]:TIME: ' \
                '--until=[only events before then]:TIME: ' \
                '--last=[only the last N of them]:N: ' \
                '(-f --follow)'{-f,--follow}'[go on with what is written from now on]' \
                '--verify[check that nothing was changed, removed or cut off]' \
                '--expect=[with --verify\: this event, written down elsewhere, has to be there]:NUMBER\:DIGEST: ' \
                '--head[print NUMBER\:DIGEST of the last event, to be written down elsewhere]' \
                '--json[print JSON, one object a line]' \
                '(-h --help)'{-h,--help}'[show this page]' ;;
        query)
            _arguments -s -S \
                '--direct[of deps and rdeps, only the nearest]' \
                '--json[print JSON, with sources, outputs and where each target stands]' \
                '--graphviz[print a graph for the program dot]' \
                '(-h --help)'{-h,--help}'[show this page]' \
                '*:word:(targets deps rdeps paths)' ;;
        fmt)
            _arguments -s -S \
                '--check[change nothing; print the names of files that would change]' \
                '(-q --quiet)'{-q,--quiet}'[say nothing but errors]' \
                '(-h --help)'{-h,--help}'[show this page]' \
                '*:file:_files' ;;
        cache)
            _arguments -s -S \
                '--dir=[the cache (default\: ~/.cache/bldr)]:DIR:_files -/' \
                '--size=[what gc leaves at most (default\: 10G)]:SIZE: ' \
                '--json[print JSON]' \
                '(-h --help)'{-h,--help}'[show this page]' \
                '*:word:(stats gc verify clear why)' ;;
        completion)
            _arguments -s -S \
                '(-h --help)'{-h,--help}'[show this page]' \
                '*:word:(bash fish zsh)' ;;
        help)
            _arguments -s -S \
                '(-h --help)'{-h,--help}'[show this page]' \
                '*:word:(run shell build test clean plan try learn explain doctor audit query fmt cache completion help)' ;;
    esac
}

if [[ "$funcstack[1]" == "_bldr" ]]; then _bldr "$@"; else compdef _bldr bldr; fi
