# Print what decides where containerd pulls from. Given: $ROOT.
#
# The running process says which binary and which configuration file it is of. What root is to read or run lies where
# packages, k3s, RKE2 and dockerd put it, so that the words are fixed; whatever lies elsewhere is read with the login
# user's own rights. No configuration of another's making is given to a binary that runs as root.
#
# Lines come with a bar before them: what has none was not printed by the tool that was to read the file. Secrets stay on
# the host: credentials, authorization headers, and the user of a proxy's URL.
shown() {
    sed -e '/^| [[:space:]]*\(password\|auth\|identity_\{0,1\}token\|username\)[[:space:]]*=/d' \
        -e 's/^\(| .*[Aa]uthorization["'"'"']*[[:space:]]*=\).*/\1 "hidden"/'
}

echo '== siteproof runtime'
$ROOT crictl version || exit

# Process, binary and environment of each containerd. find goes on to END only where the others did what they should,
# and fails where a process has gone before it was looked at: whichever that was, the next try tells.
for try in 1 2 3 4 5; do
    processes=$(
        {
            $ROOT find /proc -ignore_readdir_race -mindepth 1 -maxdepth 1 -name '[1-9]*' \
                -exec grep -qsx containerd '{}/comm' ';' -printf '\nSITEPROOF_PROCESS=%f=' \
                -exec readlink '{}/exe' ';' -exec cat '{}/environ' ';' -printf '\nSITEPROOF_END=%f\n' &&
                echo SITEPROOF_ALL=
        } | tr '\0' '\n'
    )
    case $processes in *SITEPROOF_ALL=) break ;; esac
done
case $processes in *SITEPROOF_ALL=) ;; *) exit 1 ;; esac

config_of() {
    config=/etc/containerd/config.toml previous=
    arguments=$(tr '\0' '\n' <"/proc/$1/cmdline") && [ -n "$arguments" ] || exit
    while IFS= read -r word; do
        case $word in --config=* | -config=*) config=${word#*=} ;; esac
        case $previous in -c | --config | -config) config=$word ;; esac
        previous=$word
    done <<ARGUMENTS
$arguments
ARGUMENTS
}

dump() {
    for package in /usr/bin/containerd /usr/local/bin/containerd; do
        for file in /etc/containerd/config.toml /var/run/docker/containerd/containerd.toml; do
            [ "$1 $2" = "$package $file" ] || continue
            $ROOT $package --config $file config dump
            return
        done
    done
    case "$1 $2" in
    "/var/lib/rancher/k3s/"*" /var/lib/rancher/k3s/agent/etc/containerd/config.toml")
        same "$1" "$($ROOT readlink -f /var/lib/rancher/k3s/data/current/bin/containerd)" &&
            $ROOT /var/lib/rancher/k3s/data/current/bin/containerd \
                --config /var/lib/rancher/k3s/agent/etc/containerd/config.toml config dump
        ;;
    "/var/lib/rancher/rke2/"*" /var/lib/rancher/rke2/agent/etc/containerd/config.toml")
        same "$1" "$($ROOT readlink -f /var/lib/rancher/rke2/bin/containerd)" &&
            $ROOT /var/lib/rancher/rke2/bin/containerd \
                --config /var/lib/rancher/rke2/agent/etc/containerd/config.toml config dump
        ;;
    *) "$1" --config "$2" config dump ;;
    esac
}
same() {
    [ "$1" = "$2" ] || { echo "containerd runs from $1, and $2 is what is installed" >&2; return 1; }
}

# Docker may run a containerd of its own, without the CRI plugin.
process=
for found in $(printf '%s\n' "$processes" | sed -n 's/^SITEPROOF_PROCESS=//p'); do
    number=${found%%=*}
    config_of "$number"
    dumped=$(dump "${found#*=}" "$config") || exit
    case $(printf '%s\n' "$dumped" | sed -n '/^disabled_plugins/,/\]/p') in
    *'"cri"'* | *"'cri'"* | *.cri[\"\']* | *.cri.*) continue ;;
    esac
    [ -z "$process" ] || { echo "several processes called containerd offer the CRI" >&2; exit 1; }
    process=$number chosen=$dumped settings=$config
done
[ -n "$process" ] || { echo "no process called containerd offers the CRI" >&2; exit 1; }

printf '\n== siteproof config\n'
printf '%s\n' "$chosen" | sed 's/^/| /' | shown || exit
printf '\n== siteproof environment\n'
# The line of ours, which comes after the last variable, shows that none was lost on the way.
printf '%s\n' "$processes" | sed -n -e "/^SITEPROOF_PROCESS=$process=/,/^SITEPROOF_END=$process\$/{" \
    -e 's,//[^/@]*@,//,' -e '/^\(https\{0,1\}\|no\|HTTPS\{0,1\}\|NO\)_\(proxy\|PROXY\)=/s/^/| /p' \
    -e 's/^SITEPROOF_END=.*/| SITEPROOF_END=/p' -e '}' || exit

printf '\n== siteproof times\n'
read -r uptime _ </proc/uptime
read -r stat <"/proc/$process/stat"
set -- ${stat##*) }
shift 19
printf '%s %s %s\n' "$(date +%s)" "${uptime%.*}" "$1"
known=
for written in /etc/containerd/config.toml /var/run/docker/containerd/containerd.toml \
    /var/lib/rancher/k3s/agent/etc/containerd/config.toml /var/lib/rancher/rke2/agent/etc/containerd/config.toml; do
    [ "$written" = "$settings" ] || continue
    known=yes
    $ROOT find -L $written -maxdepth 0 -printf '%T@ %p\n' || exit
done
[ -n "$known" ] || find -L "$settings" -maxdepth 0 -printf '%T@ %p\n' || exit
case $settings in /var/lib/rancher/*)
    $ROOT find -L /etc/rancher -mindepth 2 -maxdepth 2 -name registries.yaml -printf '%T@ %p\n' || exit ;;
esac

# The directory itself comes last and shows that find came to its end, each file's `whole` that all of it was read.
printf '%s\n' "$chosen" | sed -n "s/^[[:space:]]*config_path = [\"']\(.*\)[\"']\$/\1/p" | tr ':' '\n' | {
    before=
    while IFS= read -r wanted; do
        wanted=${wanted%/}
        case "$before|" in "$wanted|" | *"|$wanted|"*) continue ;; esac
        before="$before|$wanted" status=
        for root in /etc/containerd/certs.d /etc/docker/certs.d \
            /var/lib/rancher/k3s/agent/etc/containerd/certs.d /var/lib/rancher/rke2/agent/etc/containerd/certs.d; do
            [ "$root" = "$wanted" ] || continue
            listed=$($ROOT find -L $root -depth -maxdepth 2 -name hosts.toml -type f \
                -printf '\n== siteproof hosts %s %h\n' -exec sed 's/^/| /' '{}' ';' -printf '\n== siteproof whole %h\n' \
                , -type d -printf '\n== siteproof directory %p\n' 2>&1)
            status=$?
        done
        if [ -z "$status" ]; then
            listed=$(find -L "$wanted" -depth -maxdepth 2 -name hosts.toml -type f \
                -printf '\n== siteproof hosts %s %h\n' -exec sed 's/^/| /' '{}' ';' -printf '\n== siteproof whole %h\n' \
                , -type d -printf '\n== siteproof directory %p\n' 2>&1)
            status=$?
        fi
        if [ "$listed" = "find: '$wanted': No such file or directory" ]; then
            printf '\n== siteproof absent %s\n' "$wanted"
        elif [ "$status" != 0 ]; then
            printf '%s\n' "$listed" >&2
            exit 1
        else
            printf '%s\n' "$listed" | shown || exit
        fi
    done
} || exit
printf '\n== siteproof end\n'
