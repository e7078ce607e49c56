/* A device is made inside its namespace by a process that is elsewhere: setns there, open, setns
 * back. */
#include "tests/netlab/tun.h"
#include "base/fs.h"
#include "base/text.h"
#include "tests/netlab/wan.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH_MAX 64 /* packets of one site before the others have their turn */

static int
open_device(const char *device, bool trains, int *ret_fd, struct err *e)
{
    AUTO(fd_close) int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "open /dev/net/tun");
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    if (text_copy(request.ifr_name, sizeof request.ifr_name, device) < 0)
        return err_set(e, -ENAMETOOLONG, "%s: no name of a device", device);
    if (ioctl(fd, TUNSETIFF, &request) < 0 ||
        ioctl(fd, TUNSETOFFLOAD, trains ? TUN_F_CSUM | TUN_F_TSO4 : 0) < 0)
        return err_errno(e, "make %s", device);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int
tun_open(const char *netns, const char *device, bool trains, int *ret_fd, struct err *e)
{
    AUTO(fd_close) int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    AUTO(fd_close) int there = open(netns, O_RDONLY | O_CLOEXEC);
    if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) != 0)
        return err_errno(e, "enter %s", netns);
    int code = open_device(device, trains, ret_fd, e);
    must(setns(home, CLONE_NEWNET) == 0);
    return code;
}

/* One packet; NULL when none waits. A train is moved to a buffer of its size. */
static struct packet *
read_packet(struct wan_site *s)
{
    static uint8_t rest[PACKET_BYTES_MAX]; /* what a packet of the pool does not hold */
    struct packet *p = packet_new(PACKET_BYTES);
    struct iovec io[] = {{&p->vnet, sizeof p->vnet}, {p->data, PACKET_BYTES}, {rest, sizeof rest}};
    ssize_t got = readv(s->fd, io, 3);
    p->len = 0;
    if (got <= (ssize_t)sizeof p->vnet) {
        packet_free(p);
        if (got < 0 && errno == EBADFD) /* the device was deleted; EIO: it is not up yet */
            wan_lose_tun(s);
        return NULL;
    }
    uint32_t len = (uint32_t)got - (uint32_t)sizeof p->vnet;
    if (len > PACKET_BYTES) {
        struct packet *train = packet_new(len);
        memcpy(train, p, sizeof *train + PACKET_BYTES);
        memcpy(train->data + PACKET_BYTES, rest, len - PACKET_BYTES);
        packet_free(p);
        p = train;
    }
    p->len = len;
    return p;
}

void
tun_read(size_t site, uint64_t now_ns)
{
    struct wan_site *s = wan_site(site);
    for (int n = 0; n < BATCH_MAX && s->fd >= 0; n++) {
        struct packet *p = read_packet(s);
        if (!p)
            return;
        if (packet_inspect(p)) {
            wan_send(site, p, now_ns);
        } else {
            s->unroutable++;
            packet_free(p);
        }
    }
}
