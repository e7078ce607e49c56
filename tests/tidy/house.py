#!/usr/bin/env python3
"""House rules that no compiler knows, over the files that git knows (or the tree without git).

  banned      functions that the floors never call (fd_close, text_* and their like stand in)
  lengths     .c and .h files, and lines of scripts
  names       foo.c and foo_part.c export foo_*, what their own header declares, and bar_* that
              bar.h declares
  words       TODO, FIXME, XXX; commented-out banners
  shape       trailing space, tabs in C, missing last newline, executable bits, large files
  protocols   who makes requests with libcurl says by which protocols: the image leaves parts of it out
  magic       a magic number of a cookie occurs once
  metrics     every metric of base/metric.def is used somewhere

A line that breaks a rule on purpose says `house: RULE` in a comment on it, with the reason.
"""
import os
import re
import subprocess
import sys

FLOORS = ('base', 'cache', 'p2p', 'proxy')
LINES_MAX = {'.c': 700, '.h': 250}
LARGE_BYTES = 256 * 1024
COLUMNS_MAX = 120
BANNED = ('strcpy strcat sprintf vsprintf strncpy strtok atoi atol rand srand localtime gmtime ctime '
          'asctime signal system popen tmpnam mktemp close gets alloca').split()
BANNED_CALL = re.compile(r'(?<![\w>.])(' + '|'.join(BANNED) + r')\s*\(')
WORDS = re.compile(r'\b(TODO|FIXME|XXX)\b')
BANNER = re.compile(r'^\s*(/\*|\*|//)\s*[*=-]{10,}')
MAGIC = re.compile(r'#define\s+(\w*MAGIC\w*)\s+(0x[0-9A-Fa-f]+)')
# An exported definition: the name at the start of a line, after its type's line.
EXPORT = re.compile(r'^(?!static|extern)[a-z][\w \*]*\n([a-z]\w*)\(', re.M)
STRINGS_AND_COMMENTS = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)

bad = []


def wrong(path, line, rule, text):
    bad.append(f'{path}:{line}: {rule}: {text}')


def files():
    try:
        names = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], check=True,
                               capture_output=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        names = [os.path.join(d, f)[2:] for d, _, fs in os.walk('.') for f in fs]
    return sorted(n for n in names if os.path.isfile(n) and not os.path.islink(n)
                  and not n.startswith(('build/', '.git/')))


def text_of(path):
    if not os.path.exists(path):
        return ''
    with open(path, encoding='utf-8') as f:
        return f.read()


def code_only(text):
    """The text with comments and strings blanked, lines kept."""
    return STRINGS_AND_COMMENTS.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), text)


def look_at_c(path, text):
    lines = text.splitlines()
    for n, line in enumerate(code_only(text).splitlines(), 1):
        found = BANNED_CALL.search(line)
        if found and path.startswith(FLOORS) and 'house: banned' not in lines[n - 1]:
            wrong(path, n, 'banned', f'{found.group(1)}() (see docs of the house)')
    for n, line in enumerate(lines, 1):
        if '\t' in line:
            wrong(path, n, 'shape', 'a tab')
        if BANNER.match(line):
            wrong(path, n, 'words', 'a banner')
    if 'curl_easy_init(' in text and 'PROTOCOLS_STR' not in text and path.startswith(FLOORS):
        wrong(path, 1, 'protocols', 'curl_easy_init without PROTOCOLS_STR (see deploy/image.mk)')
    limit = LINES_MAX[os.path.splitext(path)[1]]
    if len(lines) > limit and path.startswith(FLOORS):
        wrong(path, limit, 'lengths', f'{len(lines)} lines, at most {limit}')


def look_at_exports(path, text):
    stem = os.path.splitext(os.path.basename(path))[0]
    folder = os.path.dirname(path)
    for m in EXPORT.finditer(code_only(text)):
        name = m.group(1)
        if name.startswith(stem.split('_')[0] + '_') or name in (stem, 'main'):
            continue
        words = name.split('_')
        family = ['_'.join(words[:n]) for n in range(1, len(words))]
        if any(f'{name}(' in text_of(f'{folder}/{h}.h') for h in [stem, *family]):
            continue
        line = text.count('\n', 0, m.start(1)) + 1
        if 'house: names' not in text.splitlines()[line - 2] + text.splitlines()[line - 1]:
            wrong(path, line, 'names', f'{name} is neither {stem}_* nor declared in a header of its name')


def look_at_text(path, text):
    if text and not text.endswith('\n'):
        wrong(path, text.count('\n') + 1, 'shape', 'no newline at the end')
    for n, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            wrong(path, n, 'shape', 'space at the end of the line')
        if WORDS.search(line) and not path.startswith('tests/tidy/'):
            wrong(path, n, 'words', WORDS.search(line).group())
        if path.endswith(('.py', '.sh')) and len(line) > COLUMNS_MAX:
            wrong(path, n, 'lengths', f'{len(line)} columns, at most {COLUMNS_MAX}')


def look_at_metrics(sources):
    with open('base/metric.def', encoding='utf-8') as f:
        ids = re.findall(r'^X\((\w+),', f.read(), re.M)
    used = set(re.findall(r'\bM_(\w+)', ' '.join(sources)))
    for name in ids:
        if name not in used:
            wrong('base/metric.def', 0, 'metrics', f'{name} is never touched')


def main():
    magic, sources = {}, []
    for path in files():
        size = os.path.getsize(path)
        if size > LARGE_BYTES:
            wrong(path, 0, 'shape', f'{size} bytes, at most {LARGE_BYTES}')
        with open(path, 'rb') as f:
            raw = f.read(LARGE_BYTES)
        if path.startswith('tests/fuzz/corpus/') or b'\0' in raw:
            continue
        text = raw.decode('utf-8', 'replace')
        executable = os.stat(path).st_mode & 0o111 != 0
        if executable != text.startswith('#!') and not path.endswith('.py'):
            wrong(path, 1, 'shape', 'executable bit and #! line do not agree')
        look_at_text(path, text)
        if path.endswith(('.c', '.h')):
            look_at_c(path, text)
            for name, value in MAGIC.findall(text):
                if value in magic:
                    wrong(path, 0, 'magic', f'{name} has the value of {magic[value]}')
                magic[value] = f'{name} in {path}'
        if path.endswith('.c') and path.startswith(FLOORS):
            look_at_exports(path, text)
            sources.append(code_only(text))
        if path.endswith('.py'):
            compile(text, path, 'exec')
    look_at_metrics(sources)
    print('\n'.join(bad))
    sys.exit(1 if bad else 0)


if __name__ == '__main__':
    main()
