# Pull $image and note where new TCP connections go. Given: $image, $image_hash, $cold, $ROOT, $NONCE, $DEADLINE.
#
# Borrowed: an nftables table without verdicts, and the image if it was not there. Both go when the script ends, however
# it ends. Should it be killed, the watchdog, in a session of its own, takes them away after the deadline; should that be
# killed too, the next run finds in the table's name the moment when it should have gone.
now=$(date +%s)
until=$((now + DEADLINE + 10))
table=siteproof_${NONCE}_${image_hash}_$until

# nft gets names that change through its stdin, so that what runs as root is always the same words.
without() { printf 'delete table inet %s\n' "$1" | $ROOT nft -f -; }

$ROOT nft list tables inet | while read -r _ _ old; do
    case $old in siteproof_*_*_*) [ "${old##*_}" -lt "$now" ] && without "$old" ;; esac
done

[ -n "$cold" ] && $ROOT crictl rmi "$image" >/dev/null 2>&1
# Only what is known to be absent is removed again.
present=yes
inspected=$($ROOT crictl inspecti -q "$image" 2>&1) || case $inspected in
    *'no such image'*) present=no ;;
    *) printf '%s\n' "$inspected" >&2; exit 3 ;;
esac

give_back() {
    trap '' HUP INT TERM PIPE
    without "$table"
    [ "$present" = no ] && $ROOT crictl rmi "$image"
    [ -n "$watchdog" ] && kill -- "-$watchdog"
} >/dev/null 2>&1
trap give_back EXIT
trap 'exit 143' HUP INT TERM PIPE
export image table present
setsid sh -c '
    sleep "$1"
    echo "delete table inet $table" | $ROOT nft -f -
    [ "$present" = no ] && $ROOT crictl rmi "$image"
' watchdog "$((DEADLINE + 5))" </dev/null >/dev/null 2>&1 &
watchdog=$!

# The hook comes before DNAT, so that the address is the one that was dialled.
observe() {
    printf 'table inet %s {\n' "$table"
    printf 'set seen { type ipv4_addr . inet_service; flags dynamic; size 4096; }\n'
    printf 'set seen6 { type ipv6_addr . inet_service; flags dynamic; size 4096; }\n'
    printf 'chain out { type filter hook output priority -300;\n'
    for cgroup in $1; do
        match=
        if [ "$cgroup" != any ]; then
            level=$(IFS=/; set -- $cgroup; echo $#)
            match="socket cgroupv2 level $level \"$cgroup\""
        fi
        printf '%s tcp flags & (syn | ack) == syn update @seen { ip daddr . tcp dport }\n' "$match"
        printf '%s tcp flags & (syn | ack) == syn update @seen6 { ip6 daddr . tcp dport }\n' "$match"
    done
    printf '}\n}\n'
}

cgroups=
for process in /proc/[0-9]*; do
    read -r name <"$process/comm" && [ "$name" = containerd ] || continue
    while IFS=: read -r id _ path; do
        path=${path#/}
        [ "$id" = 0 ] && [ -n "$path" ] || continue
        case " $cgroups " in *" $path "*) ;; *) cgroups="$cgroups $path" ;; esac
    done <"$process/cgroup"
done 2>/dev/null
scope=containerd
if [ -z "$cgroups" ] || ! observe "$cgroups" | $ROOT nft -f - 2>/dev/null; then
    scope=host
    observe any | $ROOT nft -f - || exit
fi

echo '== siteproof pull'
$ROOT crictl pull "$image" 2>&1
pulled=$?
printf '\n== siteproof status\n%s\n== siteproof scope\n%s\n== siteproof present\n%s\n' "$pulled" "$scope" "$present"
printf '== siteproof seen\n'
printf '{"nftables": [{"list": {"table": {"family": "inet", "name": "%s"}}}]}' "$table" | $ROOT nft -j -f - || exit
printf '\n== siteproof end\n'
