# netlab links: the counters of the WAN (wanem's stats) and of the LAN ports as tables. The variable
# ports is a file of lines `node NAME ADDRESS tx=BYTES rx=BYTES`.
function v(key,    i) {
    for (i = 2; i <= NF; i++)
        if (index($i, key "=") == 1)
            return substr($i, length(key) + 2)
    return ""
}
function rate(r) {
    return r == 0 ? "-" : r >= 1e9 ? r / 1e9 "gbit" : r >= 1e6 ? r / 1e6 "mbit" : r / 1e3 "kbit"
}
/^link/ {
    if (!links++)
        printf "%-16s %-5s %9s %8s %6s %14s %10s %9s %9s %9s\n", "WAN LINK", "STATE", "RATE", "DELAY",
            "LOSS", "BYTES", "PACKETS", "LOST", "OVERFLOW", "CUT"
    printf "%-16s %-5s %9s %6.1fms %5.2f%% %14s %10s %9s %9s %9s\n", $2, v("state"),
        rate(v("rate") + 0), v("delay_us") / 1000, 100 * v("loss"), v("bytes"), v("pkts"), v("lost"),
        v("qdrop"), v("downdrop")
}
/^path/ {
    if (!paths++)
        printf "\n%-16s %-16s %-5s %14s\n", "FROM SITE", "TO SITE", "STATE", "BYTES"
    printf "%-16s %-16s %-5s %14s\n", $2, $3, v("state"), v("bytes")
}
/^host/ {
    up[$2] = v("up")
    down[$2] = v("down")
}
/^loop/ { loop = $0 }
END {
    printf "\n%-16s %-15s %14s %14s %14s %14s\n", "NODE", "ADDRESS", "SENT", "RECEIVED", "WAN UP",
        "WAN DOWN"
    while ((getline <ports) > 0) {
        sub("tx=", "", $4)
        sub("rx=", "", $5)
        printf "%-16s %-15s %14s %14s %14d %14d\n", $2, $3, $4, $5, up[$3], down[$3]
    }
    print "\n" loop
}
