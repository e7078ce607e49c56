/* For cppcheck only, which does not read the system's headers: what it must know of uthash. */
#define LL_FOREACH_SAFE(head, el, tmp) for ((el) = (head); (el) && ((tmp) = (el)->next, 1); (el) = (tmp))
#define LL_FOREACH(head, el) for ((el) = (head); (el); (el) = (el)->next)
#define DL_FOREACH_SAFE(head, el, tmp) LL_FOREACH_SAFE(head, el, tmp)
#define DL_FOREACH(head, el) LL_FOREACH(head, el)
#define HASH_ITER(hh, head, el, tmp) LL_FOREACH_SAFE(head, el, tmp)
