# The containerds that are this host's own. Given: $ROOT, and `owned`.
#
# Anybody's program may be called containerd, and a container may run a real one: a CI runner with Docker in it does. So
# a process counts that is root's, in the namespaces and under the root directory of PID 1, and whose binary is the very
# file that packages, k3s or RKE2 have installed, on a way that nobody else may change. Another user's or a container's
# is passed over. One of root's that is something else may be the node's all the same, and then nobody knows: it may lie
# elsewhere, or see other files at the same paths (a unit with PrivateTmp= and the like has mounts of its own). Of none of
# these the binary is run, or the environment read.
#
# `test -ef` compares what two paths lead to; its last question about namespaces cannot be answered yes, and shows that
# it works. NUL and newline change places, so that each word of a process is one line, and nothing in it is another. The
# time of the start, before and after, shows that no other process had the number meanwhile. `/proc` itself comes
# last and shows that find came to its end; a process that ended before it was looked at is none that runs. It is the one
# starting point, its depth right behind it, and no other word is a directory (`?proc`, /proc/1/root is a link): sudo
# compares joined words, and find would start there too, without the depth that somebody has joined to the first. Then it
# would come to where a process shows its own files.
containerds() {
    listed=$(
        {
            $ROOT find /proc -maxdepth 1 -depth -path '?proc' -printf 'SITEPROOF_ALL=\0' -o -name '[1-9]*' \
                -exec grep -qsx containerd '{}/comm' ';' \
                '(' -exec grep -Eqsx 'Uid:([[:space:]]+0){4}' '{}/status' ';' \
                -o -printf 'SITEPROOF_PASSED=%f is of another user\0' -false ')' \
                '(' -exec test '{}/ns/pid' -ef /proc/1/ns/pid ';' -exec test '{}/ns/cgroup' -ef /proc/1/ns/cgroup ';' \
                -exec test '{}/ns/user' -ef /proc/1/ns/user ';' ! -exec test '{}/ns/pid' -ef /proc/1/ns/user ';' \
                -exec test '{}/root' -ef /proc/1/root ';' \
                -o -printf 'SITEPROOF_PASSED=%f is of a container\0' -false ')' \
                '(' -exec test '{}/ns/mnt' -ef /proc/1/ns/mnt ';' \
                -o -printf 'SITEPROOF_UNSEEN=%f has mounts of its own, so that it may see other files\0' -false ')' \
                '(' -exec test '{}/exe' -ef /usr/bin/containerd ';' \
                -printf 'SITEPROOF_PROCESS=%f=/usr/bin/containerd\0' \
                -o -exec test '{}/exe' -ef /usr/local/bin/containerd ';' \
                -printf 'SITEPROOF_PROCESS=%f=/usr/local/bin/containerd\0' \
                -o -exec test '{}/exe' -ef /var/lib/rancher/k3s/data/current/bin/containerd ';' \
                -printf 'SITEPROOF_PROCESS=%f=/var/lib/rancher/k3s/data/current/bin/containerd\0' \
                -o -exec test '{}/exe' -ef /var/lib/rancher/rke2/bin/containerd ';' \
                -printf 'SITEPROOF_PROCESS=%f=/var/lib/rancher/rke2/bin/containerd\0' \
                -o -printf 'SITEPROOF_UNSEEN=%f is not of an installed binary:' \
                '(' -exec readlink '{}/exe' ';' -o -true ')' -printf '\0' -false ')' \
                -printf 'SITEPROOF_BEGUN=' -exec cat '{}/stat' ';' \
                -printf '\0SITEPROOF_CGROUP=' -exec cat '{}/cgroup' ';' \
                -printf '\0SITEPROOF_ARGUMENTS=\0' -exec cat '{}/cmdline' ';' \
                -printf '\0SITEPROOF_ENVIRONMENT=\0' \
                -printf 'SITEPROOF_ENDED=' -exec cat '{}/stat' ';' -printf '\0SITEPROOF_END=%f\0' 2>&1 >&3 |
                sed "/^find: '\/proc\/[0-9]*': No such file or directory\$/d" >&2
        } 3>&1 | tr '\0\n' '\n\1'
    )
    case $listed in *SITEPROOF_ALL=) ;; *) return 1 ;; esac
    found=$(printf '%s\n' "$listed" | sed -n 's/^SITEPROOF_PROCESS=//p')
    for process in $found; do
        begun=$(told "$process" BEGUN) ended=$(told "$process" ENDED)
        [ "$(started "$begun")" = "$(started "$ended")" ] ||
            { echo "process ${process%%=*} was another one before it was looked at" >&2; return 1; }
        owned "${process#*=}" || return 1
    done
    unseen=$(printf '%s\n' "$listed" | sed -n 's|binary:/|binary: /|;s/^SITEPROOF_UNSEEN=/process /p' | tr -cd '[:print:]\n')
    [ -z "$unseen" ] || { printf 'this may be the containerd of the node: %s\n' "$unseen" | tail -n 1 >&2; return 1; }
    filled=$(printf '%s\n' "$listed" | while IFS= read -r line; do
        printf '%s\n' "$line"
        case $line in
        SITEPROOF_PROCESS=*) process=${line#*=} ;;
        SITEPROOF_ENVIRONMENT=) proxies_of "$process" || exit 1 ;;
        esac
    done) || return 1
    listed=$filled
}

# The variables of one of them that name proxies, a line each. It is a command of its own that shows nothing else: sudo
# cannot keep to find's tests, since whoever joins them to the text of a -printf has none left. The time of the start
# stands before and after, so that these are the variables of this very process.
proxies_of() {
    pid=${1%%=*}
    shown=$({
        $ROOT grep -azEh -e '^[0-9]+.[(]containerd[)]' -e '^(http|https|no|HTTP|HTTPS|NO)_(proxy|PROXY)=' -- \
            "/proc/$pid/stat" "/proc/$pid/environ" "/proc/$pid/stat" </dev/null
        printf 'SITEPROOF_STATUS=%s' $?
    } | tr '\0\n' '\n\1')
    [ "$(printf '%s\n' "$shown" | tail -n 1)" = SITEPROOF_STATUS=0 ] || return 1
    before=$(printf '%s\n' "$shown" | sed -n 1p) after=$(printf '%s\n' "$shown" | tail -n 2 | sed -n 1p)
    begun=$(started "$(told "$1" BEGUN)")
    [ "$begun $begun" = "$(started "$before") $(started "$after")" ] ||
        { echo "process $pid was another one before it was looked at" >&2; return 1; }
    printf '%s\n' "$shown" | sed '1d;$d' | sed '$d'
}

# The lines of one of them; one of its parts.
lines_of() { printf '%s\n' "$listed" | sed -n "\\,^SITEPROOF_PROCESS=$1\$,,/^SITEPROOF_END=${1%%=*}\$/p"; }
told() { lines_of "$1" | sed -n "s/^SITEPROOF_$2=//p"; }

# What stands 22nd in /proc/PID/stat.
started() {
    set -f
    # shellcheck disable=SC2086 # one word for each number
    set -- ${1##*)}
    echo "${20}"
}
