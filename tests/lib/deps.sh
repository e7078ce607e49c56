#!/bin/bash
# deps.sh SET...: installs the Debian packages of these sets that are missing; says nothing when
# none is. Sets: build demo test package cross kube image page bench. Services that come along are not
# started and not left
# enabled; packages that were there before are neither touched nor removed.
set -euo pipefail

packages() {
    case $1 in
    build) echo gcc make libc6-dev libmicrohttpd-dev libcurl4-openssl-dev libssl-dev libcjson-dev \
        libyaml-dev libpsl-dev libzstd-dev uthash-dev scdoc ;;
    demo) echo docker.io containerd runc skopeo docker-registry nginx-light busybox-static python3 \
        openssl ca-certificates iproute2 iptables util-linux mount procps curl ;;
    test) echo libcmocka-dev clang libclang-rt-14-dev clang-tidy clang-format cppcheck shellcheck strace git \
        mandoc zsh fish dnsmasq-base podman python3-yaml libfaketime ;;
    package) echo build-essential dpkg-dev debhelper lintian mmdebstrap ;;
    cross) echo mmdebstrap qemu-user gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf ;;
    kube) echo python3 python3-venv ;;
    image) echo python3 ca-certificates binutils libnghttp2-dev libidn2-dev libssh2-1-dev \
        libbrotli-dev libzstd-dev zlib1g-dev libgnutls28-dev libgmp-dev nettle-dev libunistring-dev \
        libtasn1-6-dev libp11-kit-dev ;;
    page) echo chromium fonts-dejavu-core prometheus nginx-light iproute2 python3 ;;
    bench) echo nginx-light docker-registry python3 python3-matplotlib wrk curl iproute2 iptables util-linux \
        procps git ;;
    *)
        echo "deps.sh: no such set: $1 (build demo test package cross kube image page bench)" >&2
        exit 2
        ;;
    esac
}

missing=()
for set in "$@"; do
    for package in $(packages "$set"); do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || missing+=("$package")
    done
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "deps: installing ${missing[*]}"
if [ "$(id -u)" != 0 ]; then
    echo "deps: needs root for this: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

# invoke-rc.d asks policy-rc.d before it starts a service: 101 says no.
policy=/usr/sbin/policy-rc.d
ours=()
trap 'rm -f "${ours[@]}"' EXIT
if [ ! -e $policy ]; then
    ours+=("$policy")
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
ours+=("$log")
# The lists may be old or absent; without a network the packages may still be in the cache.
# Debian's docker.io would push out a docker-ce: --no-remove makes that an error.
apt-get -qq -o DPkg::Lock::Timeout=120 update </dev/null >"$log" 2>&1 || true
apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 install -y --no-remove \
    --no-install-recommends "${missing[@]}" </dev/null >>"$log" 2>&1 || {
    tail -20 "$log" >&2
    exit 1
}

# What came new must not start at the next boot either, whatever boots the machine: the packages
# leave their links for systemd also where it is not installed.
stay_off() { # UNIT
    if command -v systemctl >/dev/null; then
        systemctl disable --quiet "$1" 2>/dev/null || true
    else
        rm -f /etc/systemd/system/*.wants/"$1"
        update-rc.d "${1%.*}" disable >/dev/null 2>&1 || true
    fi
}
for service in docker.service docker.socket containerd.service docker-registry.service nginx.service \
    prometheus.service; do
    owner=${service%.*}
    case $owner in docker) owner=docker.io ;; nginx) owner=nginx-light ;; esac
    case " ${missing[*]} " in
    *" $owner "*)
        stay_off "$service"
        echo "deps: $service stays off (systemctl enable --now $service, if you want it)"
        ;;
    esac
done
