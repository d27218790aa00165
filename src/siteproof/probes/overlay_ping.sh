# Ping addresses on an overlay from a container of this node that is on it. Given: $network, its id, $ROOT, and the
# addresses as the positional parameters. The container's own address is pinged first: it is the control.
printf '\n== siteproof container\n'
id=$($ROOT docker ps --no-trunc --quiet --filter network=$network) || exit
id=${id%%[!0-9a-z]*}
printf '%s\n' "${id:-none}"
[ -z "$id" ] && printf '\n== siteproof end\n' && exit

printf '\n== siteproof own\n'
format='{{println .State.Pid}}{{range .NetworkSettings.Networks}}{{println .NetworkID .IPAddress}}{{end}}'
told=$($ROOT docker inspect --format "$format" $id) || exit
pid=${told%%[!0-9]*}
own=$(printf '%s\n' "$told" | sed -n "s/^$network //p")
printf '%s\n' "$own"

# The addresses come on stdin, so that what runs as root is always the same words.
printf '\n== siteproof pings\n'
printf '%s\n' "$own" "$@" | $ROOT nsenter --net=/proc/$pid/ns/net xargs -n 1 ping -n -c 2 -i 0.3 -W 1 --
printf '\n== siteproof status\n%s\n' "$?"
printf '\n== siteproof end\n'
