# shellcheck shell=sh disable=SC2154 # what is given is not assigned here
# Have the owner of a repository look at it. Given: $path, and $look, the script that looks.
#
# What a repository makes git do, its owner could do before: so git runs with the rights of the owner and no more. We may
# be the owner; root can become anybody, with no group, no capability and no way back to one; and what belongs to root
# may be looked at by anybody who can read it. Anything else is refused. There is no terminal that a process of the owner's
# could type into: neither sshd nor the operator's own machine gives these shells one.
#
# It waits for the owner's shell to take away what it made, also at the deadline: so what counts its output goes on until
# that has ended. More than this is no answer, and a shell of root's would keep all of it in memory.
trap 'exit 143' HUP INT TERM PIPE
cd -P -- "$path" || exit
told=$(ls -dln .) || exit
set -f
refused() { printf '\n== siteproof refused\n%s\n\n== siteproof end\n' "$1"; exit; }
# Whoever may set a link on the way decides whose repository is shown under this name.
links_are_theirs() {
    rest=${path#/} at='' links=0
    while [ -n "$rest" ]; do
        at=$at/${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest='' ;; esac
        [ -h "$at" ] || continue
        told=$(ls -dln -- "$at") || exit
        # shellcheck disable=SC2086
        set -- $told
        case $3 in 0 | "$owner") ;; *) refused "$at is a link of user $3, and the repository belongs to user $owner" ;; esac
        links=$((links + 1))
        [ $links -le 40 ] || refused "too many links lead there"
        target=$(readlink "$at") || exit
        case $target in /*) rest=${target#/}/$rest at='' ;; *) rest=$target/$rest at=${at%/*} ;; esac
    done
}
# shellcheck disable=SC2086 # words are what is wanted
set -- $told
owner=$3 me=$(id -u) || exit
case $owner in '' | *[!0-9]*) echo "ls does not say who owns $path" >&2; exit 1 ;; esac
links_are_theirs

# Its output goes through a pipe of ours, with its errors: a process that it left behind cannot write into other answers.
clean() {
    {
        env -i PATH="$PATH" LC_ALL=C owner="$owner" "$@" 2>&1
        printf '\nstatus %s' "$?"
    } | (trap '' HUP INT TERM && exec head -c 4000000)
}
if [ "$owner" = "$me" ] || [ "$owner" = 0 ]; then
    said=$(clean sh -c "$look")
elif [ "$me" != 0 ]; then
    refused "it belongs to user $owner, and the login user is $me"
elif setpriv --reuid "$owner" --regid 65534 --clear-groups --inh-caps=-all --no-new-privs true 2>/dev/null; then
    said=$(clean setpriv --reuid "$owner" --regid 65534 --clear-groups --inh-caps=-all --no-new-privs sh -c "$look")
else
    # As busybox has it. It takes a name, and the groups of that user.
    told=$(ls -dl .) || exit
    # shellcheck disable=SC2086
    set -- $told
    case $3 in
    *[!0-9]*) said=$(clean su -s /bin/sh -c "$look" "$3") ;;
    *) refused "it belongs to user $owner, who has no name, and there is no setpriv" ;;
    esac
fi
# By tail and sed: the shell itself would be quadratic here.
status=$(printf '%s\n' "$said" | tail -n 1)
case $status in
'status '[0-9]*) status=${status#* } ;;
*) echo "siteproof: what the owner's shell says has no end within 4 MB" >&2; exit 1 ;;
esac
printf '%s\n' "$said" | sed '$d'
[ "$status" = 0 ] || printf '%s\n' "$said" | grep '^[a-z]*: ' >&2
exit "$status"
