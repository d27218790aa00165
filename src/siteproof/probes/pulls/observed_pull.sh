# Pull $image and note where new TCP connections go. Given: $image, $image_hash, $cold, $ROOT, $NONCE, $DEADLINE, `owned`,
# `containerds`.
#
# Borrowed: an nftables table without verdicts, and the image if it was not there. Both go when the script ends, however
# it ends. Should it be killed, the watchdog, in a session of its own, takes them away after the deadline; should that be
# killed too, the next run finds in the table's name the moment when it should have gone.
#
# nft takes its arguments for one text of statements. So each is fixed, but for names that can only be ours: of a table
# that has exactly our form, of a cgroup that is one of a few. What a host says is compared with them and never passed on.
hex6='[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]' moment='[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]'
is_ours() {
    # shellcheck disable=SC2254 # they are patterns
    case $1 in siteproof_$hex6${hex6}_${hex6}_$moment) ;; *) return 1 ;; esac
}
now=$(date +%s)
case $now in '' | *[!0-9]*) echo "date gave no moment: $now" >&2; exit 1 ;; esac
until=$((now + DEADLINE + 10))
table=siteproof_${NONCE}_${image_hash}_$until
is_ours "$table" || { echo "not a table's name: $table" >&2; exit 1; }

$ROOT nft list tables inet | while read -r _ _ old; do
    is_ours "$old" && [ "${old##*_}" -lt "$now" ] && $ROOT nft delete table inet "$old"
done 2>/dev/null

[ -n "$cold" ] && $ROOT crictl --runtime-endpoint "$endpoint" --image-endpoint "$endpoint" rmi "$image" >/dev/null 2>&1
# Only what is known to be absent is removed again.
present=yes
inspected=$($ROOT crictl --runtime-endpoint "$endpoint" --image-endpoint "$endpoint" inspecti -q "$image" 2>&1) || case $inspected in
    *'no such image'*) present=no ;;
    *) printf '%s\n' "$inspected" >&2; exit 3 ;;
esac

give_back() {
    trap '' HUP INT TERM PIPE
    [ -z "$pulling" ] || kill -- "-$pulling"
    $ROOT nft delete table inet "$table"
    [ "$present" = no ] && $ROOT crictl --runtime-endpoint "$endpoint" --image-endpoint "$endpoint" rmi "$image"
    # A pull that has not ended may still bring the image: then it is the watchdog who takes it away.
    [ -z "$watchdog" ] || [ -n "$late" ] || kill -- "-$watchdog"
} >/dev/null 2>&1
watchdog='' pulling='' late=''
trap give_back EXIT
trap 'exit 143' HUP INT TERM PIPE
export image table present endpoint
# shellcheck disable=SC2016 # its own shell puts them in
setsid sh -c '
    sleep "$1"
    $ROOT nft delete table inet "$table"
    [ "$present" = no ] && $ROOT crictl --runtime-endpoint "$endpoint" --image-endpoint "$endpoint" rmi "$image"
' watchdog "$((DEADLINE + 5))" </dev/null >/dev/null 2>&1 &
watchdog=$!

# The hook comes before DNAT, so that the address is the one that was dialled.
$ROOT nft add table inet "$table" || exit
$ROOT nft add set inet "$table" seen '{ type ipv4_addr . inet_service; flags dynamic; size 4096; }' || exit
$ROOT nft add set inet "$table" seen6 '{ type ipv6_addr . inet_service; flags dynamic; size 4096; }' || exit
$ROOT nft add chain inet "$table" out '{ type filter hook output priority -300; }' || exit

# The cgroup of each containerd of the node; nothing where one is none of those that units of packages, k3s and RKE2 have.
cgroups_of_containerds() {
    containerds || return
    for process in $found; do
        cgroup=$(told "$process" CGROUP | tr '\1' '\n' | sed -n 's,^0::/,,p')
        case $cgroup in
        system.slice/containerd.service | system.slice/docker.service) ;;
        system.slice/k3s.service | system.slice/k3s-agent.service) ;;
        system.slice/rke2-server.service | system.slice/rke2-agent.service) ;;
        *) return 1 ;;
        esac
        printf '%s\n' "$cgroup"
    done
}
seen_of() {
    for known in system.slice/containerd.service system.slice/docker.service \
        system.slice/k3s.service system.slice/k3s-agent.service \
        system.slice/rke2-server.service system.slice/rke2-agent.service; do
        [ "$known" = "$1" ] || continue
        $ROOT nft add rule inet "$table" out "socket cgroupv2 level 2 \"$known\"" \
            'tcp flags & (syn | ack) == syn update @seen { ip daddr . tcp dport }' &&
            $ROOT nft add rule inet "$table" out "socket cgroupv2 level 2 \"$known\"" \
                'tcp flags & (syn | ack) == syn update @seen6 { ip6 daddr . tcp dport }'
    done
} 2>/dev/null
scope=host
if cgroups=$(cgroups_of_containerds 2>/dev/null) && [ -n "$cgroups" ]; then
    scope=containerd
    for cgroup in $(printf '%s\n' "$cgroups" | sort -u); do seen_of "$cgroup" || scope=host; done
fi
if [ $scope = host ]; then
    $ROOT nft add rule inet "$table" out 'tcp flags & (syn | ack) == syn update @seen { ip daddr . tcp dport }' || exit
    $ROOT nft add rule inet "$table" out 'tcp flags & (syn | ack) == syn update @seen6 { ip6 daddr . tcp dport }' || exit
fi

echo '== siteproof pull'
# containerd dials for half a minute, and since 2.x again and again. Whom it has dialled until then is the answer: so the
# pull is not waited for to the end of the time that there is. What it says comes at its end or not at all, and in one piece.
patience=$((DEADLINE - 10 - ($(date +%s) - now)))
[ "$patience" -ge 3 ] || patience=3
# The pull and what ends it are one session, so that nobody else can have its number.
# shellcheck disable=SC2016 # its own shell puts them in
setsid sh -c '
    { sleep "$1"; kill 0; } </dev/null >/dev/null 2>&1 &
    said=$($ROOT crictl --runtime-endpoint "$endpoint" --image-endpoint "$endpoint" pull "$image" 2>&1)
    status=$?
    printf "%s\n\n== siteproof status\n%s\n" "$said" "$status"
    [ "$status" = 0 ] || exit 75
' pull "$patience" </dev/null &
pulling=$! late=yes
# Some shells say that it was terminated.
{ wait "$pulling"; } 2>/dev/null
pulled=$?
case $pulled in
0 | 75) kill -- "-$pulling" 2>/dev/null; late= ;;
143 | 271) printf '\n== siteproof status\nlate %s\n' "$patience" ;; # ksh counts from 256
*) echo "the shell that pulled ended with status $pulled" >&2; exit 1 ;;
esac
pulling=
printf '== siteproof scope\n%s\n== siteproof present\n%s\n' "$scope" "$present"
# Only in this run there is a table of this name.
printf '== siteproof table\n%s\n== siteproof seen\n' "$table"
$ROOT nft -j list table inet "$table" || exit
printf '\n== siteproof end\n'
[ "$pulled" = 0 ] || exit 75
