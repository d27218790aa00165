# Print what decides where containerd pulls from. Given: $ROOT, `owned`, `containerds`.
#
# The running process says which binary and which configuration file it is of. What root is to read or run lies where
# packages, k3s, RKE2 and dockerd put it, so that the words are fixed; whatever lies elsewhere is read with the login
# user's own rights. All of it must be root's alone to change: a file that others can put there may be a link to any other.
#
# Lines come with a bar before them: what has none was not printed by the tool that was to read the file. Secrets stay on
# the host: credentials, authorization headers, and the user of a proxy's URL.
shown() {
    header='[Aa][Uu][Tt][Hh][Oo][Rr][Ii][Zz][Aa][Tt][Ii][Oo][Nn].\{0,1\}[[:space:]]*='
    # One whose value goes over several lines loses all but the first, and that its value.
    sed -e '/^| [[:space:]]*\(password\|auth\|identity_\{0,1\}token\|username\)[[:space:]]*=/d' \
        -e "/${header}[^]]*\[[^]]*\$/,/\]/{/$header/!d;}" -e "s/^\(| .*$header\).*/\1 \"hidden\"/"
}

echo '== siteproof runtime'
runtime=$($ROOT crictl --runtime-endpoint "$endpoint" --image-endpoint "$endpoint" version) || exit
printf '%s\n' "$runtime"
containerds || exit

config_of() {
    config=/etc/containerd/config.toml given='' listens='' previous=
    while IFS= read -r word; do
        case $word in --config=* | -config=*) config=${word#*=} given=yes ;; esac
        case $previous in -c | --config | -config) config=$word given=yes ;; esac
        case $word in --address=* | -address=*) listens=${word#*=} ;; esac
        case $previous in -a | --address | -address) listens=$word ;; esac
        previous=$word
    done <<ARGUMENTS
$(lines_of "$1" | sed '1,/^SITEPROOF_ARGUMENTS=$/d;/^SITEPROOF_ENVIRONMENT=$/,$d')
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
    "/var/lib/rancher/k3s/data/current/bin/containerd /var/lib/rancher/k3s/agent/etc/containerd/config.toml")
        $ROOT /var/lib/rancher/k3s/data/current/bin/containerd \
            --config /var/lib/rancher/k3s/agent/etc/containerd/config.toml config dump
        ;;
    "/var/lib/rancher/rke2/bin/containerd /var/lib/rancher/rke2/agent/etc/containerd/config.toml")
        $ROOT /var/lib/rancher/rke2/bin/containerd \
            --config /var/lib/rancher/rke2/agent/etc/containerd/config.toml config dump
        ;;
    *) "$1" --config "$2" config dump ;;
    esac
}

# What it says of a file that it cannot read is not passed on: it may quote it.
dumped_by() {
    dumped=$(dump "$1" "$2" 2>/dev/null) && return
    echo "containerd config dump ended with status $?" >&2
    dump "$1" "$2" 2>&1 >/dev/null | sed -n '/^sudo: /p' >&2
    return 1
}

# All of the configuration file at $1; of a dump, nobody can tell what stands in it.
main_file() {
    for known in /etc/containerd/config.toml /var/run/docker/containerd/containerd.toml \
        /var/lib/rancher/k3s/agent/etc/containerd/config.toml /var/lib/rancher/rke2/agent/etc/containerd/config.toml; do
        [ "$known" = "$1" ] || continue
        $ROOT cat $known
        return
    done
    cat "$1"
}

# The files and patterns that the configuration file $1 imports, a line each; $2 is the dump. Before 2.0 it lists the files
# that were read, and no pattern. Since 2.2 it has the default pattern always, and only a file that names it imports it;
# without any file nothing is imported.
imports_of() {
    [ -z "$without_file" ] || return 0
    listed_imports=$(printf '%s\n' "$2" | grep '^imports = \[.*\]$') ||
        { echo "containerd does not say which files it imports" >&2; return 1; }
    listed_imports=${listed_imports#*[}
    main=$(main_file "$1") || return
    named=$(printf '%s\n' "$main" | sed -n -e 's/[[:space:]]#.*//' -e '/^[[:space:]]*imports[[:space:]]*=/,/\]/p' |
        tr '\n' ' ' | sed -e 's/^[^[]*\[//' -e 's/\].*//')
    seen=
    { printf '%s\n' "${listed_imports%]}" | tr ',' '\n'
      printf '%s\n' "$named" | tr ',' '\n' | sed 's/^/named/'; } |
        sed -n "s/^\(named\)\{0,1\}[[:space:]]*[\"']\(.*\)[\"'][[:space:]]*\$/\1\2/p" | while IFS= read -r imported; do
        case $imported in
        named*) imported=${imported#named} ;;
        '/etc/containerd/conf.d/*.toml') case $named in *"$imported"*) ;; *) continue ;; esac ;;
        esac
        case $imported in
        "$1") continue ;;
        /*) ;;
        *'*'*)
            case $runtime in *'RuntimeVersion: '*[\ v]1.*)
                echo "$imported is imported from where containerd was started" >&2; exit 1 ;;
            esac
            imported=${1%/*}/$imported ;;
        *) imported=${1%/*}/$imported ;;
        esac
        case ${imported%/*} in *'*'*) echo "$imported: a directory's name is a pattern" >&2; exit 1 ;; esac
        case $seen in *"|$imported|"*) continue ;; esac
        seen="$seen|$imported|"
        printf '%s\n' "$imported"
    done
}

# Whatever is in the directory $1, and itself: when it was written and changed, what it is, and its path.
dated() {
    for place in /etc/containerd /etc/containerd/conf.d /etc/containerd/config.d /var/run/docker/containerd \
        /var/lib/rancher/k3s/agent/etc/containerd /var/lib/rancher/k3s/agent/etc/containerd/config.toml.d \
        /var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.d \
        /var/lib/rancher/rke2/agent/etc/containerd /var/lib/rancher/rke2/agent/etc/containerd/config.toml.d \
        /var/lib/rancher/rke2/agent/etc/containerd/config-v3.toml.d; do
        [ "$place" = "$1" ] || continue
        $ROOT find -L $place -maxdepth 1 -printf '%T@ %C@ %y %p\n'
        return
    done
    find -L "$1" -maxdepth 1 -printf '%T@ %C@ %y %p\n'
}

# Which files the configuration at $1 is of, with their times: itself, and what matches the patterns $2. A line that
# begins with `times` is of a file, with when it was written, one with `changed` of what may hide that.
files_of() {
    printf '%s\n%s\n' "$1" "$2" | while IFS= read -r wanted; do
        [ -n "$wanted" ] || continue
        directory=${wanted%/*} matched=
        why=$(owned "$directory" 2>&1) || case $? in
        2) case $wanted:$without_file in *'*'*:* | *:yes) continue ;; esac ;;
        *) printf '%s\n' "$why" >&2; exit 1 ;;
        esac
        entries=$(dated "$directory" 2>&1) || {
            case $wanted:$entries in *'*'*":find: '$directory': No such file or directory") continue ;; esac
            printf '%s\n' "$entries" >&2
            exit 1
        }
        case $wanted in *'*'*) matched=yes ;; esac
        while read -r written changed kind path; do
            # shellcheck disable=SC2254 # it is a pattern
            case $kind:$path in
            d:"$directory")
                case $wanted:$without_file in *'*'*:* | *:yes) printf 'changed %s d %s\n' "$written" "$path" ;; esac ;;
            *:$wanted)
                case ${path#"$directory/"} in */*) continue ;; esac
                owned "$path" || exit 1
                matched=yes
                printf 'times %s %s\nchanged %s f %s\n' "$written" "$path" "$changed" "$path" ;;
            esac
        done <<ENTRIES
$entries
ENTRIES
        [ -n "$matched$without_file" ] || { echo "$wanted is not there any more" >&2; exit 1; }
    done
}

# Docker may run a containerd of its own, without the CRI plugin.
chosen=
for process in $found; do
    config_of "$process"
    without_file=''
    why=$(owned "$config" 2>&1) || case $?:$given in
    2:) without_file=yes ;; # containerd then takes its defaults, unless it was told of a file
    *) printf '%s\n' "$why" >&2; exit 1 ;;
    esac
    dumped_by "${process#*=}" "$config" || exit 1
    imported=$(imports_of "$config" "$dumped") || exit 1
    case $(printf '%s\n' "$dumped" | sed -n '/^disabled_plugins.*]/p;/^disabled_plugins[^]]*$/,/]/p') in
    *'"cri"'* | *"'cri'"* | *.cri[\"\']* | *.cri.*) continue ;;
    esac
    [ -z "$chosen" ] || { echo "several processes called containerd offer the CRI" >&2; exit 1; }
    chosen=$process configuration=$dumped settings=$config socket=$listens imports=$imported defaults=$without_file
done
if [ -z "$chosen" ]; then
    passed=$(printf '%s\n' "$listed" | sed -n 's/^SITEPROOF_PASSED=//p' | head -n 3 | tr '\n' ';')
    echo "no process called containerd offers the CRI${passed:+, not counting process $passed}" >&2
    exit 1
fi

# Else the answers would be of two daemons.
[ -n "$socket" ] || socket=$(printf '%s\n' "$configuration" |
    sed -n -e "/^\[grpc\]/,/^\[/s/^[[:space:]]*address = [\"']\(.*\)[\"']\$/\1/p" \
        -e "/server\.v1\.grpc[\"']\]/,/\[/s/^[[:space:]]*address = [\"']\(.*\)[\"']\$/\1/p" | head -n 1)
case $socket in /var/run/*) socket=${socket#/var} ;; esac
[ "unix://$socket" = "$endpoint" ] || {
    printf 'crictl is asked at %s, and the containerd that offers the CRI listens at %.200s\n' "$endpoint" "$socket" >&2
    exit 1
}

# Nothing of a configuration is shown of which others than root may say what it is.
without_file=$defaults
files=$(files_of "$settings" "$imports") || exit

printf '\n== siteproof config\n'
printf '%s\n' "$configuration" | sed 's/^/| /' | shown || exit
printf '\n== siteproof environment\n'
# The line of ours, which comes after the last variable, shows that none was lost on the way.
lines_of "$chosen" | sed -n -e '1,/^SITEPROOF_ENVIRONMENT=$/d' -e 's|=\([a-zA-Z0-9+.-]*://\)\{0,1\}.*@|=\1|' \
    -e '/^\(https\{0,1\}\|no\|HTTPS\{0,1\}\|NO\)_\(proxy\|PROXY\)=/s/^/| /p' \
    -e 's/^SITEPROOF_END=.*/| SITEPROOF_END=/p' || exit

printf '\n== siteproof times\n'
read -r uptime _ </proc/uptime
printf '%s %s %s\n' "$(date +%s)" "${uptime%.*}" "$(started "$(told "$chosen" BEGUN)")"
printf '%s\n' "$files" | sed -n 's/^times //p'
case $settings in /var/lib/rancher/*)
    $ROOT find -L /etc/rancher -mindepth 2 -maxdepth 2 -name registries.yaml -printf '%T@ %p\n' || exit ;;
esac
printf '\n== siteproof changed\n'
printf '%s\n' "$files" | sed -n 's/^changed //p'
[ -z "$defaults" ] || printf '\n== siteproof defaults\n%s\n' "$settings"

# What others than root may change below the directory is named, and not looked into: so `-depth`, which would put the
# directory itself last, is not to be had. That find began it says itself, by naming the directory; that it came to its end,
# its status; that all of a file was read, the file's `whole`. There is one starting point with the depth right behind it,
# and no other word is a path, not even the end of sed's (`\x20` is a blank): whoever joins the words anew would have find
# start there, without any depth (see root_tools).
{
    printf '%s\n' "$configuration" | sed -n "s/^[[:space:]]*config_path = [\"']\(.*\)[\"']\$/\1/p"
    # Since 2.2 these are the default, which the dump need not show.
    case $(printf '%s\n' "$runtime" | sed -n 's/^RuntimeVersion:[[:space:]]*v\{0,1\}//p') in
    2.[2-9]* | 2.1[0-9]* | [3-9].*) echo /etc/containerd/certs.d:/etc/docker/certs.d ;;
    esac
} | tr ':' '\n' | {
    before=
    while IFS= read -r wanted; do
        wanted=${wanted%/}
        [ -n "$wanted" ] || continue
        case "$before|" in *"|$wanted|"*) continue ;; esac
        before="$before|$wanted" status=
        why=$(owned "$wanted" 2>&1) || [ $? = 2 ] || { printf '%s\n' "$why" >&2; exit 1; }
        for root in /etc/containerd/certs.d /etc/docker/certs.d \
            /var/lib/rancher/k3s/agent/etc/containerd/certs.d /var/lib/rancher/rke2/agent/etc/containerd/certs.d; do
            [ "$root" = "$wanted" ] || continue
            listed=$($ROOT find -L $root -maxdepth 2 \
                '(' -xtype l -printf '\n== siteproof link %p\n' -o -true ')' \
                '(' '(' -type d -o -name hosts.toml -type f ')' '(' ! -user 0 -o -perm -020 -o -perm -002 ')' \
                -printf '\n== siteproof foreign %p\n' -prune \
                -o -type d -printf '\n== siteproof directory %p\n' \
                -o -name hosts.toml -type f -printf '\n== siteproof hosts %s %h\n' -exec sed 's/^/|\x20/' '{}' ';' \
                -printf '\n== siteproof whole %h\n' \
                -o '(' -name '*.crt' -o -name '*.cert' ')' -printf '\n== siteproof certificate %p\n' ')' 2>&1)
            status=$?
        done
        if [ -z "$status" ]; then
            listed=$(find -L "$wanted" -maxdepth 2 \
                '(' -xtype l -printf '\n== siteproof link %p\n' -o -true ')' \
                '(' '(' -type d -o -name hosts.toml -type f ')' '(' ! -user 0 -o -perm -020 -o -perm -002 ')' \
                -printf '\n== siteproof foreign %p\n' -prune \
                -o -type d -printf '\n== siteproof directory %p\n' \
                -o -name hosts.toml -type f -printf '\n== siteproof hosts %s %h\n' -exec sed 's/^/|\x20/' '{}' ';' \
                -printf '\n== siteproof whole %h\n' \
                -o '(' -name '*.crt' -o -name '*.cert' ')' -printf '\n== siteproof certificate %p\n' ')' 2>&1)
            status=$?
        fi
        missing="No such file or directory"
        if [ "$listed" = "find: '$wanted': $missing" ]; then
            printf '\n== siteproof absent %s\n' "$wanted"
            continue
        elif [ "$status" != 0 ]; then
            printf '%s\n' "$listed" >&2
            exit 1
        fi
        links=$(printf '%s\n' "$listed" | sed -n 's/^== siteproof link //p')
        while IFS= read -r link; do
            [ -z "$link" ] || why=$(owned "$link" 2>&1) || [ $? = 2 ] || { printf '%s\n' "$why" >&2; exit 1; }
        done <<LINKS
$links
LINKS
        printf '%s\n' "$listed" | shown || exit
    done
} || exit
printf '\n== siteproof end\n'
