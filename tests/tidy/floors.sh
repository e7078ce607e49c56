#!/bin/bash
# Calls go down only: which quoted includes the files of a floor may have. The linker proves the
# same for functions; this finds a header that is private to another floor.
set -u
bad=0
may() { # folder, regex of what it may include
    if grep -nHE '^#include "' "$1"/*.[ch] | grep -vE "\"($2)\""; then
        bad=1
    fi
}
may base 'base/[a-z0-9_]+\.(h|def)'
may cache '(base|cache)/[a-z0-9_]+\.(h|def)'
may p2p '(base|p2p)/[a-z0-9_]+\.(h|def)'
below='base/[a-z0-9_]+\.(h|def)|cache/cache\.h|p2p/p2p\.h|proxy/settings\.h'
may proxy/upstream "$below|proxy/upstream/[a-z0-9_]+\.(h|def)"
may proxy/http 'base/[a-z0-9_]+\.(h|def)|proxy/http/[a-z0-9_]+\.h'
may proxy/api "$below|proxy/http/[a-z0-9_]+\.h|proxy/api/[a-z0-9_]+\.(h|def)|proxy/upstream/(fetch|peerfile)\.h"
may proxy/peer "$below|proxy/(http|peer)/[a-z0-9_]+\.h"
may proxy/cli "$below|proxy/cli/[a-z0-9_]+\.(h|def)|proxy/daemon\.h|proxy/api/(manifest|ref)\.h"
doors="proxy/(peer/port|http/guard)\.h|proxy/api/(server|manifest|ref|pulls)\.h"
doors="$doors|proxy/upstream/fetch\.h|proxy/cli/cli\.h"
may proxy "$below|proxy/[a-z0-9_]+\.(h|def)|$doors"
[ "$bad" = 0 ] || echo 'floors.sh: the includes above reach over a floor or behind its front door'
exit "$bad"
