# Ping addresses on an overlay from a container of this node that is on it. Given: $network, its id, $ROOT, and the
# addresses as the positional parameters. The container's own address is pinged first: it is the control.
printf '\n== siteproof container\n'
id=$($ROOT docker ps --no-trunc --quiet --filter "network=$network") || exit
id=${id%%[!0-9a-z]*}
printf '%s\n' "${id:-none}"
[ -z "$id" ] && printf '\n== siteproof end\n' && exit

printf '\n== siteproof own\n'
format='{{range .NetworkSettings.Networks}}{{.NetworkID}} {{.IPAddress}}{{"\n"}}{{end}}'
own=$($ROOT docker inspect --format "$format" "$id" | grep "^$network ") || exit
own=${own#* }
printf '%s\n' "$own"
pid=$($ROOT docker inspect --format '{{.State.Pid}}' "$id") || exit

printf '\n== siteproof pings\n'
for target in "$own" "$@"; do
    said=$($ROOT nsenter --net="/proc/$pid/ns/net" ping -n -c 2 -i 0.3 -W 1 "$target" 2>&1)
    printf '%s %s %s\n' "$target" "$?" "$(printf '%s\n' "$said" | grep 'packets transmitted')"
done
printf '\n== siteproof end\n'
