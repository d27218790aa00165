# Create a service on an overlay, see how far its tasks come, remove it. Given: $kind (`allocate` or `deploy`),
# $replicas, $ROOT, $NONCE, $DEADLINE, and `create`, which creates it with the words of the positional parameters.
#
# The service goes when the script ends, however it ends. Should it be killed, the watchdog, in a session of its own,
# takes it away after the deadline; should that be killed too, the next run finds in the service's name the moment when
# it should have gone.
clock() {
    moment=$(date +%s)
    case $moment in '' | *[!0-9]*) echo "date gave no moment: $moment" >&2; exit 1 ;; esac
}
clock
now=$moment
until=$((now + DEADLINE + 10))
name=siteproof_${NONCE}_${kind}_$until

# Only a name that is ours to the letter is taken for one.
hex='[0-9a-f][0-9a-f][0-9a-f][0-9a-f]' digits='[0-9][0-9][0-9][0-9][0-9]'
$ROOT docker -H unix:///var/run/docker.sock service ls --filter name=siteproof_ --format '{{.Name}}' | while read -r old; do
    # shellcheck disable=SC2254 # a form, not one name
    case $old in
    siteproof_$hex$hex${hex}_allocate_$digits$digits | siteproof_$hex$hex${hex}_deploy_$digits$digits)
        [ "${old##*_}" -lt "$now" ] && $ROOT docker -H unix:///var/run/docker.sock service rm "$old"
        ;;
    esac
done >/dev/null 2>&1

give_back() {
    trap '' HUP INT TERM PIPE
    $ROOT docker -H unix:///var/run/docker.sock service rm "$name"
    [ -n "$watchdog" ] && kill -- "-$watchdog"
} >/dev/null 2>&1
trap give_back EXIT
trap 'exit 143' HUP INT TERM PIPE
export name
setsid sh -c '
    sleep "$1"
    $ROOT docker -H unix:///var/run/docker.sock service rm "$name"
' watchdog "$((DEADLINE + 5))" </dev/null >/dev/null 2>&1 &
watchdog=$!

printf '\n== siteproof created\n'
create "$@" || exit
# Asked by another tool for the name that only this run has: what docker gives again of an earlier run is not there.
printf '\n== siteproof known\n'
$ROOT curl -q -sS --max-time "$DEADLINE" --unix-socket /var/run/docker.sock "http://docker/services/$name" || exit

tasks() { $ROOT docker -H unix:///var/run/docker.sock service ps --no-trunc --format '{{.ID}} {{.CurrentState}} {{.Error}}' "$name"; }
count() { printf '%s\n' "$seen" | grep -c "^[^ ]* $1"; }
wanted=Pending
[ "$kind" = deploy ] && wanted=Running
settled=0 before=
while clock && [ "$moment" -lt $((now + DEADLINE)) ]; do
    seen=$(tasks)
    reached=$(count "$wanted")
    [ "$reached" = "$replicas" ] && break
    [ "$kind" = deploy ] && [ "$(count Failed)$(count Rejected)$(count Complete)" != 000 ] && break
    # The allocator works in batches: it has given what it has once nothing has moved for a while.
    if [ "$kind" = allocate ]; then
        if [ "$reached" = "$before" ] && [ "$reached" != 0 ]; then settled=$((settled + 1)); else settled=0; fi
        [ $settled -ge 5 ] && break
        before=$reached
    fi
    sleep 0.4
done
clock
printf '\n== siteproof tasks\n%s\n== siteproof seconds\n%s\n' "$seen" "$((moment - now))"
# Its addresses are free again only once its tasks are gone, which takes the agents a moment.
give_back
tries=0
task=${seen%% *}
case $task in *[!0-9a-z]* | '') tries=25 ;; esac
while [ $tries -lt 25 ] && $ROOT docker -H unix:///var/run/docker.sock inspect --type task "$task" >/dev/null 2>&1; do
    tries=$((tries + 1))
    sleep 0.2
done
printf '\n== siteproof end\n'
