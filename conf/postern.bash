# SPDX-License-Identifier: Apache-2.0
# bash completion for postern(1): commands, and the options that take a file.

_postern()
{
    local cur prev words cword
    _init_completion || return

    case $prev in
    -c | -s | --config | --socket)
        _filedir
        return
        ;;
    esac
    if [ "$cword" -eq 1 ]; then
        # The program's own list: "  NAME   what it does".
        COMPREPLY=($(compgen -W '--help --version
            $(postern --help 2>/dev/null | sed -n "s/^  \([a-z][a-z-]*\) .*/\1/p")' -- "$cur"))
        return
    fi
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W '$(postern "${words[1]}" --help 2>/dev/null |
            grep -oE -- "(^|[ [])--?[a-z][a-z-]*" | tr -d " [")' -- "$cur"))
        return
    fi
    case ${words[1]} in
    key)
        if [ "$cword" -eq 2 ]; then
            COMPREPLY=($(compgen -W 'new rotate backup restore' -- "$cur"))
        else
            _filedir
        fi
        ;;
    queue)
        [ "$cword" -eq 2 ] && COMPREPLY=($(compgen -W 'list hold release retry purge' -- "$cur"))
        ;;
    backup | restore | verify)
        _filedir -d
        ;;
    esac
}

complete -F _postern postern
