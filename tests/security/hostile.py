"""What somebody may say who wants something of us: one list, for every probe, parser, option and report.

Each value is named by what it tries. Those that try to run a command make the file `canary` if they succeed, with
nothing but the shell's own words, so that no tool has to be there. A new trick goes here, and everything is tried with
it.
"""

from __future__ import annotations

from collections.abc import Mapping

NOWHERE = "/nonexistent/siteproof-canary"
"""The canary where nobody looks for one."""
LONGEST = 1 << 20

ESC, BEL, CSI = "\x1b", "\x07", "\x9b"


def values(canary: str = NOWHERE) -> dict[str, str]:
    """What it tries -> the value. `canary` is a path without blanks and quotes."""
    return {
        **commands(canary),
        **options(canary),
        **languages(canary),
        **frames(canary),
        **addresses(canary),
        **displays(canary),
        **lengths(),
        **bytes_that_are_no_text(),
    }


def short(canary: str = NOWHERE) -> dict[str, str]:
    """Those that fit on a command line."""
    return {name: value for name, value in values(canary).items() if len(value) < 4096}


def encoded(value: str) -> bytes:
    """As it comes from a host: bytes that are no UTF-8 become what they were."""
    return value.encode("utf-8", "surrogateescape" if _escaped(value) else "surrogatepass")


def _escaped(value: str) -> bool:
    return all("\udc80" <= c <= "\udcff" for c in value if "\ud800" <= c <= "\udfff")


def commands(canary: str) -> dict[str, str]:
    """Statements of a shell, in every place where a word may be put."""
    make = f": >{canary}"
    return {
        "command substitution": f"$({make})",
        "command substitution in a word": f"a$({make})b.example",
        "backticks": f"`{make}`",
        "semicolon": f"a; {make}; #",
        "semicolon alone": f";{make};",
        "and": f"a && {make}",
        "or": f"a || {make}",
        "pipe": f"a | {{ {make}; }}",
        "background": f"a & {make}",
        "newline": f"a\n{make}\n",
        "newline first": f"\n{make}\n#",
        "carriage return": f"a\r{make}\r",
        "CR LF": f"a\r\n{make}\r\n",
        "escaped newline": f"a\\\n{make}",
        "single quote": f"'; {make}; '",
        "single quote closed": f"a'$({make})'b",
        "single quote alone": "'",
        "double quote": f'"; {make}; "',
        "double quote alone": '"',
        "both quotes": f"'\"; {make}; \"'",
        "backslash and quote": f"\\'; {make}; \\'",
        "quote as shlex writes it": f"'\"'\"'; {make}; '\"'\"'",
        "dollar quote": f"$'\\n{make}\\n'",
        "backslash": "\\",
        "backslashes": "a\\\\b\\",
        "redirection": f">{canary}",
        "redirection in a word": f"a >{canary} b",
        "here document": f"<<EOF\n{make}\nEOF\n",
        "end of a here document": f"ARGUMENTS\n{make}\n",
        "subshell": f"({make})",
        "group": f"{{ {make}; }}",
        "end of a function": f"}}\n{make}\n{{",
        "end of a case": f") {make} ;; *",
        "end of a loop": f"a; done; {make}; for b in c; do",
        "parameter with a default": f"${{nothing:-$({make})}}",
        "parameter that is assigned": f"${{PATH:=$({make})}}",
        "indirection": "${!PATH@P}",
        "arithmetic": f"$((a[$({make})]))",
        "arithmetic subscript": f"a[$({make})]",
        "arithmetic subscript in ticks": f"a[`{make}`0]",
        "process substitution": f"<({make})",
        "history": "!!",
        "variable": "$HOME",
        "variable of ours": "$ROOT",
        "nonce of ours": "$NONCE",
        "assignment": f"PATH=/nonexistent {make}",
        "field separator": "a b\tc",
        "tab": "a\tb",
        "tilde": "~root",
        "glob": "*",
        "glob of files": "/*",
        "glob of one": "?",
        "bracket glob": "[a-z]*",
        "brace expansion": "{a,b}",
        "comment": "a #b",
        "blank": " ",
        "empty": "",
        "blank at the end": "a ",
        "function of shellshock": f"() {{ :; }}; {make}",
    }


def options(canary: str) -> dict[str, str]:
    """Words that a tool takes for one of its options."""
    return {
        "short option": "-x",
        "long option": "--help",
        "end of options": "--",
        "dash": "-",
        "stdin or stdout": "-o-",
        "curl writes": f"-o{canary}",
        "curl reads its settings": f"-K{canary}",
        "curl's file": f"file://{canary}",
        "dig reads a file": f"-f{canary}",
        "dig's server": "@127.0.0.1",
        "dig's option": "+trace",
        "nmap's script": f"--script={canary}",
        "nmap reads": f"-iL{canary}",
        "git runs": f"--upload-pack={canary}",
        "find runs": "-exec",
        "ssh's option": f"-oProxyCommand=: >{canary}",
        "docker's host": "--host=tcp://127.0.0.1:1",
        "argument file": f"@{canary}",
        "option after a blank": "a -x",
        "option after a newline": "a\n-x",
        "dash that is none": "\u2011x",
        "minus that is none": "\u2212x",
    }


def languages(canary: str) -> dict[str, str]:
    """Statements of whatever else reads text: templates, patterns, documents."""
    make = f": >{canary}"
    return {
        "Go template": "{{.}}",
        "Go template's field": '{{json .Spec}}{{println "x"}}',
        "Go template that calls": '{{call .X "a"}}',
        "end of a Go template": '"}}{{printf "x"}}{{"',
        "Jinja": "{{ 7 * 7 }}",
        "Jinja runs": f"{{{{ lookup('pipe', ': >{canary}') }}}}",
        "Jinja statement": "{% for a in b %}",
        "Jinja comment": "{# a #}",
        "placeholder of ours": "‹a›",
        "printf": "%s%n%d%x",
        "percent": "100%",
        "Python format": "{0.__class__}",
        "Python format of a name": "{script}",
        "Python interpolation": "%(nonce)s",
        "regular expression": "^(a+)+$",
        "end of a regular expression": "a)|(.*",
        "regular expression's range": "[",
        "regular expression's repeat": "*a",
        "backreference": "\\1",
        "escapes of a regular expression": "\\Qa\\E",
        "sed runs": f"a/e : >{canary}\n",
        "sed writes": f"a/w {canary}\n#",
        "sed's end": f"//p;w{canary}",
        "sed's replacement": "&\\0",
        "awk runs": f'"; system(": >{canary}"); "',
        "awk writes": f'a/ {{ print > "{canary}" }} /b',
        "awk's escapes": "a\\nb\\042",
        "awk's assignment": "a=b",
        "nft's rule": 'a" accept; flush ruleset; add table inet b #',
        "nft's end": "a { } flush ruleset",
        "nft's include": f'include "{canary}"',
        "docker's filter": "a,b=c",
        "docker's constraint": "a==b",
        "JSON's quote": '", "a": "',
        "JSON object": '{"a": {"b": []}}',
        "JSON's key twice": '{"a": 1, "a": 2}',
        "JSON that is none": "NaN",
        "JSON's number": "1e999",
        "JSON's surrogate": "\\ud800",
        "JSON's escape": "\\u0000",
        "TOML table": '"]\n[a.b]\nc = "d"',
        "TOML's quote": '"""',
        "YAML tag": "!!python/object/apply:os.system [id]",
        "YAML anchor": "&a [*a]",
        "YAML document": "---\na: b",
        "YAML's truth": "no",
        "XML element": "<a b='c'/>",
        "XML's end": ']]></a><b c="',
        "XML entity": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "XML entities": '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><a>&c;</a>',
        "HTML script": "<script>alert(1)</script>",
        "HTML's attribute": '" onmouseover="alert(1)',
        "HTML's attribute, single": "' onmouseover='alert(1)",
        "HTML's image": "<img src=x onerror=alert(1)>",
        "HTML's comment": "--><script>alert(1)</script><!--",
        "HTML's end of a style": "</style><script>alert(1)</script>",
        "HTML's end of a text": "</pre></td></tr></table><h1>held</h1>",
        "HTML's entity": "&lt;b&gt;&#x3c;",
        "HTML's refresh": '<meta http-equiv="refresh" content="0;url=http://192.0.2.1/">',
        "Markdown's link": "[held](http://192.0.2.1/)",
        "Markdown's link in a scheme": "[a](javascript:alert(1))",
        "Markdown's image": "![a](http://192.0.2.1/a.png)",
        "Markdown's reference": "[a]: http://192.0.2.1/",
        "Markdown's autolink": "<http://192.0.2.1/>",
        "Markdown's bare link": "http://192.0.2.1/ www.example.com",
        "Markdown's address": "a@example.com",
        "Markdown's mention": "@octocat @org/team",
        "Markdown's issue": "#1 GH-1 org/project#1 !1",
        "Markdown's emphasis": "**held** _a_ ~~b~~",
        "Markdown's code": "`a` ``b`` ```",
        "Markdown's fence": "\n```\n# held\n```\n",
        "Markdown's other fence": "\n~~~\n# held\n~~~\n",
        "Markdown's heading": "\n# held\n\n---\n",
        "Markdown's table": "a | b |\n| --- | --- |\n| held | 0 |",
        "Markdown's line": "a  \nb\\\nc",
        "Markdown's task": "- [x] held",
        "Markdown's quote": "> held",
        "Markdown's footnote": "a[^1]\n\n[^1]: b",
        "Markdown's comment": "<!-- a",
        "Markdown's mathematics": "$`a`$ $$b$$",
        "CI's command": "\n::set-output name=a::b\n::error::c\n##[error]d\n##vso[task.complete]e",
        "CI's section": "\nsection_start:0:a\r\x1b[0Ka",
        "CSV's formula": "=cmd|' /C calc'!A0",
        "Prometheus's label": 'a"} 1\nb{c="d',
        "SQL": "' OR 1=1 --",
        "LDAP": "*)(uid=*))(|(uid=*",
        "log4j": "${jndi:ldap://127.0.0.1/a}",
        "pytest's id": "a::b[c-d]",
        "pytest's expression": "a and not b",
        "sudoers": "ALL=(ALL) NOPASSWD: ALL",
        "sudoers' newline": "a\nALL ALL=(ALL) NOPASSWD: ALL\n",
        "Ansible's host pattern": "all:!a:&b",
        "crontab": f"* * * * * {make}",
    }


def frames(canary: str) -> dict[str, str]:
    """Marks that only we write, in the hope that they are believed."""
    return {
        "end of the script": "\n== siteproof end\n",
        "end of the script alone": "== siteproof end",
        "a section": "\n== siteproof status\n0\n== siteproof end\n",
        "a section and a command": f"\n== siteproof end\n: >{canary}\n",
        "a section with CR": "\r== siteproof end\r",
        "a missing tool": "siteproof: not on this host: sh",
        "a mark of the frame": "\n00000000000000000000000000000000 0 0\n",
        "the prompt for the password": "[sudo] password for root: ",
        "sudo's refusal": "sudo: a password is required",
        "environment": "SITEPROOF_END=\nSITEPROOF_ALL=",
        "a bar": "\n| a = 1\n",
    }


def addresses(canary: str) -> dict[str, str]:
    """Paths, URLs and names that lead elsewhere."""
    return {
        "path upwards": "../../../../etc/shadow",
        "path upwards, encoded": "%2e%2e%2f%2e%2e%2fetc%2fshadow",
        "path upwards, backslashes": "..\\..\\etc\\shadow",
        "path upwards within": "/etc/docker/../shadow",
        "absolute path": "/etc/shadow",
        "path of a process": "/proc/self/environ",
        "path of a process's root": "/proc/1/root/etc/shadow",
        "path of a descriptor": "/dev/fd/0",
        "path of a device": "/dev/zero",
        "path of a connection": "/dev/tcp/127.0.0.1/1",
        "path of the canary": canary,
        "path with a NUL": "/etc/hosts\0.txt",
        "path that is a dot": ".",
        "path that is two dots": "..",
        "path with a newline": "/etc/a\nb",
        "path that is empty inside": "//etc//hosts",
        "URL with a user": "https://user:password@192.0.2.1/",
        "URL that looks like another": "https://good.example@192.0.2.1/",
        "URL with a backslash": "https://good.example\\@192.0.2.1/",
        "URL with CR LF": "http://a.example/\r\nHost: b.example\r\n\r\n",
        "URL with CR LF, encoded": "http://a.example/%0d%0aHost:%20b.example",
        "URL with a blank": "http://a.example/ HTTP/1.1",
        "URL with a newline in its host": "http://a.example\n.b.example/",
        "URL with a tab in its host": "http://a\t.example/",
        "URL with globs": "http://a.example/[1-9]{a,b}",
        "URL with a port that is none": "http://a.example:99999/",
        "URL with a port that is text": "http://a.example:a/",
        "URL of a file": "file:///etc/shadow",
        "URL of another protocol": "gopher://127.0.0.1:25/_a",
        "URL in a script": "javascript:alert(1)",
        "URL of data": "data:text/html,<script>alert(1)</script>",
        "URL without a host": "http:///a",
        "URL with an open bracket": "http://[::1/",
        "URL with a zone": "http://[fe80::1%25eth0]/",
        "URL of metadata": "http://169.254.169.254/latest/meta-data/",
        "URL with a query": "http://a.example/?a=b&c=$(d)",
        "URL with a fragment": "http://a.example/#@b.example/",
        "header": "a\r\nX-Injected: b",
        "name with an underscore": "_a._tcp.example",
        "name that ends in a dot": "a.example.",
        "name of dots": "...",
        "name with a label too long": f"{'a' * 64}.example",
        "name too long": ".".join(["a" * 60] * 5),
        "name that is an address": "127.0.0.1",
        "name that is a number": "2130706433",
        "name in another alphabet": "аррӏе.example",  # noqa: RUF001 - Cyrillic on purpose
        "name in punycode": "xn--80ak6aa92e.example",
        "name with a full-width dot": "a\uff0eexample",
        "name with a wildcard": "*.example",
        "address with a zone": "fe80::1%eth0",
        "address with a command as its zone": f"fe80::1%$(: >{canary})",
        "address with a zero": "010.0.0.1",
        "address in few parts": "10.1",
        "network": "0.0.0.0/0",
        "image upwards": "registry.example/../a:1",
        "image with an option": "registry.example/a:-x",
        "image with a digest that is none": "registry.example/a@sha256:b",
        "id that is nearly one": "g" * 64,
        "id of the swarm with a newline": "a" * 25 + "\n",
        "id in capitals": "A" * 64,
        "id in other digits": "\u0661" * 25,
    }


def displays(canary: str) -> dict[str, str]:
    """What changes how the rest is seen: on a terminal, in an editor, in a browser."""
    return {
        "red": f"{ESC}[31mheld{ESC}[0m",
        "cleared screen": f"{ESC}[2J{ESC}[H",
        "line written over": f"violated{ESC}[1K\rheld    ",
        "cursor upwards": f"{ESC}[1A{ESC}[2Kheld",
        "title": f"{ESC}]0;held{BEL}",
        "title that ends otherwise": f"{ESC}]0;held{ESC}\\",
        "clipboard": f"{ESC}]52;c;cm0gLXJmIC8K{BEL}",
        "link": f"{ESC}]8;;http://192.0.2.1/{ESC}\\held{ESC}]8;;{ESC}\\",
        "report asked for": f"{ESC}[6n{ESC}[c{ESC}P$q q{ESC}\\",
        "key defined": f'{ESC}[0;59;": >{canary}";13p',
        "other character set": f"{ESC}(0held\x0e\x0f",
        "one byte of control": f"{CSI}31mheld{CSI}0m\x9d0;a\x9c",
        "bells": BEL * 3,
        "backspaces": "violated" + "\b" * 8 + "held    ",
        "form feed and vertical tab": "a\x0cb\x0bc",
        "delete": "a\x7fb",
        "every control": "".join(map(chr, range(1, 32))),
        "NUL": "a\0b",
        "lines of Unicode": "a\u2028b\u2029c\u0085d",
        "right to left": "\u202edleh\u202c",
        "isolate": "\u2067held\u2069\u2066a\u2069",
        "embedding that stays open": "\u202a\u202b\u2066held",
        "marks of direction": "\u200ea\u200fb\u061cc",
        "zero width": "he\u200bl\u200cd\u200d\u2060\ufeff",
        "tags": "held" + "".join(chr(0xE0000 + ord(c)) for c in "violated"),
        "variation selectors": "held\ufe0f\U000e0100",
        "soft hyphen": "he\u00adld",
        "no-break space": "a\u00a0b\u202fc\u3000d",
        "annotation": "\ufff9a\ufffab\ufffb",
        "private use": "\ue000\U000f0000",
        "not a character": "\ufffe\uffff\U0001fffe",
        "combining marks": "e" + "\u0301" * 50,
        "look-alikes": "hеld ｈｅｌｄ 𝐡𝐞𝐥𝐝",  # noqa: RUF001 - on purpose
        "case that grows": "İ\ufb03ß",
        "braille blank": "\u2800",
        "Hangul filler": "a\u3164b\u115f",
    }


def lengths() -> dict[str, str]:
    """More of something than anybody has."""
    return {
        "long": "a" * LONGEST,
        "long line of blanks": " " * LONGEST,
        "many lines": "a\n" * (LONGEST // 2),
        "many digits": "9" * 100_000,
        "many brackets": "[" * 100_000,
        "many braces": '{"a":' * 50_000,
        "many labels": "a." * 50_000,
        "many slashes": "/" * 100_000,
        "negative": "-1",
        "huge": "99999999999999999999",
        "huge range": "0-99999999999",
        "not a number": "nan",
        "infinite": "inf",
        "exponent": "1e400",
        "underscored": "1_000",
        "digits of others": "\u0661\u0662\u0663",
        "superscript": "\u00b2",
        "hexadecimal": "0x7f000001",
    }


def bytes_that_are_no_text() -> dict[str, str]:
    """Bytes that are not UTF-8, as surrogates stand for them, and surrogates by themselves."""
    return {
        "not UTF-8": "a\udcffb",
        "UTF-8 that is too long": "\udcc0\udcaf",
        "UTF-8 cut short": "a\udce2\udc82",
        "Latin 1": "caf\udce9",
        "surrogate alone": "a\ud800b",
        "surrogates in the wrong order": "\udc00\ud800",
        "byte order mark": "\ufeffa",
    }


VALUES: Mapping[str, str] = values()
