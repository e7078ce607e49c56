/*
 * Lets go of start-up code. Binding and initialising some forty shared libraries maps about
 * 4 MiB of their code, of which a serving node runs little. The pages are clean copies of the
 * files, so what is run again is mapped again from the page cache.
 */
#include "proxy/footprint.h"
#include "base/must.h"
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

/* Code is never written to: only such segments may be dropped without losing relocations. */
static int
drop_code(struct dl_phdr_info *library, size_t size, void *arg)
{
    (void)size;
    uintptr_t page = *(const uintptr_t *)arg;
    for (int i = 0; i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &library->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) || (segment->p_flags & PF_W))
            continue;
        uintptr_t start = (library->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        uintptr_t end = library->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        /* The loader tells addresses as numbers. NOLINTNEXTLINE(performance-no-int-to-ptr) */
        (void)madvise((void *)start, end - start, MADV_DONTNEED); /* a hint: may fail */
    }
    return 0;
}

void
footprint_trim(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)dl_iterate_phdr(drop_code, &page);
}
