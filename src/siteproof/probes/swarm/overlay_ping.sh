# Ping addresses on an overlay from a container of this node that is on it. Given: $network, its id, $ROOT, and the
# addresses as the positional parameters. The container's own address is pinged first: it is the control.
#
# What docker answers becomes words of commands that run as root, so that its form is checked before.
odd() { printf 'docker gave no %s: %.200s\n' "$1" "$2" >&2; exit 1; }

printf '\n== siteproof container\n'
ids=$($ROOT docker -H unix:///var/run/docker.sock ps --no-trunc --quiet --filter "network=$network") || exit
[ -n "$ids" ] || { printf 'none\n\n== siteproof end\n'; exit; }
id=${ids%%[!0-9a-f]*}
[ ${#id} = 64 ] || odd 'id of a container' "$ids"
printf '%s\n' "$id"

printf '\n== siteproof own\n'
format='{{println .State.Pid}}{{range .NetworkSettings.Networks}}{{println .NetworkID .IPAddress}}{{end}}'
told=$($ROOT docker -H unix:///var/run/docker.sock inspect --format "$format" "$id") || exit
pid=${told%%[!0-9]*}
case $pid in [1-9]*) [ ${#pid} -le 7 ] || odd pid "$told" ;; *) odd pid "$told" ;; esac
own=$(printf '%s\n' "$told" | while read -r on address; do [ "$on" != "$network" ] || printf '%s\n' "$address"; done)
case $own in '' | *[!0-9.]*) odd 'address of the container' "$told" ;; esac
printf '%s\n' "$own"

# The addresses come on stdin, so that what runs as root is always the same words.
printf '\n== siteproof pings\n'
printf '%s\n' "$own" "$@" | $ROOT nsenter "--net=/proc/$pid/ns/net" xargs -n 1 ping -n -c 2 -i 0.3 -W 1 --
printf '\n== siteproof status\n%s\n' "$?"
printf '\n== siteproof end\n'
