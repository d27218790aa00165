# Print what decides where containerd pulls from. Given: $ROOT.
#
# The running process says which binary and which configuration file it is of, so that k3s and RKE2 need no paths of their
# own. Lines come with a bar before them: what has none was not printed by the tool that was to read the file. Secrets
# stay on the host: credentials, authorization headers, and the user of a proxy's URL.
echo '== siteproof runtime'
$ROOT crictl version || exit
$ROOT sh -s <<'SITEPROOF'
shown() {
    sed -e '/^[[:space:]]*\(password\|auth\|identity_\{0,1\}token\|username\)[[:space:]]*=/d' \
        -e 's/\([Aa]uthorization["'"'"']*[[:space:]]*=\).*/\1 "hidden"/' -e 's/^/| /' "$@"
}
written() { printf '%s %s\n' "$(stat -c %Y "$1")" "$1"; }

config_of() {
    config=/etc/containerd/config.toml previous=
    while IFS= read -r word; do
        case $word in --config=* | -config=*) config=${word#*=} ;; esac
        case $previous in -c | --config | -config) config=$word ;; esac
        previous=$word
    done <<ARGUMENTS
$(tr '\0' '\n' <"$1/cmdline")
ARGUMENTS
}

# Docker may run a containerd of its own, without the CRI plugin.
process=
for directory in /proc/[0-9]*; do
    { read -r name <"$directory/comm"; } 2>/dev/null && [ "$name" = containerd ] || continue
    config_of "$directory"
    dumped=$("$directory/exe" --config "$config" config dump) || exit
    case $(printf '%s\n' "$dumped" | sed -n '/^disabled_plugins/,/\]/p') in
    *'"cri"'* | *"'cri'"* | *.cri[\"\']* | *.cri.*) continue ;;
    esac
    [ -z "$process" ] || { echo "several processes called containerd offer the CRI" >&2; exit 1; }
    process=$directory dump=$dumped settings=$config
done
[ -n "$process" ] || { echo "no process called containerd offers the CRI" >&2; exit 1; }

printf '\n== siteproof config\n'
printf '%s\n' "$dump" | shown || exit
printf '\n== siteproof environment\n'
# The line of ours, which comes after the last variable, shows that none was lost on the way.
[ -r "$process/environ" ] || exit
printf '\0SITEPROOF_END=\n' | cat "$process/environ" - | tr '\0' '\n' |
    sed -n -e 's,//[^/@]*@,//,' -e '/^\(https\{0,1\}\|no\|HTTPS\{0,1\}\|NO\)_\(proxy\|PROXY\)=/s/^/| /p' \
        -e 's/^SITEPROOF_END=$/| &/p' || exit

printf '\n== siteproof times\n'
read -r uptime _ </proc/uptime
read -r stat <"$process/stat"
set -- ${stat##*) }
shift 19
printf '%s %s %s\n' "$(date +%s)" "${uptime%.*}" "$1"
for file in "$settings" /etc/rancher/k3s/registries.yaml /etc/rancher/rke2/registries.yaml; do
    [ -e "$file" ] && written "$file"
done

roots=$(printf '%s\n' "$dump" | sed -n "s/^[[:space:]]*config_path = [\"']\(.*\)[\"']\$/\1/p" | tr ':' '\n')
for root in $roots; do
    for directory in "$root"/*/; do
        [ -d "$directory" ] || continue
        file=${directory}hosts.toml
        if [ ! -e "$file" ]; then printf '\n== siteproof without %s\n' "${directory%/}"
        elif [ ! -s "$file" ]; then printf '\n== siteproof empty %s\n' "${directory%/}"
        else printf '\n== siteproof hosts %s\n' "${directory%/}"; shown "$file" || exit
        fi
    done
done
printf '\n== siteproof end\n'
SITEPROOF
