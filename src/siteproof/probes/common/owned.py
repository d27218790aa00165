"""A question for scripts: can nobody but root have put there what stands at a path?

What others could have made is not believed, not run and not read as root: whoever may change a directory on the way
decides by a link which file of root's is shown, and whoever may change a binary decides what root runs.
"""

from __future__ import annotations

OWNED = r"""owned() (
    sure() {
        [ -n "$(find "$1" -prune -user 0 ! -perm -002 \( ! -perm -020 -o -group 0 \) 2>/dev/null)" ] || return
        # An access list may let others write where the group seems to be root's.
        [ -z "$(find "$1" -prune -perm -020)" ] || case $(ls -ld "$1") in ??????????+*) return 1 ;; esac
    }
    closed() { [ -n "$(find "$1" -prune ! -perm -001 \( ! -perm -010 -o -group 0 \))" ]; }
    refuse() { printf '%s: %s\n' "$wanted" "$1" >&2; exit 1; }
    wanted=$1 rest=$1 at=/ links=0
    case $rest in /*) ;; *) refuse "not an absolute path" ;; esac
    while :; do
        case $at in /proc | /proc/*) refuse "what a process shows under /proc is not the host's" ;; esac
        sure "$at" || refuse "$at is not root's alone to change, so it is not believed"
        while case $rest in /*) ;; *) false ;; esac do rest=${rest#/}; done
        [ -n "$rest" ] || exit 0
        if ! [ -x "$at" ]; then
            closed "$at" || refuse "$at cannot be looked into"
            case ${at%/}/$rest in
            /etc/* | /var/lib/rancher/k3s/agent/etc/* | /var/lib/rancher/k3s/data/*) exit 0 ;;
            /var/lib/rancher/rke2/agent/etc/* | /var/lib/rancher/rke2/data/*) exit 0 ;;
            esac
            case ${rest%/} in */*) refuse "$at cannot be looked into" ;; *) exit 0 ;; esac
        fi
        step=${rest%%/*} rest=${rest#"${rest%%/*}"}
        case $step in
        .) continue ;;
        ..) at=${at%/*} at=${at:-/}; continue ;;
        esac
        next=${at%/}/$step
        if [ -h "$next" ]; then
            links=$((links + 1))
            [ $links -le 40 ] || refuse "too many links"
            target=$(readlink "$next" && echo .) || refuse "$next is a link that cannot be read"
            target=${target%??}
            case $target in /*) at=/ ;; esac
            rest=$target$rest
        elif [ -e "$next" ]; then
            [ -d "$next" ] || [ -z "$rest" ] || refuse "$next is not a directory"
            at=$next
        else
            printf '%s: No such file or directory\n' "$wanted" >&2
            exit 2
        fi
    done
)
"""
"""The sh function `owned PATH`; it stands before the script that asks.

Status 0: the file or directory at PATH is root's, as is every directory on the way to it and every link's, and nobody
but root and its group may write to one of them. 1: others may, or it cannot be told; stderr says in one sentence where.
2: nothing is there, and nobody but root could put something there; stderr says that as tools do.

A directory that only root can enter is the end of the way for whoever is not root. Its own entries are root's doing;
what lies deeper need not be (/var/lib/docker is root's alone, and containers write below it), so that it is status 1,
but where only root's own settings and programs lie: below /etc, and where k3s and RKE2 keep theirs. It takes find and
readlink, no root, and is meant for a login user as for root.
"""
