# Who listens on port 53, and of each of them that is a dnsmasq, what it was started with and what its files say.
#
# Given: $ROOT; $settings and $names, extended regular expressions: which lines are of interest in dnsmasq's
# configuration, and in hosts files. Some have a hundred thousand others (blocklists).
#
# Files are read by the login user, and not by root: which they are, only the process's command line says. They are the
# process's own where it sees the same mounts as who reads them. Each is shown with the time of its last change, and
# what a directory holds is read whole: which of it counts is not decided here. A value that this script reads in another
# way than dnsmasq leaves a section missing, which is found where the answer is read.
begin() { printf '\n== siteproof %s\n' "$1"; }
there() { command -v "$1" >/dev/null; }

if there ss; then
    begin 'listening ss'
    listed=$($ROOT ss -Hlnptu) || exit
elif there netstat && [ -d /proc/1 ]; then
    begin 'listening netstat'
    listed=$($ROOT netstat -lnptu) || exit
elif there sockstat; then
    begin 'listening sockstat'
    listed=$($ROOT sockstat -46l) || exit
else
    echo 'siteproof: not on this host: ss' >&2
    exit 127
fi
listed=$(printf '%s\n' "$listed" | grep -E '[:.]53[[:space:]]')
[ $? -le 1 ] || exit
printf '%s\n' "$listed"

# `("dnsmasq",pid=12,fd=4)` of ss; `12/dnsmasq` of netstat.
pids=$(printf '%s\n' "$listed" | tr '(' '\n' |
    sed -n -e 's/^"dnsmasq",pid=\([0-9]*\),.*/\1/p' -e 's,.*[[:space:]]\([0-9][0-9]*\)/dnsmasq.*,\1,p' | sort -un)

# cat's own start is now: so the times of the others are told without the host's uptime, which containers are shown wrong.
begin now
date +%s
[ ! -d /proc/1 ] || cat /proc/self/stat || exit

shown='|' count=0
once() {
    case $shown in *"|$1|"*) return 1 ;; esac
    shown="$shown$1|" count=$((count + 1))
    [ $count -le 500 ] || { echo 'dnsmasq has more than 500 files' >&2; exit 1; }
}
# Seconds since the epoch: when it was written, and when anything of it changed, e.g. which file has the name.
changed() {
    if there stat; then
        stat -L -c '%Y %Z' "$1"
    else
        written=$(date -r "$1" +%s) && echo "$written $written"
    fi
}
# The lines of a file that match; what cannot be read is said.
lines() {
    matching=$(grep -iE -e "$3" "$2" 2>/dev/null)
    if [ $? -gt 1 ]; then
        begin "closed $2"
        return 1
    fi
    begin "$1 $2"
    changed "$2" || exit
    printf '%s\n' "$matching"
}
known() {
    if [ -d "$2" ]; then
        begin "directory $2"
        changed "$2" || exit
        for entry in "$2"/*; do
            [ ! -f "$entry" ] || printf '%s\n' "${entry##*/}"
        done
        for entry in "$2"/*; do
            [ ! -f "$entry" ] || "$1" "$entry"
        done
        return 0
    elif [ -e "$2" ]; then
        return 1
    else
        begin "nothing $2"
    fi
}
hosts() {
    once "$1" || return 0
    known hosts "$1" || lines hosts "$1" "$names" || return 0
}
# Who has which name now, without their hardware addresses.
leases() {
    once "$1" || return 0
    known leases "$1" && return
    [ -r "$1" ] || { begin "closed $1"; return; }
    begin "leases $1"
    changed "$1" || exit
    while read -r until _ address name _; do
        case $until in [0-9]*) printf '%s %s\n' "$address" "$name" ;; esac
    done <"$1"
}
settings_of() {
    once "$1" || return 0
    known settings_of "$1" && return
    lines settings "$1" "$settings" || return 0
    while IFS= read -r line; do
        case $line in *=*) ;; *) continue ;; esac
        value=${line#*=}
        value=${value#"${value%%[![:space:]]*}"}
        option "$(printf '%s' "${line%%=*}" | tr -d '[:space:]')" "$value"
    done <<LINES
$matching
LINES
}
option() {
    file=${2%%,*}
    file=${file%%[[:space:]]*} file=${file#\"} file=${file%\"}
    case $1 in
    -C | -7 | --conf-file | --conf-dir | --servers-file | conf-file | conf-dir | servers-file) settings_of "$file" ;;
    -H | --addn-hosts | --hostsdir | addn-hosts | hostsdir) hosts "$file" ;;
    -l | --dhcp-leasefile | dhcp-leasefile) leases "$file" ;;
    esac
}

for pid in $pids; do
    started=$(cat "/proc/$pid/cmdline" 2>/dev/null | tr '\0\n' '\n\1') || exit
    mounts=$(cat "/proc/$pid/mountinfo" 2>/dev/null)
    # A child that has served its connection is gone, or waits for its parent to hear of it.
    begun=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
    case $begun in *') Z '*) continue ;; esac
    begin "process $pid"
    printf '%s\n' "$begun"
    # The numbers of its mounts are those of no other namespace.
    if [ -n "$mounts" ] && [ "$mounts" = "$(cat /proc/self/mountinfo)" ]; then
        echo 'the same mounts'
    else
        echo 'other mounts'
    fi
    printf '%s\n' "$started"
    previous=
    while IFS= read -r word; do
        case $word in
        --*=*) option "${word%%=*}" "${word#*=}" ;;
        -[C7Hl]?*) option "${word%"${word#??}"}" "${word#??}" ;;
        [!-]*) option "$previous" "$word" ;;
        esac
        previous=$word
    done <<WORDS
$started
WORDS
done
if [ -n "$pids" ]; then
    settings_of /etc/dnsmasq.conf
    hosts /etc/hosts
    leases /var/lib/misc/dnsmasq.leases
fi
begin end
