# shellcheck shell=sh disable=SC2154 # what is given is not assigned here
# Look at HEAD of the repository in the working directory. Given: $owner, who it belongs to by number, and the patterns
# of secrets as the positional parameters.
#
# git is not run in the repository but in a git directory of our own, which has the repository's objects and nothing
# else of it: no configuration, and so no program, file, remote or attribute that this could name, no hook, no graft, no
# replacement, no promise that an object may be fetched. That holds for every version of git.

# A blob of zeros is small in a repository and has as many bytes as its owner likes, and git takes it into memory as a
# whole. Root's session is in no limits of the owner's, so it has its own: 1 GiB, and a git that wants more says that it
# failed. Where a shell or the host has no such limit, or a smaller one, the deadline is what remains.
ulimit -v 1048576 2>/dev/null || :

refuse() {
    printf 'siteproof: %s\n' "$1" >&2
    exit 3
}

# Nobody but the owner and root may have made what leads to the objects, or may let everybody change it.
own() {
    told=$(ls -dln -- "$1") || exit
    file=$1
    # shellcheck disable=SC2086
    set -- $told
    # What it leads to may be a file that only root can read, and its first line would be told.
    case $1 in l*) refuse "$file is a link, which is not followed" ;; esac
    case $3 in 0 | "$owner") ;; *) refuse "$file belongs to user $3, and the repository to user $owner" ;; esac
    # In a directory like /tmp everybody may make something, and nobody change what is another's.
    [ -n "$way" ] && case $1 in d???????w[tT]*) return ;; esac
    case $1 in ????????w*) refuse "everybody may write to $file" ;; esac
}
# $place becomes the real path of a directory, each step of which is looked at too.
place() {
    # What is no directory is not named: it may be a line of any file.
    place=$(cd -P -- "$1" 2>/dev/null && pwd -P) || refuse "what leads to the objects is no directory that can be entered"
    way= && own "$place"
    step=${place%/*}
    while [ -n "$step" ]; do
        way=yes && own "$step"
        step=${step%/*}
    done
    way=
}
first_line() {
    own "$1"
    [ -f "$1" ] || refuse "$1 is no file"
    IFS= read -r line <"$1" || [ -n "$line" ] || exit
}
set -f
way=
place .

if [ -d .git ]; then
    place .git
elif [ -f .git ]; then
    first_line .git
    case $line in 'gitdir: '?*) place "${line#gitdir: }" ;; *) refuse ".git is a file that leads nowhere" ;; esac
elif [ -f HEAD ] && [ -d objects ] && [ -d refs ]; then
    place .
else
    refuse "there is no git repository"
fi
directory=$place common=$place
if [ -f "$directory/commondir" ]; then
    first_line "$directory/commondir"
    case $line in /*) place "$line" ;; *) place "$directory/$line" ;; esac
    common=$place
fi
place "$common/objects" && objects=$place
if [ -f "$objects/info/alternates" ]; then
    own "$objects/info/alternates"
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        '' | '#'*) continue ;;
        '"'*) refuse "objects/info/alternates has a quoted path" ;;
        /*) place "$line" ;;
        *) place "$objects/$line" ;;
        esac
        [ ! -e "$place/info/alternates" ] || refuse "$place, where objects are borrowed, borrows some itself"
    done <"$objects/info/alternates"
fi

# HEAD is a commit, or the name of what is one.
first_line "$directory/HEAD" && head=$line
for _ in 1 2 3 4 5; do
    case $head in 'ref: refs/'?*) ref=${head#ref: } ;; *) break ;; esac
    case $ref in *..* | *[![:graph:]]*) refuse "HEAD names no branch" ;; esac
    head=
    if [ -f "$common/$ref" ]; then
        first_line "$common/$ref" && head=$line
    elif [ -f "$common/packed-refs" ]; then
        own "$common/packed-refs"
        found=$(grep -F -e " $ref" -- "$common/packed-refs")
        while read -r id name; do [ "$name" != "$ref" ] || head=$id; done <<PACKED
$found
PACKED
    fi
done
case ${#head}$head in
*[!0-9a-f]*) head= ;;
40*) version=0 format= ;;
64*) version=1 format='[extensions] objectFormat = sha256' ;;
*) head= ;;
esac
[ -n "$head" ] || [ ! -e "$common/reftable" ] || refuse "it keeps its branches in a reftable, which is not read"
[ -n "$head" ] || refuse "HEAD has no commit"

# A run that was killed may have left its own; no other that runs now is as old.
find /tmp -maxdepth 1 -name 'siteproof_git.??????' -type d -user "$(id -u)" -mmin +60 -exec rm -rf -- '{}' ';' 2>/dev/null
trap 'rm -rf -- "$made"' EXIT
trap 'exit 143' HUP INT TERM PIPE
made=$(mktemp -d /tmp/siteproof_git.XXXXXX) && mkdir "$made/refs" && echo 'ref: refs/heads/none' >"$made/HEAD" || exit
# One file at a time, and of a pack a part: by itself git takes a window of 1 GiB.
cat >"$made/config" <<CONFIG || exit
[core]
repositoryformatversion = $version
bare = true
commitGraph = false
packedGitWindowSize = 32m
packedGitLimit = 256m
[grep]
threads = 1
$format
CONFIG
shallow=no
if [ -s "$common/shallow" ]; then
    own "$common/shallow"
    grep -E '^[0-9a-f]{40,64}$' -- "$common/shallow" >"$made/shallow" && shallow=yes || exit
fi
git() {
    env -i PATH="$PATH" LC_ALL=C HOME="$made" GIT_DIR="$made" GIT_OBJECT_DIRECTORY="$objects" GIT_CONFIG_NOSYSTEM=1 \
        GIT_ATTR_NOSYSTEM=1 GIT_NO_REPLACE_OBJECTS=1 GIT_NO_LAZY_FETCH=1 GIT_ALLOW_PROTOCOL=none \
        GIT_TERMINAL_PROMPT=0 git --no-pager "$@"
}
cd "$made" || exit

# Who wrote a commit may be another than who put it there.
for people in authors committers; do
    section=commits form='%H %ae %an'
    [ "$people" = authors ] || section=committers form='%H %ce %cn'
    printf '\n== siteproof %s\n' "$section"
    { git rev-list -n 20 --encoding=UTF-8 --pretty=tformat:"$form" "$head" --; printf 'status %s\n' "$?"; } | awk '
        /^status [0-9]+$/ { status = $2; next }
        (size += length($0) + 1) > 100000 { many = 1; exit }
        { print }
        END {
            if (many) print "siteproof: the names of authors are more than 100 kB"
            exit status == "" || status > 0 ? 2 : 0
        }' || exit
done
printf '\n== siteproof shallow\n%s\n' "$shallow"

# What there is to look through, as git ls-tree says: files, empty ones, links, submodules, and what it cannot tell.
printf '\n== siteproof there\n'
{ git ls-tree -r -l --full-tree "$head"; printf 'status %s\n' "$?"; } | awk '
    $1 == "status" { status = $2; next }
    $1 == "160000" { modules++; next }
    $1 == "120000" { links++; next }
    $1 !~ /^100[0-7][0-7][0-7]$/ || $2 != "blob" || $4 !~ /^[0-9]+$/ { untold++; next }
    $4 == "0" { empty++; next }
    { files++ }
    END {
        print files + 0, empty + 0, links + 0, modules + 0, untold + 0
        exit status == "" ? 1 : status
    }' || exit

# What was looked through: all files with a line, and those that git takes for text. Attributes do not count with -a, and
# with -I there are none.
for with in -a -I; do
    printf '\n== siteproof looked %s\n' "$with"
    { git grep "$with" -l -e '' "$head" --; printf 'status %s\n' "$?"; } | awk '
        /^status [0-9]+$/ { status = $2; next }
        { lines++ }
        END {
            print lines + 0
            exit status == "" || status > 1 ? 2 : 0
        }' || exit
done

# A small tree can name itself so often that there are more names than anybody could take.
printf '\n== siteproof secrets\n'
{ git grep -a --no-color -l -E "$@" "$head" --; printf 'status %s\n' "$?"; } | awk '
    (size += length($0) + 1) > 2000000 { many = 1; exit }
    { print }
    /^status [0-9]+$/ { status = $2 }
    END {
        if (many) print "siteproof: the names of files with secrets are more than 2 MB"
        exit status == "" || status > 1 ? 2 : 0
    }' || exit
printf '\n== siteproof end\n'
