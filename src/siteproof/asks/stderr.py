"""What tools print on stderr although they answered.

An exit status says how a tool ended, and not that it read everything: git grep ends with 0 or 1 where a file could not
be read, ip with 0 where its dump was interrupted, journalctl where it skipped a damaged file. Only its words say so. So
each line that a tool may print beside a good answer is known here, with the reason why it takes nothing from it; beside
any other line there is no answer.

A line is known for the tools of the question that it came with. A new tool needs no entry: most have nothing to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from siteproof.asks.questions import Command, Output, Question
from siteproof.errors import Unparseable


@dataclass(frozen=True)
class Known:
    """Whole lines that take nothing from an answer."""

    lines: str
    """A regular expression."""
    example: str
    because: str
    source: str
    """Where it is documented or made."""

    def end(self, text: str, start: int) -> int | None:
        """Where these lines end if they stand at `start`."""
        match = re.compile(rf"(?:{self.lines})[ \t]*(?:\n|\Z)").match(text, start)
        return match.end() if match else None


EVERY_TOOL = (
    Known(
        r"ERROR: ld\.so: object '.*' from (?:LD_PRELOAD|/etc/ld\.so\.preload) cannot be preloaded"
        r"(?: \(.*\))?: ignored\.",
        "ERROR: ld.so: object '/usr/lib/libarmmem.so' from /etc/ld.so.preload cannot be preloaded "
        "(cannot open shared object file): ignored.",
        "the tool runs without the library that was to be put before its own",
        "https://sourceware.org/git/?p=glibc.git;a=blob;f=elf/rtld.c",
    ),
)
SUDO = (
    Known(
        r"sudo: unable to resolve host \S+(?:: .+)?",
        "sudo: unable to resolve host cp1: Name or service not known",
        "sudo looks its own host up for its rules, and goes on without an address",
        "https://github.com/sudo-project/sudo/blob/main/plugins/sudoers/sudoers.c",
    ),
    Known(
        r"sudo: setrlimit\(RLIMIT_CORE\): Operation not permitted",
        "sudo: setrlimit(RLIMIT_CORE): Operation not permitted",
        "sudo 1.8.29 to 1.8.31 in a container: the command runs with another limit for its core dumps",
        "https://github.com/sudo-project/sudo/issues/42",
    ),
)
"""Of questions that run something as root."""

_DEPRECATED = r"As the default settings are now deprecated, you should set the endpoint instead\."
_LOGGED = r'time="[^"]*" level='
_GLIB = r"\*\* \([^()\n]*\): WARNING \*\*: [0-9:.]+: "

TOOLS: Mapping[str, tuple[Known, ...]] = {
    "busctl": (
        Known(
            r"Call failed: .*\b(?:not found|does not have any RR of the requested type)",
            "Call failed: Name 'nx.home.example' not found",
            "busctl ends with a status, which the script looks at and prints",
            "https://github.com/systemd/systemd/blob/main/src/busctl/busctl.c",
        ),
        Known(
            r"Call failed: (?:All attempts to contact name servers or networks failed|Query timed out|"
            r"No appropriate name servers or networks for name found|"
            r"Could not resolve '[^'\n]*', server or network returned error \w+)",
            "Call failed: All attempts to contact name servers or networks failed",
            "resolved got no answer, or a server's SERVFAIL: a name was not found, as above",
            "https://github.com/systemd/systemd/blob/main/src/resolve/resolved-bus.c",
        ),
    ),
    "containerd": (
        Known(
            _LOGGED + r'warning msg="(?:deprecated version : `1`|containerd config version `1` has been deprecated).*"',
            'time="2026-11-20T11:23:48Z" level=warning msg="containerd config version `1` has been deprecated and will '
            'be removed in containerd v2.0, please switch to version `2`"',
            "what is printed is the configuration after it was converted",
            "https://github.com/containerd/containerd/pull/6980",
        ),
    ),
    "crictl": (
        Known(
            rf'{_LOGGED}warning msg="(?:runtime|image) connect using default endpoints: \[[^]\n]*\]\. {_DEPRECATED}"',
            'time="2026-11-20T11:23:48Z" level=warning msg="image connect using default endpoints: '
            "[unix:///run/containerd/containerd.sock unix:///run/crio/crio.sock unix:///var/run/cri-dockerd.sock]. "
            'As the default settings are now deprecated, you should set the endpoint instead."',
            "containerd's is the first of them, and that it did not answer is another line, which is not known",
            "https://github.com/kubernetes/minikube/issues/10175",
        ),
        Known(
            rf'{_LOGGED}warning msg="Config \\"[^"\n]*\\" does not exist, trying next: \\"[^"\n]*\\""',
            r'time="2026-11-20T11:23:48Z" level=warning msg="Config \"/etc/crictl.yaml\" does not exist, '
            r'trying next: \"/usr/local/bin/crictl.yaml\""',
            "without a configuration it takes the default endpoints, as above",
            "https://github.com/kubernetes-sigs/cri-tools/blob/master/cmd/crictl/main.go",
        ),
        Known(
            rf'{_LOGGED}error msg="[^\n]*/var/run/dockershim\.sock[^\n]*"',
            'time="2026-11-20T11:23:48Z" level=error msg="unable to determine image API version: rpc error: code = '
            'Unavailable desc = connection error: desc = \\"transport: Error while dialing dial unix '
            '/var/run/dockershim.sock: connect: no such file or directory\\""',
            "the first of crictl's old default endpoints, which nobody has any more; it goes on to the next",
            "https://github.com/poseidon/typhoon/issues/1244",
        ),
    ),
    "curl": (
        Known(
            r"curl: \([0-9]+\) .*",
            "curl: (28) Connection timed out after 6001 milliseconds",
            "curl's exit status in words; every script prints the status, or ends with it",
            "https://curl.se/libcurl/c/libcurl-errors.html",
        ),
        Known(
            r"More details here: \S+\s+curl failed to verify the legitimacy of the server and therefore could not\s+"
            r"establish a secure connection to it\. To learn more about this situation and\s+"
            r"how to fix it, please visit the web ?page mentioned above\.",
            "More details here: https://curl.se/docs/sslcerts.html\n"
            "curl failed to verify the legitimacy of the server and therefore could not\n"
            "establish a secure connection to it. To learn more about this situation and\n"
            "how to fix it, please visit the web page mentioned above.",
            "belongs to status 60",
            "https://curl.se/docs/sslcerts.html",
        ),
    ),
    "docker": (
        Known(
            r"WARNING: Error loading config file: .*",
            "WARNING: Error loading config file: /home/u/.docker/config.json: open /home/u/.docker/config.json: "
            "permission denied",
            "the login user's contexts and credentials; without them the node's own daemon is asked, as it should be",
            "https://github.com/moby/moby/issues/40175",
        ),
        Known(
            r"WARNING: (?:No [\w .-]+ support|bridge-nf-call-ip6?tables is disabled)",
            "WARNING: No swap limit support",
            "of what the kernel can do; nothing of that is asked",
            "https://github.com/docker/cli/blob/master/cli/command/system/info.go",
        ),
        Known(
            r"image \S+ could not be accessed on a registry to record\s+its digest\. Each node will access \S+ "
            r"independently,\s+possibly leading to different nodes running different\s+versions of the image\.",
            "image busybox:lab could not be accessed on a registry to record\n"
            "its digest. Each node will access busybox:lab independently,\n"
            "possibly leading to different nodes running different\n"
            "versions of the image.",
            "a canary's service needs an address and not a certain version of its image",
            "https://github.com/docker/cli/blob/master/cli/command/service/trust.go",
        ),
    ),
    "drill": (
        Known(
            r"Error: error sending query: Could not send or receive, because of network error",
            "Error: error sending query: Could not send or receive, because of network error",
            "drill's exit status in words; the parser tells it as a server that nobody heard from",
            "https://github.com/NLnetLabs/ldns/blob/develop/error.c",
        ),
    ),
    "find": (
        Known(
            r"(?:find|cat|grep|readlink|sed): ['‘]?/proc/[0-9]+[^\s'’:]*['’]?: No such (?:file or directory|process)",
            "find: '/proc/4711/comm': No such file or directory",
            "a process that ended while it was looked at; it was asked for those that are there",
            "https://www.gnu.org/software/findutils/manual/html_node/find_html/Race-Conditions-with-_002dexec.html",
        ),
    ),
    "iptables-legacy-save": (
        Known(
            r"# Warning: iptables-legacy tables present, use iptables-legacy-save to see them",
            "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them",
            "a question that has iptables-legacy-save among its tools reads these tables by it",
            "https://git.netfilter.org/iptables/tree/iptables/xtables-save.c",
        ),
    ),
    "netplan": (
        Known(
            _GLIB + r"Permissions for \S+ are too open\. Netplan configuration should NOT be accessible by others\.",
            "** (process:75441): WARNING **: 11:26:30.501: Permissions for /etc/netplan/01-osism.yaml are too open. "
            "Netplan configuration should NOT be accessible by others.",
            "the file is read all the same",
            "https://github.com/canonical/netplan/pull/300",
        ),
        Known(
            _GLIB + r"`gateway[46]` has been deprecated, use default routes instead\.\n"
            r"See the 'Default routes' section of the documentation for more details\.",
            "** (process:1892): WARNING **: 22:30:30.217: `gateway4` has been deprecated, use default routes instead.\n"
            "See the 'Default routes' section of the documentation for more details.",
            "the key is read all the same",
            "https://github.com/canonical/netplan/blob/main/src/parse.c",
        ),
    ),
    "nmap": (
        Known(
            r"Host discovery disabled \(-Pn\)\. All addresses will be marked 'up' "
            r"and scan times (?:may|will) be slower\.",
            "Host discovery disabled (-Pn). All addresses will be marked 'up' and scan times may be slower.",
            "that is what -Pn asks for",
            "https://nmap.org/book/man-host-discovery.html",
        ),
        Known(
            r"RTTVAR has grown to over 2\.3 seconds, decreasing to 2\.0",
            "RTTVAR has grown to over 2.3 seconds, decreasing to 2.0",
            "how long it waits, which --max-rtt-timeout bounds anyhow; the control tells whether that is enough",
            "https://github.com/nmap/nmap/blob/master/timing.cc",
        ),
    ),
    "ping": (
        Known(
            r"(?:ping: )?[Ww]arning: time of day goes back \(-?[0-9]+us\), taking countermeasures\.?",
            "ping: Warning: time of day goes back (-514824us), taking countermeasures",
            "of how long an answer took; it is counted as one",
            "https://github.com/iputils/iputils/blob/master/ping/ping_common.c",
        ),
    ),
    "ss": (
        Known(
            r"Failed to find cgroup2 mount",
            "Failed to find cgroup2 mount",
            "the names of cgroups, which are not asked for",
            "https://github.com/iproute2/iproute2/blob/main/lib/fs.c",
        ),
    ),
}
# Not here, though common, because they say that not all was read. ip: `Dump was interrupted and may be inconsistent.`;
# journalctl: `Journal file … is truncated, ignoring file.`, `Hint: You are currently not seeing messages from other
# users`; nmap: `giving up on port because retransmission cap hit`; grep: `binary file matches`; docker: `Emulate Docker
# CLI using podman`; systemctl: `changed on disk`; crictl: that containerd's socket is one that did not answer.


def known(question: Question) -> list[Known]:
    """What is known beside the answer to this question."""
    if not isinstance(question, Command):
        return []
    return [
        *EVERY_TOOL,
        *(SUDO if question.root else ()),
        *(one for tool in question.tools for one in TOOLS.get(tool, ())),
    ]


def unknown_words(question: Question, output: Output) -> Iterator[str]:
    """The lines of stderr that are not known beside an answer."""
    return _unknown(output.errors, known(question))


def refuse_unknown_words(question: Question, output: Output) -> None:
    """Raises Unparseable, with the words, where stderr has a line that is not known beside an answer."""
    if (words := next(unknown_words(question, output), None)) is not None:
        where = f"{question.probe} on {question.host} ended with status {output.status}"
        said = f"words that may say that not everything was read: {words[:300]!r}"
        raise Unparseable(f"{where} beside {said}", host=question.host)


def _unknown(text: str, every: Iterable[Known]) -> Iterator[str]:
    """The lines that are none of these."""
    text = "".join(line for line in text.splitlines(keepends=True) if line.strip())
    start = 0
    while start < len(text):
        ends = [end for one in every if (end := one.end(text, start)) is not None]
        if not ends:
            yield text[start:].partition("\n")[0]
        start = max(ends, default=(text.find("\n", start) + 1) or len(text))
